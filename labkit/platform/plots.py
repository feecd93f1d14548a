"""Pictures of what was tried, each with the same as text for whoever can't see it."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from labkit.platform.training import Leg, repeated

COLOURS = {"aws": "#E69F00", "gcp": "#0072B2"}
AGAIN = "#D55E00"
_ENDS = {
    "noticed": ("v", "left at the notice"),
    "overstayed": ("X", "taken away, notice over"),
    "killed": ("X", "taken away, no notice"),
    "failed": ("P", "failed"),
    "done": ("*", "done"),
}


def plot_training(legs: Sequence[Leg], *, checkpoint_every: int, axis: Axes | None = None) -> None:
    """Steps over seconds, a colour a cloud; steps that had been trained before are ringed."""
    axis = axis or plt.subplots(figsize=(9, 3.4))[1]
    begun = legs[0].begun
    seen: set[int] = set()
    for leg in legs:
        seconds = [moment - begun for moment in leg.times]
        colour = COLOURS.get(leg.place.cloud, "#999999")
        axis.axvspan(leg.begun - begun, leg.ended - begun, color=colour, alpha=0.12)
        axis.plot(seconds, leg.steps, ".", color=colour, label=f"{leg.place.cloud}, {leg.place.region}")
        again = [(s, step) for s, step in zip(seconds, leg.steps, strict=True) if step in seen]
        if again:
            axis.plot(*zip(*again, strict=True), "o", mfc="none", color=AGAIN, label="trained before")
        marker, words = _ENDS[leg.event]
        if seconds:
            axis.plot(leg.ended - begun, leg.steps[-1], marker, color="black", ms=9, label=words)
        seen |= set(leg.steps)
    axis.set(xlabel="seconds", ylabel="step", title="which machine trained which step")
    axis.set_yticks(range(0, max(seen, default=0) + 2, checkpoint_every))
    axis.grid(axis="y", alpha=0.3)
    unique = dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
    axis.legend(unique.values(), unique.keys(), fontsize=8, loc="upper left")


def training_text(legs: Sequence[Leg]) -> str:
    """The same in words, a line a machine."""
    lines = [
        f"{leg.machine}: {_steps(leg.steps)}, {_ENDS[leg.event][1]}, {leg.ended - leg.begun:.1f} s"
        for leg in legs
    ]
    return "\n".join([*lines, f"trained more than once: {repeated(list(legs))} steps"])


def _steps(steps: Sequence[int]) -> str:
    return f"steps {steps[0]} to {steps[-1]}" if steps else "no step"
