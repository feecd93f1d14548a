"""What the `workbook measure` commands share: options made into clients and loads, and the screen."""

from __future__ import annotations

import datetime
import ipaddress
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import typer
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Table
from rich.text import Text

from labkit.errors import WorkbookError
from labkit.load import GrpcClient, HttpClient, Kind, Progress, Recording, Schedule, run
from labkit.load.clients import Client
from labkit.verdicts import Tier, Verdict

# What could not be measured at all, because of the address, the file or the option given.
EXIT_NOT_USABLE = 2
PROBES_PER_SECOND = 20.0
STYLES = {"passed": "bold green", "failed": "bold red", "inconclusive": "bold yellow"}
UNITS_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "": 1.0}


@dataclass(frozen=True)
class Load:
    """One measurement's load, as the options give it."""

    rate: float
    seconds: float
    warmup: float
    shape: str
    seed: int

    def __post_init__(self) -> None:
        """Refuse an unknown shape before anything is sent."""
        if self.shape not in ("poisson", "constant"):
            raise WorkbookError(
                f"There is no schedule {self.shape!r}.", next_step="Choose poisson or constant."
            )
        self.schedule(0)

    def schedule(self, attempt: int) -> Schedule:
        """The schedule of a try: another seed and twice the time of the one before."""
        make = Schedule.poisson if self.shape == "poisson" else Schedule.constant
        return make(
            self.rate, seconds=self.seconds * 2**attempt, warmup=self.warmup, seed=self.seed + attempt
        )

    def run(self, client: Client, attempt: int, progress: Callable[[Progress], None] | None) -> Recording:
        """Send it."""
        return run(self.schedule(attempt), client, progress=progress)


def client_for(
    url: str,
    body: Path | None,
    method: str,
    headers: list[str] | None,
    expect: list[int] | None,
    timeout: float,
    insecure: bool,
    probe: str = "",
) -> Client:
    """The client that the options ask for, with the request kinds `requests` and, if asked for, `probe`.

    Raises:
        WorkbookError: If the address, the body or a header can't be used.
    """
    given = dict(header_of(header) for header in headers or ())
    is_grpc = url.startswith("grpc://")
    is_json = not is_grpc and not any(name.lower() == "content-type" for name in given)
    content = b"" if body is None else body_of(body, must_be_json=is_json)
    requests = Kind(
        name="requests",
        share=1.0,
        method=(method or ("POST" if content else "GET")).upper(),
        path=urlsplit(url).path if is_grpc else "",
        bodies=[content],
        headers=given,
        expected=expect,
        timeout=timeout,
    )
    if is_grpc:
        return GrpcClient(url, [requests])
    probes = [Kind(name="probe", rate=PROBES_PER_SECOND, path=probe, timeout=timeout)] if probe else []
    return HttpClient(url, [requests, *probes], verify=not insecure)


def body_of(path: Path, *, must_be_json: bool) -> bytes:
    """The request body in a file.

    Raises:
        WorkbookError: If there is no such file, or if it must be JSON and isn't.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WorkbookError(
            f"The body {path} can't be read.",
            why=f"{error.strerror}.",
            next_step="Give a file that holds one request body.",
        ) from None
    if must_be_json:
        try:
            json.loads(content)
        except ValueError as error:
            raise WorkbookError(
                f"The body {path} is not JSON.",
                why=f"{error}.",
                next_step="Mend it, or say what it is: --header 'Content-Type: ...'.",
            ) from None
    return content


def header_of(text: str) -> tuple[str, str]:
    """Name and value of a header given as `Name: value`.

    Raises:
        WorkbookError: If it isn't one.
    """
    name, colon, value = text.partition(":")
    if not colon or not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) or re.search(r"[\r\n]", value):
        raise WorkbookError(f"{text!r} is no header.", next_step="Give it as 'Name: value'.")
    return name, value.strip()


def milliseconds(text: str) -> float:
    """A time such as `100ms`, `0.2s` or `250us`, in milliseconds; a bare number is milliseconds.

    Raises:
        WorkbookError: If it is none.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?|\.\d+)\s*(us|ms|s|)\s*", text)
    if not match:
        raise WorkbookError(f"{text!r} is no time.", next_step="Give one such as 100ms or 0.2s.")
    return float(match[1]) * UNITS_MS[match[2]]


