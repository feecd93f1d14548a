"""The comparison of serving frameworks: what its page says of the rounds that were measured."""

import json
from types import SimpleNamespace

import pytest

from benchmarks import serving, serving_report
from benchmarks.serving_rounds import BULK, MIXED, ratio
from benchmarks.serving_rows import candidates


def row(name, rate, **more):
    return {
        "name": name,
        "start_seconds": 1.0,
        "memory_bytes": 1 << 28,
        "seconds": 2.0,
        "highest_rate": rate,
        "p50_ms": 1.0,
        "p99_ms": 9.0,
        "bystanders": 0.02,
        **more,
    }


@pytest.fixture
def page(tmp_path, monkeypatch):
    """Writes the page of some rows, and gives its text."""

    def write(*rows):
        monkeypatch.setattr(serving_report, "PAGE", tmp_path / "page.md")
        monkeypatch.setattr(serving_report, "PICTURES", tmp_path / "pictures")
        results = tmp_path / "serving.jsonl"
        results.write_text("".join(json.dumps(each) + "\n" for each in rows))
        serving_report.write(results)
        return (tmp_path / "page.md").read_text()

    return write


def test_a_ratio_is_taken_within_a_round():
    rows = {"a": [row("a", 400), row("a", 100)], "b": [row("b", 200), row("b", 50), row("b", 1)]}
    assert ratio(rows, "a", "b").values == [2.0, 2.0]
    assert ratio(rows, "a", "c") is None
    rows["b"][0] = {"name": "b", "why_not": "it did not start"}
    assert ratio(rows, "a", "b").values == [2.0]


def test_a_row_that_keeps_the_objective_nowhere_bounds_the_ratio():
    found = ratio({"a": [row("a", 400)] * 3, "b": [row("b", 0)] * 3}, "a", "b")
    assert str(found) == "more than 4.00 [4.00, 4.00]"
    assert found.says == "above"


def test_a_ratio_names_a_difference_only_where_the_bracket_does(page):
    reference, seed = "lab 11-01 reference", "seed's server"
    rounds = [(800, 400), (900, 300), (600, 400)]
    text = page(*(row(n, rate) for pair in rounds for n, rate in zip((reference, seed), pair, strict=True)))
    assert f"| {reference} | {seed} | 32 twice a second | 3 | 2.00 [1.50, 3.00] | above |" in text
    text = page(row(reference, 400), row(seed, 200), row(reference, 200), row(seed, 400))
    assert "| 2 | 1.25 [0.50, 2.00] | too few rounds to say |" in text
    text = page(*(row(n, rate) for n in (reference, seed) for rate in (400, 400, 400)))
    assert "| 3 | 1.00 [1.00, 1.00] | no difference shown |" in text


def test_loads_are_kept_apart(page):
    text = page(row("fastapi json", 400), row("fastapi json", 0, load=BULK.name, p99_ms=None))
    assert "| fastapi json | 1 | 1.0 | 256 | 1.0 | 9.0 | 400 |" in text
    assert "| fastapi json | 1 | 256 | 1 | no answer in time | 0 |" in text


def test_what_was_not_measured_has_its_reason(page):
    text = page(row("fastapi json", 400), {"name": "ray json", "why_not": "Ray did not start."})
    assert "- **ray json**: Ray did not start." in text
    assert "- **triton v2**: its turn has not come yet." in text
    assert "fewer than 3 rounds" in text


def test_the_ladder_is_climbed_by_every_second_step_and_back(monkeypatch):
    sent = []

    class Load:
        def __init__(self, **_):
            pass

        def send(self, *_, rate, **__):
            sent.append(rate)
            return Measured(rate)

    class Measured:
        bystanders = 0.0

        def __init__(self, rate):
            self.rate = rate

        def only(self, _):
            return self

        def quantile_ms(self, _):
            return 10.0 if self.rate <= 400 else 500.0

        def lag_quantile_ms(self):
            return 0.1

    monkeypatch.setattr(serving, "Workload", Load)
    served = SimpleNamespace(
        model=SimpleNamespace(rows=[], answers=[], tolerance=0, signature=None), dialect=None
    )
    found = serving.climb(None, served, MIXED, 1.0, seed=0)
    assert sent == [100, 300, 600, 600, 400]
    assert found["highest_rate"] == 400
    assert found["p99_ms"] == 10.0


def test_every_framework_of_the_first_notes_has_a_row():
    rows = " ".join(candidates())
    assert all(name in rows for name in ("torchserve", "triton", "seldon", "kserve", "bentoml", "ray"))
