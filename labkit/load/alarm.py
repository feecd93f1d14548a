"""Waking an event loop to within some ten microseconds, without spending a core on looking at the clock.

The timers of an event loop are good to a millisecond. On Linux a timerfd is as good as the kernel's own
timers; elsewhere, and below `SPIN_NS`, the loop is polled. A generator that sleeps is also woken sooner on a
busy machine than one that has used up its share of the processor by spinning, and leaves more of it to a
server beside it.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
from collections.abc import Callable
from typing import Protocol

# A timerfd rings this much late at best: the rest is polled.
SPIN_NS = 60_000
# What an event loop's own timer is off by.
LOOP_TIMER_NS = 1_000_000


class Alarm(Protocol):
    """Calls back when a time has passed; one time at most is set."""

    def set(self, wait_ns: int) -> None:
        """Call back in this many nanoseconds, or as soon as the loop has looked at its connections."""

    def close(self) -> None:
        """Never call back again."""


class PollingAlarm:
    """The loop's own timer until shortly before the time, then polling. For platforms without timerfd."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        self._loop = loop
        self._ring = ring
        self._handle: asyncio.Handle | None = None

    def set(self, wait_ns: int) -> None:
        """See `Alarm.set`."""
        if wait_ns > 2 * LOOP_TIMER_NS:
            self._handle = self._loop.call_later((wait_ns - LOOP_TIMER_NS) / 1e9, self._ring)
        else:
            self._handle = self._loop.call_soon(self._ring)

    def close(self) -> None:
        """See `Alarm.close`."""
        if self._handle is not None:
            self._handle.cancel()


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


class TimerfdAlarm:
    """A timerfd that the loop watches (timerfd_create(2); `os.timerfd_create` comes with Python 3.13)."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        self._loop = loop
        self._ring = ring
        self._closed = False
        self._libc = ctypes.CDLL(None, use_errno=True)
        clock_monotonic = 1
        self._fd: int = self._libc.timerfd_create(clock_monotonic, os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self._spec = _Itimerspec()
        self._spec_pointer = ctypes.byref(self._spec)
        loop.add_reader(self._fd, self._rang)

    def set(self, wait_ns: int) -> None:
        """See `Alarm.set`."""
        wait_ns -= SPIN_NS
        if wait_ns <= 0:
            self._loop.call_soon(self._called_soon)
            return
        value = self._spec.value
        value.seconds, value.nanoseconds = divmod(wait_ns, 1_000_000_000)
        self._libc.timerfd_settime(self._fd, 0, self._spec_pointer, None)

    def _rang(self) -> None:
        os.read(self._fd, 8)
        self._ring()

    def _called_soon(self) -> None:
        if not self._closed:
            self._ring()

    def close(self) -> None:
        """See `Alarm.close`."""
        if not self._closed:
            self._closed = True
            self._loop.remove_reader(self._fd)
            os.close(self._fd)


def alarm(loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> Alarm:
    """The best alarm that this platform has.

    Args:
        loop: The running event loop.
        ring: What is called.
    """
    if sys.platform == "linux":
        try:
            return TimerfdAlarm(loop, ring)
        except (OSError, AttributeError):  # forbidden in this sandbox, or another libc
            pass
    return PollingAlarm(loop, ring)
