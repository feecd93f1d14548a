"""A process that grades one submission after another; `workers` starts it with a place and its own pid.

Units of work come in as JSON lines, phases and ends go out as JSON lines; what was found lies in the spool.
The process loads all that checks use once. It ends with the one that started it (PID), and never runs a
learner's code itself: notebooks run in the runner, checks in a copy of this process.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from autograder.forked import Forked, preload
from autograder.loading import rubric_path
from autograder.nbgrading.job import Job
from autograder.nbgrading.journal import Found
from autograder.nbgrading.judging import Judging, Part, finish, has_more
from autograder.nbgrading.preparing import Phase, prepare
from labkit.processes import adopt_orphans, die_with_parent, end_descendants


@dataclass(frozen=True)
class Unit:
    """One piece of work: the static checks of one submission and all before them, or its live checks.

    Attributes:
        learner: Whose work.
        part: `static` or `live`.
        source: What was handed in; for the live checks, what the static ones left in the spool.
        key: Of what is judged, and by what.
        due: When the work was due, as ISO text; empty if it was not.
    """

    learner: str
    part: Part
    source: str
    key: str
    due: str = ""

    def to_json(self) -> str:
        """As one line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Unit:
        """From what `to_json` gave."""
        value = json.loads(text)
        return cls(**{**value, "part": Part(value["part"])})


@dataclass(frozen=True)
class Place:
    """Where a worker finds its job and leaves what it found.

    Attributes:
        job: The job's folder.
        spool: Where results go.
        scratch: For what is in the making; on the machine's own disk.
        logs: Where logs are kept.
    """

    job: str
    spool: str
    scratch: str
    logs: str

    def to_json(self) -> str:
        """As one line."""
        return json.dumps(asdict(self))


def grade_unit(job: Job, unit: Unit, place: Place, say: Callable[[Phase], None]) -> bool:
    """Do one unit of work and put what was found into the spool; says whether live checks follow."""
    clock = time.monotonic()
    home = Path(place.spool) / unit.learner
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.scratch, prefix=f"{unit.learner[:20]}-") as scratch:
        work = Path(scratch)
        errors = []
        if unit.part is Part.STATIC:
            due = datetime.fromisoformat(unit.due) if unit.due else None
            record = prepare(job, unit.learner, Path(unit.source), work, due=due, say=say)
        else:
            earlier = Found.read(Path(unit.source))
            if earlier is None:
                raise FileNotFoundError(unit.source)
            record, errors = earlier.record, earlier.own_errors
            shutil.copytree(earlier.folder / "kept", work / "kept")
        judging = Judging(job, unit.learner, work, Path(place.logs), say, Forked, errors)
        record = judging.judge(record, unit.part)
        more = unit.part is Part.STATIC and has_more(job, record)
        if not more:
            finish(job, record, work / "kept")
        record = record.model_copy(update={"seconds": round(record.seconds + time.monotonic() - clock, 3)})
        fresh = home / f"new-{os.getpid()}"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir()
        shutil.copytree(work / "kept", fresh / "kept", dirs_exist_ok=True)
        Found(unit.key, record, judging.own_errors, fresh).write()
    target = home / ("static" if more else "done")
    shutil.rmtree(target, ignore_errors=True)
    fresh.rename(target)
    return more


def main(place: Place, parent: int) -> None:
    """Work until there is nothing more to read, or the one who started us has ended."""
    die_with_parent()
    if os.getppid() != parent:
        return
    adopt_orphans()
    out = os.dup(1)
    os.dup2(2, 1)  # what anything prints goes into the log

    def send(**message: Any) -> None:
        os.write(out, json.dumps(message).encode() + b"\n")

    tempfile.tempdir = place.scratch
    os.environ["TMPDIR"] = place.scratch
    job = Job.read(Path(place.job))
    preload(rubric_path(lab) for lab, _ in job.released.values())
    send(ready=True)
    try:
        for line in sys.stdin:
            unit = Unit.from_json(line)
            try:
                more = grade_unit(job, unit, place, lambda phase: send(phase=asdict(phase)))
                send(done=unit.learner, more=more)
            except Exception as error:  # our own fault: it is told apart from the learner's, and work goes on
                send(
                    failed=unit.learner,
                    error="".join(traceback.format_exception(error)),
                    errno=error.errno if isinstance(error, OSError) else None,
                )
    finally:
        job.close()
        end_descendants()


if __name__ == "__main__":
    main(Place(**json.loads(sys.argv[1])), int(sys.argv[2]))
