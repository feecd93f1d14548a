from __future__ import annotations

import asyncio
import time

import numpy as np

from labkit.load.outcomes import Outcome
from labkit.load.pacer import Pacer
from labkit.load.transport import Ledger


class Instant:
    """A transport whose answers are there at once, or never."""

    def __init__(self, ledger, answers=True, busy_at=None, busy_seconds=0.15):
        self.ledger, self.answers = ledger, answers
        self.busy_at, self.busy_seconds = busy_at, busy_seconds

    async def open(self):
        pass

    def send(self, index):
        if self.busy_at in (index, "always"):
            time.sleep(self.busy_seconds)
        if self.answers:
            self.ledger.finish(index, Outcome.OK, 200)

    def sweep(self, now):
        pass

    async def close(self):
        pass


def ledger_of(due_seconds):
    due = (np.asarray(due_seconds) * 1e9).astype(np.int64)
    zeros = np.zeros(len(due))
    return Ledger(due, zeros.astype(np.int16), zeros.astype(np.int32), [False])


def test_nothing_is_sent_before_it_is_due():
    ledger = ledger_of(np.arange(50) * 0.004)
    pacer = Pacer(ledger, Instant(ledger), lambda sent: None)
    asyncio.run(pacer.run())
    assert pacer.sent == 50
    assert all(at >= due for at, due in zip(ledger.dispatched, ledger.due, strict=True))


def test_a_pause_of_the_process_is_noticed_as_lag_and_as_pause():
    ledger = ledger_of(np.arange(50) * 0.004)
    pacer = Pacer(ledger, Instant(ledger, busy_at=10), lambda sent: None)
    asyncio.run(pacer.run())
    lag = np.array(ledger.dispatched) - np.array(ledger.due)
    assert lag[11] > 100e6
    assert any(end - start >= 140e6 for start, end in pacer.pauses)


def test_stopping_sends_no_more_and_waits_only_briefly():
    ledger = ledger_of(np.arange(1000) * 0.01)

    async def stopped_after():
        pacer = Pacer(ledger, Instant(ledger, answers=False), lambda sent: None)
        asyncio.get_running_loop().call_later(0.1, pacer.stop)
        await pacer.run()
        return pacer

    started = time.monotonic()
    pacer = asyncio.run(stopped_after())
    assert pacer.interrupted
    assert pacer.sent < 1000
    assert time.monotonic() - started < 8


def test_a_rate_that_cannot_be_sent_ends_early():
    ledger = ledger_of(np.arange(100_000) * 0.001)
    slow = Instant(ledger, busy_at="always", busy_seconds=0.02)
    pacer = Pacer(ledger, slow, lambda sent: None)
    started = time.monotonic()
    asyncio.run(pacer.run())
    assert pacer.gave_up
    assert 0 < pacer.sent < 1000, "a lag of two seconds is reached after about a hundred sends"
    assert time.monotonic() - started < 60


def test_an_empty_run_ends():
    ledger = ledger_of([])
    asyncio.run(Pacer(ledger, Instant(ledger), lambda sent: None).run())
