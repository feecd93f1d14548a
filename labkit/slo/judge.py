"""From a recording to a verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labkit.load.outcomes import Outcome
from labkit.load.recording import Recording, quantile_of
from labkit.load.transport import ANSWER_LEFT_OUT
from labkit.slo.bounds import (
    FEWEST_REQUESTS,
    ShareBounds,
    quantile_levels,
    rarest_cause_seconds,
    share_bounds,
)
from labkit.slo.objectives import AvailabilityObjective, Objective
from labkit.verdicts import Judgement, Tier, Verdict

# From this part of the limit on, an answer is nearly late.
NEAR = 0.5
# From this part of the machine on that other programs take, a server's failing may be theirs.
BUSY = 0.15

Recordings = Recording | Sequence[Recording]


def judge(
    recordings: Recordings, objective: Objective, *, tier: Tier = Tier.LOCAL, looks: int = 1
) -> Judgement:
    """Hold a load against a latency objective.

    It passes when even the most misses that the bound allows for are few enough, and fails when even the
    fewest are too many; requests that were late only because the generator was don't count towards failing.

    Args:
        recordings: One recording, or several of the same service that are to be judged as one.
        objective: What was promised.
        tier: What the service ran on.
        looks: How many times the same data are judged while it grows; the confidence is shared among them.
    """
    whole = _several(recordings)
    runs = [run.measured() for run in whole]
    limit = objective.milliseconds
    late = [run.latency_ms > limit for run in runs]
    surely_late = [_late_by_the_server(run, limit) for run in runs]
    confidence = 1 - (1 - objective.confidence) / looks
    near = [run.latency_ms > limit * NEAR for run in runs]
    bounds = share_bounds(late, allowed=objective.allowed, confidence=confidence, near=near)
    fewest = share_bounds(surely_late, allowed=objective.allowed, confidence=confidence)
    bounds = bounds._replace(lower=fewest.lower, effective_lower=fewest.effective_lower)
    latency = np.sort(np.concatenate([run.latency_ms for run in runs])) if runs else np.array([])
    lower, upper = _quantile_bounds(latency, bounds, objective, confidence)
    verdict, doubt = _verdict(bounds, objective, whole)
    if verdict is Verdict.PASSED:
        upper = min(upper, limit)
    elif verdict is Verdict.FAILED:
        lower = max(lower, limit)
    share = float(np.concatenate(late).mean()) if len(latency) else math.nan
    return Judgement(
        verdict,
        _latency_summary(
            verdict, doubt, objective, quantile_of(latency, objective.quantile), lower, upper, share
        ),
        tier,
        _facts(runs, objective, bounds, looks)
        | {
            "objective_ms": limit,
            "quantile": objective.quantile,
            "quantile_ms": _plain(quantile_of(latency, objective.quantile)),
            "quantile_ms_at_least": _plain(lower),
            "quantile_ms_at_most": _plain(upper),
            "late": int(sum(np.count_nonzero(each) for each in late)),
            "late_share": _plain(share),
        },
    )


def judge_availability(
    recordings: Recordings,
    objective: AvailabilityObjective | None = None,
    *,
    tier: Tier = Tier.LOCAL,
    looks: int = 1,
) -> Judgement:
    """Hold a load against an availability objective; every miss, a time-out too, is spent error budget.

    Args:
        recordings: One recording, or several of the same service that are to be judged as one.
        objective: What was promised; 99.9 % at 99 % confidence by default.
        tier: What the service ran on.
        looks: How many times the same data are judged while it grows.
    """
    objective = objective or AvailabilityObjective()
    whole = _several(recordings)
    runs = [run.measured() for run in whole]
    missed = [run.outcome != Outcome.OK for run in runs]
    confidence = 1 - (1 - objective.confidence) / looks
    bounds = share_bounds(missed, allowed=objective.allowed, confidence=confidence)
    verdict, doubt = _verdict(bounds, objective, whole)
    requests, misses = sum(len(run) for run in runs), int(sum(np.count_nonzero(each) for each in missed))
    share = 1 - misses / requests if requests else math.nan
    bound = {
        Verdict.PASSED: f"at least {_percent(1 - bounds.upper)}",
        Verdict.FAILED: f"at most {_percent(1 - bounds.lower)}",
    }.get(verdict, f"between {_percent(1 - bounds.upper)} and {_percent(1 - bounds.lower)}")
    summary = doubt or (
        f"{_percent(share)} answered, {bound} ({100 * objective.confidence:.4g} %); "
        f"{misses:,} of {requests:,} missed"
    )
    facts = {
        "objective_share": objective.share,
        "available_share": _plain(share),
        "available_share_at_least": 1 - bounds.upper,
        "available_share_at_most": 1 - bounds.lower,
    }
    return Judgement(verdict, summary, tier, _facts(runs, objective, bounds, looks) | facts)


def doubts(runs: Sequence[Recording], objective: Objective | AvailabilityObjective) -> str:
    """Why nothing can be said from these runs, whatever they measured; empty if there is no reason."""
    for run in runs:
        if run.gave_up:
            return (
                f"This machine can't send {run.rate:,.0f} requests/s: it sent some "
                f"{run.sent_rate:,.0f} a second and fell two seconds behind. "
                "Lower the rate, or measure from a faster machine"
            )
    requests = sum(run.requests for run in runs)
    if any(run.interrupted for run in runs):
        return (
            f"Interrupted after {sum(run.measured_seconds for run in runs):.1f} s and {requests:,} requests"
        )
    if requests < FEWEST_REQUESTS:
        return f"Only {requests} requests were measured: too few to say anything"
    lag = max(run.lag_quantile_ms() for run in runs if run.requests)
    if lag > objective.lag_limit:
        return (
            f"The load generator was up to {lag:.1f} ms late itself (p99; limit {objective.lag_limit:g} ms): "
            "this machine is too busy to measure on"
        )
    unread = sum(int(np.count_nonzero(run.measured().answer == ANSWER_LEFT_OUT)) for run in runs)
    if unread:
        return f"{unread:,} answers were not checked: there were too many different ones to keep"
    return ""


def _several(recordings: Recordings) -> list[Recording]:
    return [recordings] if isinstance(recordings, Recording) else list(recordings)


def _late_by_the_server(run: Recording, limit: float) -> NDArray[np.bool_]:
    """Misses, and answers late even without the generator's own lag and not received in one of its pauses."""
    late = run.latency_ms - run.lag_ms > limit
    for start, end in run.pauses_ns:
        touched = (run.done_ns >= start) & (run.intended_ns <= end)
        excused = touched & (run.latency_ms - (end - start) / 1e6 <= limit)
        late &= ~excused
    return late


