"""`workbook measure`: the harness on its own, on anyone's server."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from autograder.commands import measuring
from autograder.commands.measure_gpu import gpu
from labkit.errors import WorkbookError
from labkit.load import Recording, longest_stall, plot, preflight
from labkit.load.clients import Client
from labkit.slo import (
    AvailabilityObjective,
    Day,
    Fleet,
    Objective,
    cost_of,
    judge,
    judge_cost,
    measure_until_decided,
    price_of,
)
from labkit.slo.cost import Price
from labkit.verdicts import Judgement, Verdict

app = typer.Typer(
    help="Measure a running service: latency, availability, cost per inference; or how busy a GPU is kept.",
    no_args_is_help=True,
)
Url = Annotated[str, typer.Argument(help="http://, https:// or grpc://host:port/package.Service/Method")]
Rate = Annotated[float, typer.Option(help="Requests per second, sent whether or not the server keeps up.")]
Seconds = Annotated[float, typer.Option(help="Length of one measurement.")]
Confidence = Annotated[float, typer.Option(help="Of the bound that the verdict rests on.")]
Body = Annotated[Path | None, typer.Option(help="File with the request body: JSON, unless a header says.")]
Method = Annotated[str, typer.Option(help="HTTP method; POST with a body, GET without.")]
Header = Annotated[list[str] | None, typer.Option(help="'Name: value', as often as needed.")]
Expect = Annotated[list[int] | None, typer.Option(help="A status that is right; 200 alone if not given.")]
Timeout = Annotated[float, typer.Option(help="Seconds after which an unanswered request is a miss.")]
Warmup = Annotated[float, typer.Option(help="Seconds of load before, not judged.")]
Shape = Annotated[str, typer.Option(help="poisson or constant arrivals.")]
Seed = Annotated[int, typer.Option(help="Of the arrival times.")]
Tries = Annotated[int, typer.Option(help="Measurements at most, while it is too close to call.", min=1)]
Insecure = Annotated[bool, typer.Option("--insecure", help="Accept any certificate.")]
Probe = Annotated[str, typer.Option(help="Path asked 20 times a second beside the load, such as /health.")]
PlotFile = Annotated[Path | None, typer.Option("--plot", help="Write a picture to this file (png, svg).")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def latency(
    url: Url,
    rate: Rate = 100.0,
    seconds: Seconds = 30.0,
    objective: Annotated[str, typer.Option(help="The limit: 100ms, 0.2s.")] = "100ms",
    quantile: Annotated[float, typer.Option(help="The part of the requests that must keep it.")] = 0.99,
    confidence: Confidence = 0.99,
    body: Body = None,
    method: Method = "",
    header: Header = None,
    expect: Expect = None,
    timeout: Timeout = 10.0,
    warmup: Warmup = 1.0,
    schedule: Shape = "poisson",
    seed: Seed = 0,
    tries: Tries = 3,
    insecure: Insecure = False,
    probe: Probe = "",
    plot_file: PlotFile = None,
    as_json: AsJson = False,
) -> None:
    """Is this part of all requests answered within the limit?"""
    with measuring.told_plainly(as_json):
        promised = Objective(
            milliseconds=measuring.milliseconds(objective), quantile=quantile, confidence=confidence
        )
        client = measuring.client_for(url, body, method, header, expect, timeout, insecure, probe)
        load = measuring.Load(rate, seconds, warmup, schedule, seed)
        preflight(client)
        decision = measure_until_decided(
            measured_by(load, client, quiet=as_json),
            promised,
            kind="requests",
            tries=tries,
            tier=measuring.tier_of(url),
        )
        shown = Shown(decision.judgement, decision.recordings, promised.milliseconds, bool(probe))
        finish(f"{url} · {rate:g} requests/s · {promised.name} < {objective}", shown, plot_file, as_json)


@app.command()
def availability(
    url: Url,
    rate: Rate = 200.0,
    seconds: Seconds = 100.0,
    objective: Annotated[str, typer.Option(help="The part that must be answered: 99.9%, 0.999.")] = "99.9%",
    confidence: Confidence = 0.99,
    body: Body = None,
    method: Method = "",
    header: Header = None,
    expect: Expect = None,
    timeout: Timeout = 10.0,
    warmup: Warmup = 1.0,
    schedule: Shape = "poisson",
    seed: Seed = 0,
    tries: Tries = 3,
    insecure: Insecure = False,
    plot_file: PlotFile = None,
    as_json: AsJson = False,
) -> None:
    """Is this part of all requests answered rightly before the time-out?"""
    with measuring.told_plainly(as_json):
        promised = AvailabilityObjective(share=measuring.share(objective), confidence=confidence)
        client = measuring.client_for(url, body, method, header, expect, timeout, insecure)
        load = measuring.Load(rate, seconds, warmup, schedule, seed)
        preflight(client)
        decision = measure_until_decided(
            measured_by(load, client, quiet=as_json), promised, tries=tries, tier=measuring.tier_of(url)
        )
        shown = Shown(decision.judgement, decision.recordings)
        finish(f"{url} · {rate:g} requests/s · availability {objective}", shown, plot_file, as_json)


@app.command()
def cost(
    url: Url,
    rate: Annotated[float, typer.Option(help="Requests per second that one replica is to serve.")] = 100.0,
    seconds: Seconds = 30.0,
    objective: Annotated[str, typer.Option(help="The limit kept at that rate: 100ms.")] = "100ms",
    quantile: Annotated[float, typer.Option(help="The part of the requests that must keep it.")] = 0.99,
    confidence: Confidence = 0.99,
    instance: Annotated[
        str, typer.Option(help="The machine of one node, from the price table.")
    ] = "m5.large",
    usd_per_hour: Annotated[float, typer.Option(help="Its price, instead of the table's.")] = 0.0,
    replicas_per_node: Annotated[int, typer.Option(min=1)] = 1,
    least_replicas: Annotated[int, typer.Option(help="How many run at night.", min=1)] = 2,
    peak_rate: Annotated[float, typer.Option(help="Requests per second in a burst of the day.")] = 10.0,
    idle_rate: Annotated[float, typer.Option(help="And between bursts; a hundredth if not given.")] = -1.0,
    at_most: Annotated[float, typer.Option(help="US dollars for one inference.")] = 0.001,
    body: Body = None,
    method: Method = "",
    header: Header = None,
    expect: Expect = None,
    timeout: Timeout = 10.0,
    warmup: Warmup = 1.0,
    seed: Seed = 0,
    insecure: Insecure = False,
    plot_file: PlotFile = None,
    as_json: AsJson = False,
) -> None:
    """What does one inference cost over a bursty, mostly idle day?"""
    with measuring.told_plainly(as_json):
        promised = Objective(
            milliseconds=measuring.milliseconds(objective), quantile=quantile, confidence=confidence
        )
        price = (
            Price("your node", usd_per_hour, measuring.today(), "given on the command line")
            if usd_per_hour > 0
            else price_of(instance)
        )
        day = Day(peak_rate=peak_rate, idle_rate=peak_rate / 100 if idle_rate < 0 else idle_rate)
        fleet = Fleet(replica_rate=rate, replicas_per_node=replicas_per_node, least_replicas=least_replicas)
        client = measuring.client_for(url, body, method, header, expect, timeout, insecure)
        preflight(client)
        load = measuring.Load(rate, seconds, warmup, "poisson", seed)
        recording = measured_by(load, client, quiet=as_json)(0)
        kept = judge(recording, promised, tier=measuring.tier_of(url))
        judgement = judge_cost(
            cost_of(day, fleet, price), recording, at_most_usd=at_most, confidence=confidence
        )
        judgement = priced_if_kept(judgement, kept, rate)
        shown = Shown(judgement, [recording], promised.milliseconds)
        finish(f"{url} · {rate:g} requests/s a replica · {price.instance}", shown, plot_file, as_json)


def priced_if_kept(priced: Judgement, kept: Judgement, rate: float) -> Judgement:
    """The cost's judgement, or that of the rate if one replica does not keep its objective at it."""
    measured = kept.measured | priced.measured | {"latency": kept.summary}
    if kept.verdict is Verdict.PASSED:
        return Judgement(priced.verdict, priced.summary, priced.tier, measured)
    summary = f"One replica does not surely keep its objective at {rate:g} requests/s: {kept.summary}"
    return Judgement(kept.verdict, summary, kept.tier, measured)


