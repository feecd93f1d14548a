"""`workbook measure gpu`: how busy GPUs are kept while a command runs."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from autograder.commands import measuring
from labkit.errors import Unavailable, WorkbookError
from labkit.slo import NvmlGpus, judge_gpu, measure_gpu
from labkit.slo.nvml import Busy
from labkit.verdicts import Judgement, Tier, Verdict


def measured(
    command: list[str], seconds: float, warmup: float, interval: float, objective: str, confidence: float
) -> tuple[Judgement, str]:
    """The judgement of a command, and its samples as JSON; no GPU makes it not measured, without samples."""
    at_least = measuring.share(objective)
    if not (0 < at_least < 1 and 0.5 < confidence < 1):
        raise WorkbookError(
            f"A utilisation of {objective} at a confidence of {confidence:g} can't be judged.",
            next_step="Give an objective such as 80%, and a confidence from above 0.5 to below 1.",
        )
    console = Console(stderr=True)
    try:
        with NvmlGpus() as gpus, console.status("starting") as status:

            def show_progress(at: float, seen: list[Busy]) -> None:
                busy = "  ".join(f"{each.utilisation:.0%}" for each in seen)
                status.update(f"{at:.0f} s · utilisation {busy} · Ctrl-C ends it")

            samples = measure_gpu(
                command, gpus, seconds=seconds, warmup=warmup, interval=interval, on_look=show_progress
            )
    except Unavailable as lacking:
        return Judgement(Verdict.NOT_MEASURED, str(lacking), Tier.LOCAL), ""
    return judge_gpu(samples, at_least=at_least, confidence=confidence), samples.as_json()


def check_place(evidence: Path) -> None:
    """Say before anything is measured that its samples could not be kept there.

    Raises:
        WorkbookError: They could not.
    """
    if not os.access(evidence if evidence.exists() else evidence.parent, os.W_OK) or evidence.is_dir():
        raise WorkbookError(
            f"The samples could not be written to {evidence}.",
            next_step="Give a file in a folder that exists.",
        )


def show(console: Console, title: str, judgement: Judgement) -> None:
    """One screen: the verdict, its evidence, and the numbers behind it."""
    style = measuring.STYLES.get(judgement.verdict, "bold")
    console.print(Text(title), Text(f"· {judgement.tier}", style="dim"))
    console.print(Text(f" {judgement.verdict.words}", style=style), Text(f" {judgement.summary}"))
    facts: dict[str, Any] = judgement.measured
    if "windows" not in facts:
        return
    console.print()
    table = Table(show_header=False, box=None, padding=(0, 2))
    table.add_row("windows", "  ".join(f"{mean:.0%}" for mean in facts["windows"]))
    table.add_row(
        "samples", f"{facts['samples']:,} in {facts['seconds']:.0f} s, after {facts['warmup_s']:g} s"
    )
    table.add_row("memory", f"up to {facts['memory_bytes'] / 2**30:.1f} GiB on one GPU")
    table.add_row("driver", facts["driver"])
    console.print(table)


def gpu(
    command: Annotated[list[str], typer.Argument(help="What to run, after --.")],
    seconds: Annotated[
        float, typer.Option(help="How long to measure; then the command is ended. 0: until it ends.")
    ] = 0.0,
    objective: Annotated[str, typer.Option(help="The mean utilisation wanted: 80%, 0.8.")] = "80%",
    confidence: Annotated[float, typer.Option(help="Of the bound that the verdict rests on.")] = 0.99,
    warmup: Annotated[float, typer.Option(help="Seconds at the beginning that are not judged.")] = 5.0,
    interval: Annotated[float, typer.Option(help="Seconds between two looks at the GPUs.")] = 0.5,
    evidence: Annotated[Path | None, typer.Option(help="Keep the samples in this file (JSON).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Are the GPUs kept busy while a command runs?"""
    with measuring.told_plainly(as_json):
        if evidence is not None:
            check_place(evidence)
        judgement, samples = measured(
            command, seconds or float("inf"), warmup, interval, objective, confidence
        )
        if evidence is not None and samples:
            evidence.write_text(samples, encoding="utf-8")
        if as_json:
            said = {"verdict": judgement.verdict.value, "summary": judgement.summary}
            typer.echo(json.dumps({**said, "tier": judgement.tier.value, **judgement.measured}, indent=2))
        else:
            show(Console(), f"{' '.join(command)} · utilisation > {objective}", judgement)
        raise typer.Exit(judgement.verdict.exit_code)