def excuse(runs: Sequence[Recording]) -> str:
    """Why a server that did not pass may not be to blame; empty if there is no reason.

    A server that passes beside busy programs passes all the same.
    """
    share = max((run.bystanders for run in runs if not math.isnan(run.bystanders)), default=0.0)
    if share <= BUSY:
        return ""
    return (
        f"Other programs took {100 * share:.0f} % of this machine while it was measured: "
        "too much to blame the server for being late"
    )


def _answers_wrongly(runs: Sequence[Recording], objective: Objective | AvailabilityObjective) -> bool:
    """Whether wrong answers alone are too many: no busy machine makes an answer wrong."""
    wrong = [run.measured().outcome == Outcome.WRONG_ANSWER for run in runs]
    bounds = share_bounds(wrong, allowed=objective.allowed, confidence=objective.confidence)
    return bounds.lower > objective.allowed


def _verdict(
    bounds: ShareBounds, objective: Objective | AvailabilityObjective, runs: Sequence[Recording]
) -> tuple[Verdict, str]:
    """The verdict, and what stands in the way of one."""
    doubt = doubts(runs, objective)
    if doubt:
        return Verdict.INCONCLUSIVE, doubt
    if bounds.upper <= objective.allowed:
        return Verdict.PASSED, ""
    doubt = "" if _answers_wrongly(runs, objective) else excuse(runs)
    if doubt or bounds.lower <= objective.allowed:
        return Verdict.INCONCLUSIVE, doubt
    return Verdict.FAILED, ""


