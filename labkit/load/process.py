"""The load process: reads a plan, sends the load, writes the recording. Plain data only, in and out."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labkit.load.clients import open_transport
from labkit.load.pacer import Pacer
from labkit.load.recording import Recording
from labkit.load.schedule import NANOSECONDS, Schedule
from labkit.load.transport import Ledger

try:
    import uvloop
except ImportError:  # there is none for this platform
    uvloop = None

# The generator needs little of the processor, but that little in time.
PRIORITY = -10


def main(arguments: Sequence[str]) -> int:
    """Run the plan of the first argument's file and write the recording to the second's.

    Progress goes to standard output, one JSON object a line. The run ends early when standard input ends or
    says anything, so that it never outlives the process that started it.
    """
    plan_path, recording_path = map(Path, arguments)
    plan = json.loads(plan_path.read_text())
    gc.disable()
    with suppress(OSError):  # only root may; without, a busy machine shows as lag a little sooner
        os.nice(PRIORITY)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop if uvloop else None) as runner:
        recording = runner.run(record(plan))
    recording.save(recording_path)
    return 0


async def record(plan: Mapping[str, Any]) -> Recording:
    """Send the load of a plan and return what was measured."""
    schedule = Schedule(**plan["schedule"])
    kinds = plan["client"]["kinds"]
    due, kind = arrivals(schedule, kinds, plan["shares"])
    request = bodies_in_turn(kind, [len(each["bodies"]) for each in kinds])
    ledger = Ledger(due, kind, request, [each["keep_answers"] for each in kinds])
    transport = open_transport(plan["client"], ledger)
    pacer = Pacer(ledger, transport, lambda sent: report(ledger, sent))
    started_at = datetime.now(UTC).isoformat(timespec="seconds")
    await transport.open()
    loop = asyncio.get_running_loop()
    told_to_stop = sys.stdin.fileno()

    def stop() -> None:
        loop.remove_reader(told_to_stop)
        pacer.stop()

    loop.add_reader(told_to_stop, stop)
    try:
        await pacer.run()
    finally:
        loop.remove_reader(told_to_stop)
        await transport.close()
    sent = pacer.sent
    return Recording(
        kinds=tuple(each["name"] for each in kinds),
        url=plan["client"]["url"],
        rate=(schedule.rate + schedule.end_rate) / 2,
        seconds=schedule.seconds,
        warmup=schedule.warmup,
        started_at=started_at,
        interrupted=pacer.interrupted,
        gave_up=pacer.gave_up,
        kind=kind[:sent],
        intended_ns=due[:sent],
        dispatched_ns=np.array(ledger.dispatched[:sent], dtype=np.int64),
        sent_ns=np.array(ledger.sent[:sent], dtype=np.int64),
        done_ns=np.array(ledger.done[:sent], dtype=np.int64),
        outcome=np.array(ledger.outcome[:sent], dtype=np.int8),
        status=np.array(ledger.status[:sent], dtype=np.int16),
        retry_after=np.array(ledger.retry_after[:sent], dtype=np.float32),
        sent_bytes=np.array(ledger.sent_bytes[:sent], dtype=np.int32),
        received_bytes=np.array(ledger.received_bytes[:sent], dtype=np.int32),
        request=request[:sent],
        answer=np.array(ledger.answer[:sent], dtype=np.int32),
        answers=tuple(ledger.answers),
        pauses_ns=np.array(pacer.pauses, dtype=np.int64).reshape(-1, 2),
    )


def arrivals(
    schedule: Schedule, kinds: Sequence[Mapping[str, Any]], shares: Sequence[float]
) -> tuple[NDArray[np.int64], NDArray[np.int16]]:
    """When each request is due and of which kind it is: the schedule's, mixed by share, and the probes'."""
    generator = np.random.default_rng([schedule.seed, 1])
    scheduled = schedule.arrivals()
    due = [scheduled]
    kind = [generator.choice(len(kinds), size=len(scheduled), p=shares).astype(np.int16)]
    for number, each in enumerate(kinds):
        if each["rate"] is not None:
            count = int(each["rate"] * schedule.total_seconds)
            phase = generator.random()
            probes = (np.arange(count) + phase) / each["rate"] * NANOSECONDS
            due.append(probes.astype(np.int64))
            kind.append(np.full(count, number, dtype=np.int16))
    all_due, all_kind = np.concatenate(due), np.concatenate(kind)
    order = np.argsort(all_due, kind="stable")
    return all_due[order], all_kind[order]


def bodies_in_turn(kind: NDArray[np.int16], bodies: Sequence[int]) -> NDArray[np.int32]:
    """The number of the body that each request sends: within its kind, one after the other."""
    request = np.zeros(len(kind), dtype=np.int32)
    for number, count in enumerate(bodies):
        chosen = kind == number
        request[chosen] = np.arange(np.count_nonzero(chosen)) % count
    return request


def report(ledger: Ledger, sent: int) -> None:
    """One line of progress for the process that started this one."""
    line = {
        "seconds": ledger.now() / 1e9,
        "sent": sent,
        "finished": ledger.finished,
        "misses": ledger.misses,
    }
    with suppress(OSError):  # nobody reads any more; the end of standard input ends the run
        os.write(sys.stdout.fileno(), (json.dumps(line) + "\n").encode())
