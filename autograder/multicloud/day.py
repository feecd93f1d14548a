"""A bad day for a platform: prices move, machines go, promoters race, the store dies, the line is cut."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from labkit.errors import WorkbookError, WorkFault
from labkit.isolation import janitor
from labkit.isolation.functions import LearnerFunction
from labkit.platform import Contents, Device, Promoter, TrainingRun, race, training_data
from labkit.platform.data import arrays_of, scores
from labkit.platform.offers import cases, optimum, outcome
from labkit.platform.promoters import Raised
from labkit.platform.training import repeated
from labkit.storage import Fault, Gateway, Request, SeaweedStore
from labkit.storage.machines import AWS, GCP
from labkit.verdicts import Judgement, Verdict

STEPS, EVERY = 36, 9
ROUNDS, SHORT_ROUNDS, EACH = 125, 10, 4
MODEL, STAGE = "digits", "production"
Say = Callable[[str], None]


@dataclass
class Day:
    """What was seen.

    Attributes:
        found: What each part came to, by its name.
        events: What happened, and when, in seconds since it began.
        served: Which version the device answered with, and when; 0 if none.
        run: The training.
    """

    found: dict[str, Judgement] = field(default_factory=dict)
    events: list[tuple[float, str]] = field(default_factory=list)
    served: list[tuple[float, int]] = field(default_factory=list)
    run: TrainingRun | None = None

    @property
    def verdict(self) -> Verdict:
        """The most urgent of all."""
        return Verdict.worst([each.verdict for each in self.found.values()])

    @property
    def score(self) -> tuple[int, int]:
        """How many parts went well, and of how many that could be tried."""
        tried = [each for each in self.found.values() if each.verdict is not Verdict.NOT_MEASURED]
        return sum(each.verdict is Verdict.PASSED for each in tried), len(tried)


def live_through(work: Path, logs: Path, *, say: Say, short: bool = False) -> Day:
    """Take a learner's platform through the day.

    All that it starts ends with it, also when it is interrupted; begun again, it begins anew.

    Args:
        work: The learner's files of the lab.
        logs: Where logs go.
        say: Told of each event.
        short: Fewer promotions.

    Raises:
        Unavailable: There is no object store for this machine.
    """
    day = Day()
    with tempfile.TemporaryDirectory(prefix=janitor.prefix("platform")) as folder:
        scratch = Path(folder)
        store = SeaweedStore(scratch / "store")
        store.up()
        try:
            with Gateway(store.url, "platform") as gateway:
                _Stage(day, work, scratch, logs, store, gateway, say).play(SHORT_ROUNDS if short else ROUNDS)
        finally:
            store.kill()
    return day


class _Stage:
    """The day as it runs."""

    def __init__(
        self, day: Day, work: Path, scratch: Path, logs: Path, store: SeaweedStore, gateway: Gateway, say: Say
    ) -> None:
        self.day, self.store, self.gateway, self.work = day, store, gateway, work
        self.contents = Contents(gateway)
        self.folders: dict[str, Any] = {"scratch": scratch, "logs": logs}
        self.logs = logs
        self._say = say

    def play(self, rounds: int) -> None:
        """Everything, one after another: a part that fails does not hide the others."""
        with self.part("prices move"):
            self.prices()
        with self.part("training goes on"):
            self.training()
        with self.part("promotions race"):
            self.promotions(rounds)
        with self.part("the store dies"):
            self.store_dies()
        with self.part("the edge is cut off"):
            self.edge()

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Keep what a part came to, also when it ends in a fault of the learner's."""
        self.tell(name)
        try:
            yield
        except WorkFault as error:
            self.day.found[name] = Judgement(Verdict.FAILED, str(error))
        except WorkbookError as error:
            self.day.found[name] = Judgement(Verdict.NOT_MEASURED, str(error))

    def tell(self, text: str) -> None:
        """Note an event."""
        self.day.events.append((self.gateway.seconds, text))
        self._say(text)

    def judge(self, name: str, right: bool, text: str) -> None:
        """Keep what a part came to."""
        self.day.found[name] = Judgement(Verdict.PASSED if right else Verdict.FAILED, text)

    def prices(self) -> None:
        """Twelve jobs, each again after spot prices have doubled in the region that was best."""
        near = tried = 0
        with LearnerFunction("planner:plan", self.work, log=self.logs / "planner.log", seconds=30) as plan:
            for case in cases(12, seed=99):
                best = optimum(case)
                if best is None:
                    continue
                region = best.offer["region"]
                moved = [
                    {**o, "spot": o["spot"] and 2 * o["spot"]} if o["region"] == region else o
                    for o in case.offers
                ]
                for now in (case, type(case)(case.job, moved)):
                    wanted, chosen = optimum(now), plan(now.job, now.offers)
                    tried += 1
                    near += wanted is not None and _close(now, chosen, wanted.usd)
        self.judge("prices move", near == tried, f"{near} of {tried} plans within 5 % of the best")

    def training(self) -> None:
        """Notice, another cloud with a wrong clock, a kill, a damaged checkpoint, the end."""
        objects, _ = training_data(STEPS)
        for key, content in objects.items():
            self.contents.put(key, content)
        run = self.day.run = TrainingRun(
            *(self.work, self.gateway), **self.folders, run="day", steps=STEPS, checkpoint_every=EVERY
        )
        self.tell("a spot machine gets its notice")
        run.leg(AWS, warn_at=13)
        self.tell("on in another cloud, two hours behind; gone without a notice")
        run.leg(GCP, kill_at=29, clock=-7200)
        self.contents.damage(run.newest_state())
        self.tell("its newest checkpoint is damaged; on in the first cloud")
        last = run.leg(AWS)
        plain = TrainingRun(
            *(self.work, self.gateway), **self.folders, run="plain", steps=STEPS, checkpoint_every=EVERY
        )
        self.tell("the same training once more, uninterrupted, to compare with")
        plain.leg(AWS)
        results = [self.contents.get(f"runs/{name}/model.safetensors") for name in ("day", "plain")]
        same = None not in results and _near(*(arrays_of(each or b"") for each in results))
        again, done = repeated(run.legs), {step for leg in run.legs for step in leg.steps}
        self.judge(
            "training goes on",
            last.event == "done" and done == set(range(STEPS)) and again <= 2 * EVERY + 1 and same,
            f"{len(done)} of {STEPS} steps, {again} trained again; it ended {last.event}, "
            f"with {'the' if same else 'other'} weights {'of' if same else 'than'} an uninterrupted training",
        )

    def promotions(self, rounds: int) -> None:
        """What was trained is registered with others, and promoted by two clouds at once."""
        trained = self.contents.get("runs/day/model.safetensors")
        if trained is None:
            raise WorkFault("There is no trained model to register.")
        with self._promoters() as (here, there):
            for number in range(2 * EACH + 1):
                here.call("register", MODEL, trained, {"run": "day", "try": number})
            self.tell(f"{2 * EACH * rounds} promotions from two clouds")
            found = race([here, there], MODEL, STAGE, rounds=rounds, each=EACH, contents=self.contents)
        history = self.contents.stage(MODEL, STAGE).history
        self.judge(
            "promotions race",
            found.clean and history == found.winners,
            f"{found.promotions} promotions in {found.rounds} races: "
            f"{found.with_several} with several winners, "
            f"{found.without_winner} without one, {found.lost} lost; {found.seconds:.0f} s",
        )

    def store_dies(self) -> None:
        """The store is killed while somebody promotes; whoever comes next finds it whole."""
        before = self.contents.stage(MODEL, STAGE)
        with self._promoters("after-") as (here, there):
            self.gateway.hooks[here.name] = self._dies
            self.tell("the store is killed during a promotion")
            try:
                here.call("promote", MODEL, 1 if before.version != 1 else 2, STAGE, before.version)
                told = "won"
            except Raised as error:
                told = error.name
            del self.gateway.hooks[here.name]
            self.store.up()
            self.tell("the store is back")
            stage = _patiently(lambda: self.contents.stage(MODEL, STAGE))
            number = 3 if stage.version != 3 else 4
            there.call("promote", MODEL, number, STAGE, stage.version)
        after = self.contents.stage(MODEL, STAGE)
        whole = stage.history[: len(before.history)] == before.history and after.history[-1] == number
        self.judge(
            "the store dies", whole and told != "won", f"the promoter was told {told}; the stage is whole"
        )

    def edge(self) -> None:
        """Cut off, a damaged version, a restart without a line, and back."""
        artifact = self.contents.get("runs/day/model.safetensors")
        if artifact is None:
            raise WorkFault("There is no trained model to serve.")
        for version in (1, 2):
            self.contents.publish("edge", version, artifact)
        self.contents.publish("edge", 3, artifact, sha256="0" * 64)
        self.contents.set_stage("edge", STAGE, [1])
        images = np.random.default_rng(3).uniform(0, 1, (4, 784)).round(3).astype(np.float32)
        wanted = scores(artifact, images)
        wrong = asked = 0
        settings = {"MODEL": "edge", "POLL_SECONDS": "0.3"}
        with Device(self.work, self.gateway, **self.folders, environment=settings) as device:

            def watch(seconds: float, version: int, text: str) -> None:
                nonlocal wrong, asked
                self.tell(text)
                reached = device.serves(version, 10)
                until = self.gateway.seconds + seconds
                while self.gateway.seconds < until:
                    answer = device.ask(images.tolist())
                    self.day.served.append((self.gateway.seconds, answer.version or 0))
                    asked += 1
                    wrong += not (reached and answer.version == version and _same(answer.value, wanted))

            device.start()
            watch(1.5, 1, "the device serves version 1")
            self.contents.set_stage("edge", STAGE, [1, 2])
            watch(1.5, 2, "version 2 is promoted")
            self.contents.set_stage("edge", STAGE, [1, 2, 3])
            watch(1.5, 2, "a damaged version 3 is promoted")
            device.cut()
            self.contents.set_stage("edge", STAGE, [1, 2, 3, 1])
            watch(1.5, 2, "the line is cut; back to version 1")
            device.stop()
            device.start(linked=False)
            watch(1.5, 2, "restarted without its line")
            device.restore()
            watch(1.5, 1, "the line is back")
        self.judge(
            "the edge is cut off", not wrong, f"{asked} answers through it all, {wrong} of them wrong or lost"
        )

    def _dies(self, request: Request) -> Fault | None:
        """The store is gone when somebody is about to write."""
        if request.method == "PUT":
            self.store.kill()
        return None

    @contextmanager
    def _promoters(self, prefix: str = "") -> Iterator[tuple[Promoter, Promoter]]:
        with (
            Promoter(
                self.work, self.gateway, name=f"{prefix}promoter-aws", place=AWS, **self.folders
            ) as here,
            Promoter(
                *(self.work, self.gateway),
                name=f"{prefix}promoter-gcp",
                place=GCP,
                clock=-7200,
                **self.folders,
            ) as there,
        ):
            yield here, there


def _close(case: Any, chosen: Any, usd: float) -> bool:
    try:
        names = ("cloud", "region", "instance")
        offer = next(o for o in case.offers if all(o[name] == chosen[name] for name in names))
        found = outcome(case.job, offer, int(chosen["on_demand"]), int(chosen["spot"]))
    except (KeyError, TypeError, ValueError, StopIteration):
        return False
    return found is not None and found.usd <= 1.05 * usd


def _near(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return all(bool(np.abs(one[name] - other[name]).max() <= 1e-4) for name in other)


def _same(value: Any, wanted: Any) -> bool:
    try:
        given = np.array(value["scores"], dtype=np.float64)
    except (KeyError, TypeError, ValueError):
        return False
    return given.shape == wanted.shape and bool(np.abs(given - wanted).max() <= 1e-3)


def _patiently(read: Callable[[], Any], seconds: float = 40.0) -> Any:
    """Read from a store that has just been started again: some of its parts come later than its answers."""
    import time

    from botocore.exceptions import BotoCoreError, ClientError

    deadline = time.monotonic() + seconds
    while True:
        try:
            return read()
        except (BotoCoreError, ClientError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)
