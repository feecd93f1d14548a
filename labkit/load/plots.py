"""Two pictures of a recording, each with the same said in words beside it."""

from __future__ import annotations

import base64
import html
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from labkit.load.outcomes import Outcome
from labkit.load.recording import Recording, quantile_of

if TYPE_CHECKING:
    from hdrh.histogram import HdrHistogram
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette, which colour-blind eyes tell apart; each kind has a marker of its own too.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
MARKERS = ("o", "s", "^", "D", "v", "P")
MISS_COLOUR = "#000000"
LIMIT_COLOUR = "#D55E00"
MOST_POINTS = 20_000
QUANTILES = (0.5, 0.9, 0.99, 0.999)


@dataclass(frozen=True)
class Plot:
    """A figure and what it shows, in words.

    Attributes:
        figure: The matplotlib figure; a notebook shows it.
        text: The text alternative: a line for each request kind.
    """

    figure: Figure
    text: str

    def _repr_mimebundle_(self, **_options: object) -> dict[str, str]:
        """Jupyter: the picture, with the words as its alternative."""
        buffer = io.BytesIO()
        self.figure.savefig(buffer, format="png", dpi=110)
        data = base64.b64encode(buffer.getvalue()).decode("ascii")
        words = html.escape(self.text)
        picture = f'<img alt="{words}" src="data:image/png;base64,{data}" style="max-width:100%">'
        return {"text/html": f"{picture}<pre>{words}</pre>", "text/plain": self.text}


def plot(recording: Recording, *, limit_ms: float | None = None, title: str = "") -> Plot:
    """Latency over time, and its distribution up to the rarest request, side by side.

    Args:
        recording: What was measured; each kind has its own colour and marker.
        limit_ms: An objective's limit, drawn as a line.
        title: Over both pictures.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.2), layout="constrained")
    over_time, distribution = figure.subplots(1, 2)
    draw_over_time(over_time, recording, limit_ms)
    draw_distribution(distribution, recording, limit_ms)
    _draw_legend(figure, distribution, over_time)
    if title:
        figure.suptitle(title)
    return Plot(figure, describe(recording, limit_ms=limit_ms))


def draw_over_time(axes: Axes, recording: Recording, limit_ms: float | None = None) -> None:
    """One mark a request, at the second when it was due; misses as crosses along the top."""
    measured = recording.measured()
    seconds = measured.intended_ns / 1e9 - measured.warmup
    latency = (measured.done_ns - measured.intended_ns) / 1e6
    right = measured.outcome == Outcome.OK
    counts = np.bincount(measured.kind, minlength=len(measured.kinds))
    for number in np.argsort(-counts, kind="stable").tolist():  # the rare ones on top
        kind = measured.kinds[number]
        chosen = np.flatnonzero((measured.kind == number) & right)
        chosen = _thinned(chosen, latency)
        axes.plot(
            seconds[chosen],
            latency[chosen],
            MARKERS[number % len(MARKERS)],
            color=COLOURS[number % len(COLOURS)],
            markersize=3,
            alpha=0.6,
            label=kind,
        )
    missed = np.flatnonzero(~right)
    if len(missed):
        axes.plot(
            seconds[missed],
            np.maximum(latency[missed], 1e-3),
            "x",
            color=MISS_COLOUR,
            markersize=5,
            label="misses",
        )
    _draw_limit(axes, limit_ms)
    axes.set(xlabel="seconds", ylabel="latency (ms)", yscale="log", title="Latency over time")
    axes.grid(alpha=0.3)


def draw_distribution(axes: Axes, recording: Recording, limit_ms: float | None = None) -> None:
    """The latency at each quantile, the rare ones stretched: p90, p99 and p99.9 are equally far apart."""
    measured = recording.measured()
    rarest = 10.0
    for number, kind in enumerate(measured.kinds):
        latency = measured.only(kind).latency_ms
        answered = np.sort(latency[np.isfinite(latency)])
        if not len(answered):
            continue
        levels = (np.arange(len(answered)) + 0.5) / len(latency)
        rarest = max(rarest, 1 / (1 - levels[-1]))
        axes.plot(
            1 / (1 - levels),
            answered,
            color=COLOURS[number % len(COLOURS)],
            marker=MARKERS[number % len(MARKERS)],
            markevery=0.1,
            markersize=4,
            label=kind,
        )
    _draw_limit(axes, limit_ms)
    ticks = [10.0**power for power in range(int(np.log10(rarest)) + 2)]
    axes.set(xlabel="quantile", ylabel="latency (ms)", xscale="log", yscale="log", title="Distribution")
    axes.set_xticks(ticks, [f"p{100 * (1 - 1 / tick):.6g}" for tick in ticks], minor=False)
    axes.grid(alpha=0.3)


def describe(recording: Recording, *, limit_ms: float | None = None) -> str:
    """What the pictures show, a line for each request kind."""
    lines = []
    for kind in recording.kinds:
        one = recording.only(kind)
        latency = one.latency_ms
        quantiles = ", ".join(
            f"p{100 * level:g} {_milliseconds(quantile_of(latency, level))}" for level in QUANTILES
        )
        late = f"; {np.count_nonzero(latency > limit_ms):,} over {limit_ms:g} ms" if limit_ms else ""
        lines.append(f"{kind}: {one.requests:,} requests, {one.misses:,} misses; {quantiles}{late}")
    lines.append(f"The generator itself was {recording.lag_quantile_ms():.2g} ms late at p99.")
    return "\n".join(lines)


def histogram(recording: Recording) -> HdrHistogram:
    """The answered requests as an HdrHistogram of microseconds, to print or to hand to its tools."""
    from hdrh.histogram import HdrHistogram

    filled = HdrHistogram(1, 3_600_000_000, 3)
    latency = recording.latency_ms
    for microseconds in (latency[np.isfinite(latency)] * 1000).astype(int).tolist():
        filled.record_value(max(1, microseconds))
    return filled


def _thinned(chosen: NDArray[np.int64], latency: NDArray[np.float64]) -> NDArray[np.int64]:
    """At most so many points, the slowest hundredth all kept."""
    if len(chosen) <= MOST_POINTS:
        return chosen
    slow = np.argsort(latency[chosen])[-len(chosen) // 100 :]
    step = -(-len(chosen) // MOST_POINTS)
    kept: NDArray[np.int64] = np.union1d(chosen[slow], chosen[::step])
    return kept


def _draw_limit(axes: Axes, limit_ms: float | None) -> None:
    if limit_ms is not None:
        axes.axhline(limit_ms, color=LIMIT_COLOUR, linestyle="--", linewidth=1.2, label=f"{limit_ms:g} ms")


def _draw_legend(figure: Figure, *pictures: Axes) -> None:
    """One legend below both pictures, where it covers nothing; what the first one names comes first."""
    named: dict[str, Any] = {}
    for axes in pictures:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            named.setdefault(label, handle)
    if named:
        figure.legend(
            named.values(), named.keys(), loc="outside lower center", ncols=len(named), fontsize="small"
        )


def _milliseconds(value: float) -> str:
    return f"{value:.3g} ms" if np.isfinite(value) else "no answer"
