"""Runs the hour: builds, deploys, sends the load, does what the script says, and keeps all that was seen."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from autograder.fixtures import copy_work
from autograder.images import localised
from autograder.production.bad_model import breaks_always, breaks_on_bright
from autograder.production.contract import LABELS, SERVICE
from autograder.production.deployed import Deployed
from autograder.production.manifests import Manifests, Plan, read_manifests, read_plan
from autograder.production.release import Release, release
from autograder.production.script import HOUR, Event, Part
from autograder.production.traffic import Tracer, Traffic
from labkit.clusters.embedded.cluster import EmbeddedCluster
from labkit.engines import connect
from labkit.engines.base import Engine
from labkit.errors import Unavailable
from labkit.load import Recording, run
from labkit.models import models_folder
from labkit.monitoring import Delivered, Monitoring, PodLogs, Series, joined

FIRST_SECONDS = 3.0
"""How long a part has gone on when something is done to the service."""
SETTLE_SECONDS = 3.0
IMAGES = {name: f"workbook-judge:{name}" for name in ("good", "bad", "broken")}

Say = Callable[[str], None]


@dataclass(frozen=True)
class Happened:
    """Something that was done to the service, or that it did: what, and when in Unix seconds."""

    what: str
    at: float


@dataclass
class Seen:
    """All that was seen in an hour.

    Attributes:
        manifests: The submission's objects.
        plan: Its plan of a release.
        parts: The parts that were run, each with when it began (Unix seconds) and its load.
        happened: What was done, in order.
        releases: What became of each release, by the event that it was.
        alerts: What Alertmanager delivered.
        replicas: Available replicas over time, by Deployment.
        traces: For each traced request, at how many of the two hops a log names it.
    """

    manifests: Manifests
    plan: Plan
    parts: list[tuple[Part, float, Recording]] = field(default_factory=list)
    happened: list[Happened] = field(default_factory=list)
    releases: dict[Event, Release] = field(default_factory=dict)
    alerts: list[Delivered] = field(default_factory=list)
    replicas: dict[str, Series] = field(default_factory=dict)
    traces: dict[str, int] = field(default_factory=dict)

    @property
    def began(self) -> float:
        """When the first part began."""
        return self.parts[0][1]

    def recordings(self, *, without: Sequence[str] = ()) -> list[Recording]:
        """The loads, without those of some parts."""
        return [recording for part, _, recording in self.parts if part.name not in without]

    def of(self, name: str) -> Recording | None:
        """The load of one part."""
        return next((recording for part, _, recording in self.parts if part.name == name), None)


def run_hour(
    submitted: Path, labels_program: str, state: Path, *, script: Sequence[Part] = HOUR, say: Say = print
) -> Seen:
    """Put a submission through an hour; whatever was started is gone afterwards, also when it is interrupted.

    Args:
        submitted: The lab's folder with Dockerfile, manifests, rules.
        labels_program: The labels service's source.
        state: A folder for what runs meanwhile. What an earlier run left in it is ended first.
        script: The parts.
        say: Told in a sentence what is done.

    Raises:
        WorkFault: It does not build, is not rolled out, or a file of it can't be read.
        Unavailable: This machine can't run it.
    """
    manifests, plan = read_manifests(submitted), read_plan(submitted)
    engine = connect()
    _end_leftovers(engine, state)
    try:
        return _run(submitted, labels_program, state, script, say, engine, Seen(manifests, plan))
    finally:
        _end_leftovers(engine, state)


def _run(
    submitted: Path,
    labels_program: str,
    state: Path,
    script: Sequence[Part],
    say: Say,
    engine: Engine,
    seen: Seen,
) -> Seen:
    _build(
        engine, submitted, state / "context", say, bad=any(p.event is Event.BROKEN_RELEASE for p in script)
    )
    say("starting a cluster and its monitoring")
    cluster = EmbeddedCluster(state / "cluster", engine=engine)
    cluster.up()
    if not cluster.capabilities.containers:
        raise Unavailable("The cluster's pods are not containers here.", why=cluster.why_simulated)
    monitoring = Monitoring(
        state / "monitoring", kubeconfig=cluster.kubeconfig, rules=[submitted / "rules.yml"]
    )
    with contextlib.ExitStack() as held:
        held.enter_context(monitoring)
        deployed = held.enter_context(Deployed(cluster, engine, seen.manifests, labels_program, say=say))
        deployed.start(IMAGES["good"])
        logs = [
            held.enter_context(PodLogs(cluster.kubeconfig, "default", f"app={app}"))
            for app in (SERVICE, LABELS)
        ]
        traffic = Traffic()
        client = traffic.client(deployed.url)
        monitoring.wait_for(f'up{{app="{SERVICE}"}} == 1')
        tracer = held.enter_context(Tracer(deployed.url, traffic))
        actions = _Actions(deployed, seen, monitoring)
        with ThreadPoolExecutor(1) as beside:
            for number, part in enumerate(script):
                say(f"{part.name}: {part.seconds:.0f} s at {part.rate:g} to {part.end_rate:g} requests/s")
                began = time.time()
                done: Future[None] = beside.submit(actions.do, part.event)
                recording = run(part.schedule(number), client)
                seen.parts.append((part, began, recording))
                if recording.interrupted:
                    actions.hurry()
                    raise KeyboardInterrupt
                done.result()
        time.sleep(SETTLE_SECONDS)  # what the last seconds fired is delivered, and logged
        seen.alerts = monitoring.alerts()
        seen.replicas = _replicas(monitoring, seen)
        seen.traces = joined([log.lines() for log in logs], tracer.answered)
    return seen


class _Actions:
    """What is done to the service, beside the load; each is noted with its time."""

    def __init__(self, deployed: Deployed, seen: Seen, monitoring: Monitoring) -> None:
        self._deployed, self._seen, self._monitoring = deployed, seen, monitoring
        self._hurried = False

    def hurry(self) -> None:
        """Whoever waits for an event wants to go."""
        self._hurried = True

    def do(self, event: Event) -> None:
        """Do what an event stands for, and wait until it is over."""
        steps = {
            Event.NOTHING: lambda: None,
            Event.UPDATE: lambda: self._release(event, IMAGES["good"]),
            Event.BROKEN_RELEASE: lambda: self._release(event, IMAGES["broken"]),
            Event.BAD_RELEASE: lambda: self._release(event, IMAGES["bad"]),
            Event.KILLS: self._kills,
            Event.DRAIN: self._drain,
            Event.OUTAGE: self._outage,
        }
        if event is not Event.NOTHING:
            self._wait(FIRST_SECONDS)
            steps[event]()

    def _wait(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not self._hurried:
            time.sleep(0.1)

    def _note(self, what: str) -> None:
        self._seen.happened.append(Happened(what, time.time()))

    def _release(self, event: Event, image: str) -> None:
        self._note(f"{event.value} begins")
        found = release(self._deployed, self._seen.plan, image, self._monitoring, self._note)
        self._seen.releases[event] = found

    def _kills(self) -> None:
        self._note("a pod is deleted")
        if self._deployed.delete_pod() is None:
            self._note("none was ready to be deleted")
        self._wait(8)
        self._note("a pod is killed")
        if self._deployed.kill_pod() is None:
            self._note("none was ready to be killed")

    def _drain(self) -> None:
        self._note("the drain begins")
        gone = self._deployed.drain(seconds=30)
        self._note(f"{gone} pods evicted")

    def _outage(self) -> None:
        self._note("labels away")
        self._deployed.labels_away()
        self._wait(15)
        self._deployed.labels_back()
        self._note("labels back")


def _build(engine: Engine, submitted: Path, context: Path, say: Say, *, bad: bool) -> None:
    """Build the submission with the model, and with those of the releases that should not have been."""
    good = models_folder() / "digits" / "model.onnx"
    copy_work(submitted, context)
    for name, tag in IMAGES.items():
        if name == "broken" and not bad:
            continue
        say(f"building the image ({name})")
        target = context / "model.onnx"
        target.unlink(missing_ok=True)
        match name:
            case "good":
                shutil.copyfile(good, target)
            case "bad":
                breaks_on_bright(good, target)
            case _:
                breaks_always(good, target)
        engine.build(context, localised(engine, context / "Dockerfile"), tag, seconds=200)


def _replicas(monitoring: Monitoring, seen: Seen) -> dict[str, Series]:
    last, began, recording = seen.parts[-1]
    query = f'kube_deployment_status_replicas_available{{deployment=~"{SERVICE}.*"}}'
    end = began + recording.warmup + last.seconds
    found = monitoring.prometheus.over(query, seen.began, end)
    return {series.labels["deployment"]: series for series in found}


def _end_leftovers(engine: Engine, state: Path) -> None:
    """End what runs in that folder, and take it away with the images."""
    with _ignoring_nothing_there():
        Monitoring(state / "monitoring").down(purge=True)
    EmbeddedCluster(state / "cluster").down(purge=True)
    shutil.rmtree(state, ignore_errors=True)
    state.mkdir(parents=True, exist_ok=True)
    for tag in IMAGES.values():
        engine.remove(tag)


@contextlib.contextmanager
def _ignoring_nothing_there() -> Iterator[None]:
    """A monitoring that was cut off while it was set up has no ports yet, or no folder."""
    with contextlib.suppress(FileNotFoundError, KeyError):
        yield
