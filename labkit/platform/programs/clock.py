"""Runs on a machine whose clock is wrong by CLOCK_OFFSET seconds: `python workbook_clock.py training.py`."""

import datetime
import os
import runpy
import sys
import time

OFFSET = float(os.environ.get("CLOCK_OFFSET", "0"))
_time, _time_ns, _datetime = time.time, time.time_ns, datetime.datetime


class _AnyDatetime(type):
    """Every datetime is one of these, whichever clock it came from."""

    def __instancecheck__(cls, value):
        return isinstance(value, _datetime)


class _Wrong(_datetime, metaclass=_AnyDatetime):
    """A datetime that asks this machine's clock."""

    @classmethod
    def now(cls, tz=None):
        return _datetime.now(tz) + datetime.timedelta(seconds=OFFSET)

    @classmethod
    def utcnow(cls):
        return _datetime.now(datetime.timezone.utc).replace(tzinfo=None) + datetime.timedelta(seconds=OFFSET)


if OFFSET:
    time.time = lambda: _time() + OFFSET
    time.time_ns = lambda: _time_ns() + int(OFFSET * 1e9)
    datetime.datetime = _Wrong

if __name__ == "__main__":
    sys.argv = sys.argv[1:]
    runpy.run_path(sys.argv[0], run_name="__main__")
