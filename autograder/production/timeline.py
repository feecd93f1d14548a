"""The hour in one picture: latency with everything that happened, load and replicas, alerts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from autograder.production.contract import LIMIT_MS
from autograder.production.hour import Seen
from labkit.load import Outcome
from labkit.load.plots import COLOURS, LIMIT_COLOUR, MARKERS, MISS_COLOUR, Plot
from labkit.monitoring import Series

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_POINTS = 4000
_GAP_SECONDS = 7.0
"""Prometheus goes on with a series' last value for some seconds where there is no sample."""


def timeline(seen: Seen) -> Plot:
    """Draw the hour; the same is said in words beside it."""
    from matplotlib.figure import Figure

    names = sorted({each.name for each in seen.alerts})
    figure = Figure(figsize=(13, 8), layout="constrained")
    latency, load, alerts = figure.subplots(
        3, 1, sharex=True, gridspec_kw={"height_ratios": [5, 2.5, 0.6 + 0.4 * len(names)]}
    )
    _draw_latency(latency, seen)
    _draw_load(load, seen)
    _draw_alerts(alerts, seen, names)
    last, began, _ = seen.parts[-1]
    for axes in (latency, load, alerts):
        for _, start, _ in seen.parts:
            axes.axvline(start - seen.began, color="0.8", linewidth=0.8, zorder=0)
        axes.set_xlim(0, began - seen.began + last.seconds)
    alerts.set_xlabel("seconds")
    return Plot(figure, words(seen))


def words(seen: Seen) -> str:
    """What the picture shows, in sentences."""
    lines = []
    for part, began, recording in seen.parts:
        spent = recording.latency_ms[np.isfinite(recording.latency_ms)]
        p99 = f"p99 {np.quantile(spent, 0.99):.0f} ms" if len(spent) else "nothing answered"
        lines.append(
            f"{began - seen.began:.0f} s: {part.name}, {part.rate:g} to {part.end_rate:g} requests/s; "
            f"{recording.requests:,} requests, {recording.misses} missed, {p99}."
        )
        until = began + part.seconds
        lines += [
            f"  {each.at - seen.began:.0f} s: {each.what}."
            for each in seen.happened
            if began <= each.at < until
        ]
    lines += [
        f"{each.at - seen.began:.0f} s: alert {each.name} {'fires' if each.firing else 'is over'}."
        for each in seen.alerts
    ]
    return "\n".join(lines)


def _draw_latency(axes: Axes, seen: Seen) -> None:
    for number, name in enumerate(("usual", "new client")):
        times, values = [], []
        for _, began, recording in seen.parts:
            one = recording.only(name)
            right = one.outcome == Outcome.OK
            times.append(began - seen.began + one.intended_ns[right] / 1e9)
            values.append((one.done_ns - one.intended_ns)[right] / 1e6)
        at, took = np.concatenate(times), np.concatenate(values)
        step = max(len(at) // _MOST_POINTS, 1)
        kept = np.union1d(np.arange(0, len(at), step), np.flatnonzero(took > LIMIT_MS))
        axes.plot(
            at[kept],
            took[kept],
            MARKERS[number],
            color=COLOURS[number],
            markersize=2.5,
            alpha=0.5,
            label=name,
        )
    lost = [
        (began - seen.began + recording.intended_ns[recording.outcome != Outcome.OK] / 1e9)
        for _, began, recording in seen.parts
    ]
    missed = np.concatenate(lost)
    if len(missed):
        axes.plot(missed, np.full(len(missed), 1.0), "x", color=MISS_COLOUR, markersize=6, label="missed")
    axes.axhline(LIMIT_MS, color=LIMIT_COLOUR, linestyle="--", linewidth=1.2, label=f"{LIMIT_MS:g} ms")
    axes.set(yscale="log", ylabel="latency (ms)", title="Every request, and what happened meanwhile")
    top = axes.get_ylim()[1]
    axes.set_ylim(top=top * 12)
    for number, each in enumerate(seen.happened):
        axes.axvline(each.at - seen.began, color="0.4", linewidth=0.8, linestyle=":")
        axes.text(
            each.at - seen.began, top * (1.3, 2.6, 5.2)[number % 3], f" {each.what}", fontsize=7, va="bottom"
        )
    for part, began, _ in seen.parts:
        axes.text(began - seen.began, axes.get_ylim()[0] * 1.15, f" {part.name}", fontsize=7, color="0.35")
    axes.grid(alpha=0.2)
    axes.legend(fontsize=8, loc="center left", ncols=4, bbox_to_anchor=(0, 0.62))


def _draw_load(axes: Axes, seen: Seen) -> None:
    for number, (part, began, _) in enumerate(seen.parts):
        start = began - seen.began
        axes.plot(
            [start, start + part.seconds],
            [part.rate, part.end_rate],
            color=COLOURS[0],
            label="requests/s" if number == 0 else None,
        )
    axes.set(ylabel="requests/s")
    axes.set_ylim(bottom=0)
    beside = axes.twinx()
    for number, (name, series) in enumerate(sorted(seen.replicas.items())):
        times, values = _with_gaps(series)
        beside.step(
            times - seen.began,
            values,
            where="post",
            color=COLOURS[number + 1],
            linestyle=("-", "--")[number % 2],
            label=name,
        )
    beside.set(ylabel="replicas")
    beside.set_ylim(
        0, max([*(each.values.max() for each in seen.replicas.values() if len(each.values)), 2]) + 1
    )
    axes.legend(fontsize=8, loc="upper left")
    beside.legend(fontsize=8, loc="upper right")


def _with_gaps(series: Series) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Times and values, with nothing drawn while there was no such Deployment."""
    gaps = np.flatnonzero(np.diff(series.times) > _GAP_SECONDS) + 1
    return (
        np.insert(series.times, gaps, series.times[gaps - 1] + 1),
        np.insert(series.values, gaps, np.nan),
    )


def _draw_alerts(axes: Axes, seen: Seen, names: list[str]) -> None:
    last, began, _ = seen.parts[-1]
    end = began + last.seconds
    for row, name in enumerate(names):
        since: float | None = None
        for each in [each for each in seen.alerts if each.name == name]:
            if each.firing and since is None:
                since = each.at
            elif not each.firing and since is not None:
                axes.barh(row, each.at - since, left=since - seen.began, color=COLOURS[5], hatch="//")
                since = None
        if since is not None:
            axes.barh(row, max(end - since, 1.0), left=since - seen.began, color=COLOURS[5], hatch="//")
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_ylim(-0.6, max(len(names), 1) - 0.4)
    axes.set_title("Alerts" if names else "No alert fired", fontsize=9)
