"""Sends each request when it is due, and notices when it couldn't."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from labkit.load.alarm import Alarm, alarm
from labkit.load.transport import Ledger, Transport

MILLISECOND = 1_000_000
LONGEST_SLEEP_NS = 5 * MILLISECOND
# Answers that came in meanwhile are read after this many sends.
SENDS_AT_ONCE = 16
SWEEP_EVERY_NS = 25 * MILLISECOND
REPORT_EVERY_NS = 500 * MILLISECOND
# Between two looks at the clock that should be 5 ms apart at most: the process did not run.
PAUSE_NS = 15 * MILLISECOND
# A generator that is so far behind will not catch up: nothing that it went on to measure would count.
GIVE_UP_NS = 2000 * MILLISECOND


class Pacer:
    """Drives one transport through one ledger on the running event loop.

    Args:
        ledger: The requests and when they are due.
        transport: What sends them.
        report: Called about twice a second with the requests sent so far.

    Attributes:
        sent: How many requests were handed to the transport.
        interrupted: Whether `stop` ended the run early.
        gave_up: Whether the run was ended because this process could not keep up.
        pauses: When this process did not run, as (start, end) in nanoseconds.
    """

    def __init__(self, ledger: Ledger, transport: Transport, report: Callable[[int], None]) -> None:
        self.sent = 0
        self.interrupted = False
        self.gave_up = False
        self.pauses: list[tuple[int, int]] = []
        self._ledger = ledger
        self._transport = transport
        self._report = report
        self._last_look = 0
        self._next_sweep = 0
        self._next_report = 0
        self._drain_until = math.inf
        self._done: asyncio.Future[None] | None = None
        self._alarm: Alarm | None = None

    async def run(self) -> None:
        """Send everything, and wait for every answer or its time-out."""
        loop = asyncio.get_running_loop()
        self._done = loop.create_future()
        self._alarm = alarm(loop, self._tick)
        self._ledger.start()
        self._tick()
        try:
            await self._done
        finally:
            self._alarm.close()

    def stop(self) -> None:
        """Send no more; answers on their way get half a second."""
        if not self.interrupted:
            self.interrupted = True
            self._drain_until = self._ledger.now() + 500 * MILLISECOND

    def _tick(self) -> None:
        now = self._look()
        if now >= self._next_sweep:
            self._transport.sweep(now)
            self._next_sweep = now + SWEEP_EVERY_NS
        if now >= self._next_report:
            self._report(self.sent)
            self._next_report = now + REPORT_EVERY_NS
        if self.sent < len(self._ledger.due) and not (self.interrupted or self.gave_up):
            wait = self._send_due(now)
        elif self._ledger.finished >= self.sent or now > self._drain_until:
            self._finish()
            return
        else:
            wait = LONGEST_SLEEP_NS
        if self._alarm is not None:
            self._alarm.set(min(wait, LONGEST_SLEEP_NS))

    def _look(self) -> int:
        """The time; a gap since the last look, which sleeps bound, is a pause of this process."""
        now = self._ledger.now()
        if now - self._last_look > PAUSE_NS:
            self.pauses.append((self._last_look, now))
        self._last_look = now
        return now

    def _send_due(self, now: int) -> int:
        """Send what is due, at most a few; returns the nanoseconds until the next is due."""
        ledger, send = self._ledger, self._transport.send
        due, dispatched, first = ledger.due, ledger.dispatched, self.sent
        last = min(first + SENDS_AT_ONCE, len(due))
        if now - due[first] > GIVE_UP_NS:
            self.gave_up = True
            self._drain_until = now + 500 * MILLISECOND
            return 0
        index = first
        while index < last and due[index] <= now:
            dispatched[index] = now
            send(index)
            index += 1
            now = ledger.now()
        self.sent = index
        return due[index] - now if index < len(due) else 0

    def _finish(self) -> None:
        self._report(self.sent)
        if self._done is not None and not self._done.done():
            self._done.set_result(None)
