"""Recordings made up from latencies, for judging without a server."""

from __future__ import annotations

import numpy as np

from labkit.load import Outcome, Recording


def recording_of(
    latency_ms, *, outcome=None, status=None, lag_ms=0.0, rate=100.0, kinds=("requests",), **more
):
    """One request every 1/rate s with these latencies; an infinite one is a time-out after a second."""
    latency_ms = np.asarray(latency_ms, dtype=float)
    count = len(latency_ms)
    missed = ~np.isfinite(latency_ms)
    intended = (np.arange(count) / rate * 1e9).astype(np.int64)
    taken = (np.where(missed, 1000.0, latency_ms) * 1e6).astype(np.int64)
    if outcome is None:
        outcome = np.where(missed, Outcome.TIMEOUT, Outcome.OK)
    fields = {
        "kinds": kinds,
        "url": "http://127.0.0.1:1/",
        "rate": rate,
        "seconds": count / rate,
        "warmup": 0.0,
        "started_at": "2026-01-01T00:00:00+00:00",
        "interrupted": False,
        "gave_up": False,
        "kind": np.zeros(count, dtype=np.int16),
        "intended_ns": intended,
        "dispatched_ns": intended + (np.broadcast_to(lag_ms, count) * 1e6).astype(np.int64),
        "sent_ns": intended,
        "done_ns": intended + taken,
        "outcome": np.asarray(outcome, dtype=np.int8),
        "status": np.where(missed, 0, 200).astype(np.int16)
        if status is None
        else np.asarray(status, np.int16),
        "retry_after": np.full(count, np.nan, dtype=np.float32),
        "sent_bytes": np.zeros(count, dtype=np.int32),
        "received_bytes": np.zeros(count, dtype=np.int32),
        "request": np.zeros(count, dtype=np.int32),
        "answer": np.full(count, -1, dtype=np.int32),
        "answers": (),
        "pauses_ns": np.zeros((0, 2), dtype=np.int64),
    }
    return Recording(**fields | more)
