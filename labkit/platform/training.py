"""A training on machines that are taken away, seen from outside: which step was trained where, and when.

Each step has its own data in the bucket, so a machine that trains a step reads that object: the gateway's
notes say how often each was trained.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from labkit.errors import WorkFault
from labkit.isolation.guard import PYTHON
from labkit.platform.laying import lay
from labkit.processes import Process
from labkit.storage import Fault, Gateway, Machine, Request
from labkit.storage.machines import AWS, Place

NOTICE_SECONDS = 15.0
LEG_SECONDS = 60.0
_DATA = re.compile(r"data/(\d{4})\.safetensors")
STATE_BYTES = 10_000
"""What is at least this big holds a state, and not only a word about one."""


@dataclass(frozen=True)
class Leg:
    """What one machine did for a training.

    Attributes:
        machine: Its name.
        place: Where it stood.
        begun: When it was started, in the gateway's seconds.
        ended: When it ended or was taken away.
        steps: The steps that it trained, in order.
        times: When it read each one's data, in the gateway's seconds.
        event: How it ended: "done", "noticed" (it left by itself after a notice), "overstayed" (it had to be
            taken away when the notice was over), "killed", or "failed".
        exit_code: The program's.
        said: The last line that it printed.
    """

    machine: str
    place: Place
    begun: float
    ended: float
    steps: list[int]
    times: list[float]
    event: str
    exit_code: int | None
    said: str


class TrainingRun:
    """A training of the learner's, machine after machine.

    Args:
        work: The learner's files.
        gateway: The way to the bucket.
        scratch: Where machines' disks are laid.
        logs: Where their logs go.
        run: The training's name.
        steps: How many there are.
        checkpoint_every: How many steps a checkpoint is apart from the next.
    """

    def __init__(
        self,
        work: Path,
        gateway: Gateway,
        *,
        scratch: Path,
        logs: Path,
        run: str,
        steps: int,
        checkpoint_every: int,
    ) -> None:
        self.work = work
        self.gateway = gateway
        self.scratch = scratch
        self.logs = logs
        self.run = run
        self.steps = steps
        self.checkpoint_every = checkpoint_every
        self.legs: list[Leg] = []

    def leg(
        self,
        place: Place = AWS,
        *,
        warn_at: int | None = None,
        kill_at: int | None = None,
        clock: float = 0.0,
        environment: Mapping[str, str] | None = None,
    ) -> Leg:
        """Train on a fresh machine until it is done or the machine is gone.

        Args:
            place: Where the machine stands.
            warn_at: It gets its notice when it asks for this step's data.
            kill_at: It is gone without a notice when it asks for this step's data.
            clock: By how many seconds its clock is wrong.
            environment: Further variables.
        """
        name = f"{self.run}-{len(self.legs) + 1}-{place.cloud}"
        machine = Machine(
            name,
            self.gateway,
            place=place,
            environment={
                "RUN": self.run,
                "STEPS": str(self.steps),
                "CHECKPOINT_EVERY": str(self.checkpoint_every),
                "CLOCK_OFFSET": str(clock),
                **(environment or {}),
            },
        )
        events: dict[str, float] = {}

        def strike(request: Request) -> Fault | None:
            if request.method != "GET":
                return None
            if warn_at is not None and request.key == data_key(warn_at) and "warned" not in events:
                events["warned"] = time.monotonic()
                machine.warn()
            if kill_at is not None and request.key == data_key(kill_at):
                events["killed"] = time.monotonic()
                machine.take_away()
                return Fault.LOST
            return None

        folder = lay(self.work, self.scratch / name)
        begun = self.gateway.seconds
        self.gateway.hooks[name] = strike
        started = machine.start(
            [PYTHON, "workbook_clock.py", "training.py"], folder, log=self.logs / f"{name}.log"
        )
        try:
            event = _await(started.process, events)
            machine.take_away()
            leg = self._seen(name, place, begun, event, started.process)
        finally:
            del self.gateway.hooks[name]
            machine.close()
        self.legs.append(leg)
        return leg

    def newest_state(self) -> str:
        """The key of the state that was written last.

        Raises:
            WorkFault: None was.
        """
        prefix = f"runs/{self.run}/"
        written = [
            access.request.key
            for access in self.gateway.accesses
            if access.request.method in ("PUT", "POST")
            and access.request.key.startswith(prefix)
            and access.status == 200
        ]
        sizes = self.gateway.direct.list_objects_v2(Bucket=self.gateway.bucket, Prefix=prefix)
        large = {each["Key"] for each in sizes.get("Contents", []) if each["Size"] >= STATE_BYTES}
        for key in reversed(written):
            if key in large:
                return key
        raise WorkFault(
            f"No checkpoint was written below {prefix}.",
            next_step=f"Write one every CHECKPOINT_EVERY ({self.checkpoint_every}) steps.",
        )

    def _seen(self, name: str, place: Place, begun: float, event: str, process: Process) -> Leg:
        reads = [
            access
            for access in self.gateway.accesses
            if access.request.machine == name
            and access.request.method == "GET"
            and _DATA.fullmatch(access.request.key)
            and access.status == 200
        ]
        lines = process.last_lines(1)
        return Leg(
            machine=name,
            place=place,
            begun=begun,
            ended=self.gateway.seconds,
            steps=[int(access.request.key[5:9]) for access in reads],
            times=[access.seconds for access in reads],
            event=event,
            exit_code=process.exit_code,
            said=lines[-1][:200] if lines else "",
        )


def repeated(legs: list[Leg]) -> int:
    """How many steps were trained more than once, counted each time beyond the first."""
    steps = [step for leg in legs for step in leg.steps]
    return len(steps) - len(set(steps))


def data_key(step: int) -> str:
    """Where a step's data lies."""
    return f"data/{step:04d}.safetensors"


def _await(process: Process, events: dict[str, float]) -> str:
    """Wait until a machine's program has ended, or its notice is over; gives the event, as `Leg` has it."""
    begun = time.monotonic()
    while process.exit_code is None:
        if "killed" in events:
            break
        if "warned" in events and time.monotonic() > events["warned"] + NOTICE_SECONDS:
            return "overstayed"
        if time.monotonic() > begun + LEG_SECONDS:
            raise WorkFault(
                f"training.py did not end within {LEG_SECONDS:.0f} s.",
                why=" ".join(process.last_lines(1))[:200],
            )
        time.sleep(0.02)
    if "killed" in events:
        return "killed"
    if process.exit_code != 0:
        return "failed"
    return "noticed" if "warned" in events else "done"
