from __future__ import annotations

import numpy as np
import pytest

from labkit.load import describe, plot
from labkit.load.plots import COLOURS, MOST_POINTS, histogram
from tests.labkit.load.recordings import recording_of


@pytest.fixture
def mixed():
    latency = np.random.default_rng(1).exponential(10, 500)
    latency[7] = np.inf
    return recording_of(latency, kinds=("single", "bulk"), kind=(np.arange(500) % 50 == 0).astype(np.int16))


def test_the_words_say_what_the_picture_shows(mixed):
    text = describe(mixed, limit_ms=100)
    assert "single: 490 requests, 1 misses" in text
    assert "p99" in text
    assert "over 100 ms" in text
    assert "generator itself" in text


def test_both_pictures_are_drawn(mixed, tmp_path):
    picture = plot(mixed, limit_ms=100, title="x")
    over_time, distribution = picture.figure.axes
    assert over_time.get_title() == "Latency over time"
    (legend,) = picture.figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["single", "bulk", "100 ms", "misses"]
    assert distribution.get_xticklabels()[2].get_text() == "p99"
    picture.figure.savefig(tmp_path / "plot.png")
    bundle = picture._repr_mimebundle_()
    assert 'alt="single: 490' in bundle["text/html"]


@pytest.mark.parametrize("latency", [[], [np.inf] * 5, [3.0]])
def test_little_or_nothing_can_be_drawn_too(latency, tmp_path):
    plot(recording_of(latency)).figure.savefig(tmp_path / "plot.png")


def test_a_long_run_is_thinned_but_its_slowest_requests_stay():
    latency = np.ones(60_000)
    latency[31_234] = 5000.0
    axes = plot(recording_of(latency, rate=1000)).figure.axes[0]
    drawn = axes.lines[0].get_ydata()
    assert len(drawn) <= MOST_POINTS * 1.1
    assert max(drawn) == 5000


def test_the_histogram_agrees_with_the_raw_values():
    recording = recording_of(np.arange(1.0, 1001.0))
    assert histogram(recording).get_value_at_percentile(99) / 1000 == pytest.approx(990, rel=0.001)


def test_colours_differ():
    assert len(set(COLOURS)) == len(COLOURS)