def _quantile_bounds(
    latency: NDArray[np.float64], bounds: ShareBounds, objective: Objective, confidence: float
) -> tuple[float, float]:
    """Bounds on the quantile itself, in milliseconds; infinite above if the sample is too small for one."""
    if not len(latency):
        return 0.0, math.inf
    low, high = quantile_levels(bounds, allowed=objective.allowed, confidence=confidence)
    upper = quantile_of(latency, high) if high <= 1 else math.inf
    return quantile_of(latency, max(low, 0.0)), upper


def _latency_summary(
    verdict: Verdict,
    doubt: str,
    objective: Objective,
    value: float,
    lower: float,
    upper: float,
    share: float,
) -> str:
    if doubt:
        return doubt
    bound = {
        Verdict.PASSED: f"at most {_milliseconds(upper)}",
        Verdict.FAILED: f"at least {_milliseconds(lower)}",
    }.get(verdict, f"between {_milliseconds(lower)} and {_milliseconds(upper)}")
    return (
        f"{objective.name} {_milliseconds(value)}, {bound} ({100 * objective.confidence:.4g} %); "
        f"{_percent(share)} late or missed"
    )


def _facts(
    runs: Sequence[Recording],
    objective: Objective | AvailabilityObjective,
    bounds: ShareBounds,
    looks: int,
) -> dict[str, Any]:
    """The numbers that every judgement shows, plain JSON values."""
    latency = np.concatenate([run.latency_ms for run in runs]) if runs else np.array([])
    lag = np.concatenate([run.lag_ms for run in runs]) if runs else np.array([])
    seconds = sum(run.measured_seconds for run in runs)
    outcomes: dict[str, int] = {}
    statuses: dict[str, int] = {}
    for run in runs:
        for outcome, count in run.outcomes().items():
            outcomes[outcome.name.lower()] = outcomes.get(outcome.name.lower(), 0) + count
        for status, count in run.statuses().items():
            statuses[str(status)] = statuses.get(str(status), 0) + count
    return {
        "requests": len(latency),
        "seconds": round(seconds, 3),
        "runs": len(runs),
        "scheduled_rate": max((run.rate for run in runs), default=0.0),
        "achieved_rate": len(latency) / seconds if seconds else 0.0,
        "p50_ms": _plain(quantile_of(latency, 0.5)),
        "p90_ms": _plain(quantile_of(latency, 0.9)),
        "p99_ms": _plain(quantile_of(latency, 0.99)),
        "p99_9_ms": _plain(quantile_of(latency, 0.999)),
        "max_ms": _plain(quantile_of(latency, 1.0)),
        "errors": sum(run.misses for run in runs),
        "outcomes": outcomes,
        "statuses": statuses,
        "retry_after_s": _longest_retry(runs),
        "generator_lag_p99_ms": _plain(quantile_of(lag, 0.99)),
        "generator_lag_limit_ms": objective.lag_limit,
        "other_programs_share": _plain(max((run.bystanders for run in runs), default=math.nan)),
        "generator_pauses": sum(len(run.pauses_ns) for run in runs),
        "allowed_share": objective.allowed,
        "miss_share_at_least": bounds.lower,
        "miss_share_at_most": bounds.upper,
        "effective_requests": round(bounds.effective_upper, 1),
        "confidence": objective.confidence,
        "looks": looks,
        "rarest_cause_s": round(rarest_cause_seconds(seconds), 2),
        "interrupted": any(run.interrupted for run in runs),
    }


def _longest_retry(runs: Sequence[Recording]) -> float | None:
    waits = np.concatenate([run.retry_after for run in runs]) if runs else np.array([])
    waits = waits[~np.isnan(waits)]
    return float(waits.max()) if len(waits) else None


def _plain(value: float) -> float | None:
    """A number that JSON has; infinity and "not a number" are none."""
    return float(value) if math.isfinite(value) else None


def _milliseconds(value: float) -> str:
    if not math.isfinite(value):
        return "no answer" if value > 0 else "unknown"
    return f"{value:.3g} ms" if value < 100 else f"{value:,.0f} ms"


def _percent(share: float) -> str:
    return f"{100 * share:.4g} %"