def share(text: str) -> float:
    """A part of one, written as `99.9%` or `0.999`.

    Raises:
        WorkbookError: If it is none.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?|\.\d+)\s*(%?)\s*", text)
    if not match:
        raise WorkbookError(f"{text!r} is no share.", next_step="Give one such as 99.9% or 0.999.")
    return round(float(match[1]) / (100 if match[2] else 1), 12)


def tier_of(url: str) -> Tier:
    """`local` for a server on this machine, else `real`."""
    host = urlsplit(url).hostname or ""
    try:
        return Tier.LOCAL if ipaddress.ip_address(host).is_loopback else Tier.REAL
    except ValueError:
        return Tier.LOCAL if host == "localhost" or host.endswith(".localhost") else Tier.REAL


def today() -> datetime.date:
    """The date, for a price that is given by hand."""
    return datetime.datetime.now(datetime.UTC).date()


@contextmanager
def told_plainly(as_json: bool) -> Iterator[None]:
    """Print a `WorkbookError` as its sentences, and end with exit code 2."""
    try:
        yield
    except WorkbookError as error:
        if as_json:
            parts = {"what": error.what, "why": error.why, "next_step": error.next_step}
            typer.echo(json.dumps({"verdict": Verdict.NOT_MEASURED.value} | parts, indent=2))
        else:
            for sentence in filter(None, (error.what, error.why, error.next_step)):
                typer.echo(sentence, err=True)
        raise typer.Exit(EXIT_NOT_USABLE) from None


@contextmanager
def progress_on(console: Console, *, quiet: bool) -> Iterator[Callable[[Progress], None] | None]:
    """A bar on the terminal with what is sent and missed; nothing where nobody looks."""
    if quiet:
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task("measuring", total=1.0)

        def show_progress(state: Progress) -> None:
            bar.update(
                task,
                completed=min(state.seconds, state.of_seconds),
                total=state.of_seconds,
                description=f"{state.sent:,} sent · {state.misses:,} misses · Ctrl-C keeps what is measured",
            )

        yield show_progress


def show(console: Console, title: str, facts: dict[str, Any]) -> None:
    """One screen: the verdict, its evidence, and the numbers behind it."""
    verdict = facts["verdict"]
    console.print(Text(title), Text(f"· {facts['tier']}", style="dim"))
    console.print(Text(f" {verdict}", style=STYLES.get(verdict, "bold")), Text(f" {facts['summary']}"))
    if not facts["requests"]:
        return
    console.print()
    table = Table(show_header=False, box=None, padding=(0, 2))
    for label, value in rows(facts):
        table.add_row(label, value)
    console.print(table)


def rows(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """The numbers of a judgement that a person wants to see, as label and text."""
    quantiles = "p50_ms", "p90_ms", "p99_ms", "p99_9_ms", "max_ms"
    shown = [
        (
            "latency",
            "   ".join(f"{name[:-3].replace('_', '.')} {_ms(facts.get(name))}" for name in quantiles),
        ),
        (
            "load",
            f"{facts['requests']:,} requests in {facts['seconds']:.0f} s: {facts['achieved_rate']:.1f}/s "
            f"sent of {facts['scheduled_rate']:g}/s asked for",
        ),
        ("errors", f"{facts['errors']:,}{_outcomes(facts)}"),
        (
            "generator lag",
            f"p99 {_ms(facts['generator_lag_p99_ms'])} (limit {facts['generator_lag_limit_ms']:g} ms)",
        ),
    ]
    if facts.get("retry_after_s") is not None:
        shown.append(("Retry-After", f"up to {facts['retry_after_s']:g} s"))
    if "longest_stall_ms" in facts:
        shown.append(("longest stall", f"the probe waited for up to {_ms(facts['longest_stall_ms'])}"))
    if "usd_per_inference" in facts:
        shown += [
            ("day", f"{facts['usd_per_day']:.2f} USD, {facts['requests_per_day']:,.0f} requests"),
            ("fleet", f"{facts['replica_hours']:.1f} replica-hours, {facts['node_hours']:.1f} node-hours"),
            ("price", f"{facts['usd_per_hour']:g} USD/h, {facts['price_date']}, {facts['price_source']}"),
            ("latency", facts["latency"]),
        ]
    if "rarest_cause_s" in facts:
        shown.append(("holds for", f"causes that recur every {facts['rarest_cause_s']:g} s or oftener"))
    if facts.get("tries", 1) > 1:
        shown.append(("tries", f"{facts['tries']}"))
    return shown


def _outcomes(facts: dict[str, Any]) -> str:
    missed = [
        f"{count:,} {name.replace('_', ' ')}" for name, count in facts["outcomes"].items() if name != "ok"
    ]
    statuses = [f"{count:,} x {status}" for status, count in facts["statuses"].items() if status != "0"]
    return f" ({', '.join(missed)}; statuses {', '.join(statuses) or 'none'})" if missed else ""


def _ms(value: float | None) -> str:
    return "no answer" if value is None else f"{value:.3g} ms"
