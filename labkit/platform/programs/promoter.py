"""Laid beside a learner's registry: calls it with plain values, one call or many at once."""

import threading

import numpy as np
import workbook_clock  # noqa: F401 (this machine's clock)

_bucket = None


def run(how, method, arguments):
    """`call` or `at_once`."""
    return {"call": call, "at_once": at_once}[how](method, arguments)


def call(method, arguments):
    """`Registry.method(*arguments)`: {"value": ...}, or {"raised": NAME, "said": ...}."""
    return _told(_registry(), method, arguments)


def at_once(method, calls):
    """The same for each of these arguments, all begun at one moment, each in a thread of its own."""
    start = threading.Barrier(len(calls))
    told = [None] * len(calls)

    def one(number):
        registry = _registry()
        start.wait()
        told[number] = _told(registry, method, calls[number])

    threads = [threading.Thread(target=one, args=(number,)) for number in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return told


def _registry():
    global _bucket
    from registry import Registry
    from store import Bucket

    if _bucket is None:
        _bucket = Bucket()
    return Registry(_bucket)


def _told(registry, method, arguments):
    given = [each.tobytes() if isinstance(each, np.ndarray) else each for each in arguments]
    try:
        value = getattr(registry, method)(*given)
    except Exception as error:
        return {"raised": type(error).__name__, "said": str(error)[:300]}
    return {"value": np.frombuffer(value, dtype=np.uint8) if isinstance(value, bytes) else value}
