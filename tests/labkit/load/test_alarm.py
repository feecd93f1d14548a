from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import pytest

from labkit.load import alarm as alarm_module
from labkit.load.alarm import PollingAlarm, TimerfdAlarm, alarm

ALARMS = [
    PollingAlarm,
    pytest.param(TimerfdAlarm, marks=pytest.mark.skipif(sys.platform != "linux", reason="Linux")),
]


async def rung_after(make, wait_ns):
    loop = asyncio.get_running_loop()
    rung = loop.create_future()
    bell = make(loop, lambda: rung.done() or rung.set_result(time.perf_counter_ns()))
    started = time.perf_counter_ns()
    bell.set(wait_ns)
    try:
        return await asyncio.wait_for(rung, 10) - started
    finally:
        bell.close()


@pytest.mark.parametrize("make", ALARMS)
@pytest.mark.parametrize("wait_ns", [0, 500_000, 20_000_000, 1_100_000_000])
def test_it_rings_shortly_before_the_time_or_later(make, wait_ns):
    waited = asyncio.run(rung_after(make, wait_ns))
    assert waited >= wait_ns - 2 * alarm_module.LOOP_TIMER_NS


@pytest.mark.parametrize("make", ALARMS)
def test_a_closed_alarm_does_not_ring(make):
    async def closed():
        rung = []
        bell = make(asyncio.get_running_loop(), lambda: rung.append(1))
        bell.set(0)
        bell.close()
        bell.close()
        await asyncio.sleep(0.05)
        return rung

    assert asyncio.run(closed()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="Linux")
def test_no_descriptor_is_left_open():
    before = len(list(Path("/proc/self/fd").iterdir()))
    asyncio.run(rung_after(TimerfdAlarm, 1000))
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_polling_stands_in(monkeypatch):
    async def which():
        bell = alarm(asyncio.get_running_loop(), lambda: None)
        bell.close()
        return bell

    monkeypatch.setattr(alarm_module.sys, "platform", "darwin")
    assert isinstance(asyncio.run(which()), PollingAlarm)