@dataclass(frozen=True)
class Shown:
    """What a command prints.

    Attributes:
        judgement: The verdict.
        recordings: What it rests on; the last is plotted.
        limit_ms: The line in the plot.
        probed: Whether a probe ran beside the load.
    """

    judgement: Judgement
    recordings: list[Recording]
    limit_ms: float | None = None
    probed: bool = False

    def as_json(self) -> dict[str, Any]:
        """The judgement as one flat JSON object."""
        measured = dict(self.judgement.measured)
        if self.probed:
            stall = max(longest_stall(each, "probe") for each in self.recordings)
            measured["longest_stall_ms"] = stall.milliseconds
        return {
            "verdict": self.judgement.verdict.value,
            "summary": self.judgement.summary,
            "tier": self.judgement.tier.value,
        } | measured


def measured_by(load: measuring.Load, client: Client, *, quiet: bool) -> Callable[[int], Recording]:
    """What measures once: each further try takes another seed and twice the time."""
    console = Console(stderr=True)

    def measure(attempt: int) -> Recording:
        with measuring.progress_on(console, quiet=quiet or not console.is_terminal) as progress:
            return load.run(client, attempt, progress)

    return measure


def finish(title: str, shown: Shown, plot_file: Path | None, as_json: bool) -> None:
    """Write the plot, print the result, and end with the verdict's exit code."""
    if plot_file is not None:
        picture = plot(shown.recordings[-1], limit_ms=shown.limit_ms, title=title)
        try:
            picture.figure.savefig(plot_file)
        except (OSError, ValueError) as error:
            raise WorkbookError(
                f"The plot could not be written to {plot_file}.",
                why=f"{error}.",
                next_step="Give a file in a folder that exists, ending in .png or .svg.",
            ) from None
    facts = shown.as_json()
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
    else:
        measuring.show(Console(), title, facts)
    raise typer.Exit(shown.judgement.verdict.exit_code)


app.command()(gpu)
