"""What came out of a platform's bad day, as one self-contained page."""

from __future__ import annotations

import base64
import html
import io

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt

from autograder.multicloud.day import EVERY, Day
from labkit.platform.plots import plot_training, training_text

PAGE = "platform.html"


def page_of(day: Day) -> str:
    """One self-contained page."""
    rows = "".join(
        f"<tr><td>{each.verdict.words}</td><td>{html.escape(name)}</td><td>{html.escape(each.summary)}</td></tr>"
        for name, each in day.found.items()
    )
    events = "".join(f"<li>{seconds:.1f} s: {html.escape(text)}</li>" for seconds, text in day.events)
    well, tried = day.score
    words = html.escape(training_text(day.run.legs)) if day.run and day.run.legs else ""
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>A platform\'s bad day</title>'
        "<style>body{font:16px sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
        "td{padding:.3rem 1rem .3rem 0;vertical-align:top}img{max-width:100%}</style>"
        f"<h1>A platform's bad day</h1><p><strong>{well} of {tried} parts went well.</strong></p>"
        f"<table>{rows}</table>"
        f'<img alt="The timeline, below as text" src="data:image/png;base64,{_picture(day)}">'
        f"<pre>{words}</pre><h2>What happened</h2><ol>{events}</ol></html>"
    )


def _picture(day: Day) -> str:
    figure, axes = plt.subplots(2, 1, figsize=(9, 6.5))
    if day.run and day.run.legs:
        plot_training(day.run.legs, checkpoint_every=EVERY, axis=axes[0])
    if day.served:
        axes[1].step(*zip(*day.served, strict=True), where="post", color="#0072B2")
        for seconds, _ in day.events:
            if seconds >= day.served[0][0] - 3:
                axes[1].axvline(seconds, color="#999999", lw=0.8)
    axes[1].set(xlabel="seconds", ylabel="version that answers", title="the edge", yticks=range(4))
    figure.tight_layout()
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=110)
    plt.close(figure)
    return base64.b64encode(file.getvalue()).decode()
