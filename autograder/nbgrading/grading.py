"""Grades an assignment: workers judge submissions side by side, one writer records what they found.

Scores go into nbgrader's gradebook, notebooks with their outcome tables into `autograded`, and a record of
each submission beside them. The journal says what is done: a run that was cut off goes on where it was.
"""

from __future__ import annotations

import hashlib
import shutil
import time
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import nbformat
from nbgrader.api import Gradebook

from autograder import resources
from autograder.nbgrading.disk import NO_PLACE, no_place, said_if_no_place
from autograder.nbgrading.files import LEARNER_NAME, fingerprint, replace_folder
from autograder.nbgrading.job import Job, Released, Settings
from autograder.nbgrading.journal import Found, Journal, one_run_at_a_time
from autograder.nbgrading.judging import Part, finish, read_own
from autograder.nbgrading.preparing import Phase
from autograder.nbgrading.records import LabRecord, OwnError, Problem, Status, SubmissionRecord, Summary
from autograder.nbgrading.scores import (
    due_date,
    graded_learners,
    open_gradebook,
    require_assignment,
    write_penalties,
    write_scores,
)
from autograder.nbgrading.settings import Folders, nbgrader_config
from autograder.nbgrading.worker import Place, Unit
from autograder.nbgrading.workers import LocalWorkers, Returned, Workers
from labkit.course import Course, find_course
from labkit.errors import WorkbookError


@dataclass(frozen=True)
class Done:
    """A submission was graded, or could not be; `record` is None then."""

    learner: str
    record: SubmissionRecord | None
    done: int
    total: int


@dataclass(frozen=True)
class Step:
    """One unit more of a pass is done (`static` or `live`)."""

    part: str
    done: int
    total: int


GradingEvent = Phase | Done | Step
Listener = Callable[[GradingEvent], None]


def grade(
    assignment: str,
    learners: Sequence[str] | None = None,
    *,
    course: Course | None = None,
    settings: Settings | None = None,
    jobs: int = 1,
    scheduler: str = "",
    again: bool = False,
    on_event: Listener | None = None,
) -> Summary:
    """Grade what was handed in and write scores, `autograded` notebooks and records.

    Work that was graded before, and has not changed since, is not graded again; nor is it when the due date,
    the release and the rubrics are as they were. The static checks of all come first, then the live ones.

    Args:
        assignment: nbgrader's assignment, `week11_serving`.
        learners: Whose work; that of all by default, with those who handed in nothing.
        course: The course around the current folder by default.
        settings: Runner and limits.
        jobs: How many submissions are judged at once, each in a process of its own on this machine.
        scheduler: The address of a Dask cluster that judges them instead.
        again: Grade also what has not changed.
        on_event: Told what happens while it happens.

    Raises:
        WorkbookError: The assignment does not exist or was not released, a named learner handed in nothing,
            another run is at work, the gradebook can't be used, or there is no place on the disk. What one
            submission does is never raised.
    """
    request = Request(
        assignment=assignment,
        learners=learners,
        course=course or find_course(),
        settings=settings or Settings(),
        jobs=jobs,
        scheduler=scheduler,
        say=on_event or (lambda event: None),
    )
    folders = Folders.of(request.course)
    return carry_out(request, folders.grading / assignment, Run, again=again)


@dataclass(frozen=True)
class Request:
    """What `grade` is asked for; its arguments say what each is."""

    assignment: str
    learners: Sequence[str] | None
    course: Course
    settings: Settings
    jobs: int
    scheduler: str
    say: Listener


def carry_out(request: Request, notes: Path, kind: type[Run], *, again: bool) -> Summary:
    """Plan, judge and record.

    Args:
        request: What is asked for.
        notes: The folder of the journal, which says what is done already and takes what is found.
        kind: What records, and what it keeps of earlier runs.
        again: Judge also what has not changed.

    Raises:
        WorkbookError: As `grade` says.
    """
    started = time.monotonic()
    course, assignment, settings = request.course, request.assignment, request.settings
    folders = Folders.of(course)
    job = Job(assignment, read_release(course, assignment), settings, nbgrader_config(course))
    with (
        said_if_no_place(),
        one_run_at_a_time(folders.grading) as scratch,
        open_gradebook(folders.gradebook_url) as gradebook,
    ):
        require_assignment(gradebook, assignment)
        roster = [str(student.id) for student in gradebook.students]
        chosen, refused = _choose(folders, assignment, request.learners, roster)
        journal = Journal(notes)
        run = kind(folders, job, journal, gradebook, request.say, total=len(chosen))
        with run.takes("plan"):
            job_key = job.write(scratch / "job")
            units, found = run.plan(chosen, job_key, again=again)
        place = Place(
            job=str(scratch / "job"),
            spool=str(journal.spool),
            scratch=str(scratch),
            logs=str(course.build / "logs" / "grading"),
        )
        for each in found:
            run.record(each)
        if units and not request.scheduler:
            with run.takes("prepare"):
                labs = [lab for lab, _ in job.released.values()]
                resources.start(job.needs(), fenced=settings.fenced, labs=labs)
        with _workers(place, request.jobs, request.scheduler, run.say) as workers:
            for part in (Part.STATIC, Part.LIVE):
                with run.takes(f"{part} pass"):
                    run.do(part, [unit for unit in units if unit.part is part], workers, units)
        run.end()
    return run.summary(chosen, refused, time.monotonic() - started)


def _workers(place: Place, jobs: int, scheduler: str, say: Listener) -> Workers:
    if scheduler:
        from autograder.nbgrading.cluster import DaskWorkers

        return DaskWorkers(place, scheduler, say)
    return LocalWorkers(place, jobs, say)


@dataclass
class Run:
    """One run of grading: what it plans, gives out and records."""

    folders: Folders
    job: Job
    journal: Journal
    gradebook: Gradebook
    say: Listener
    total: int
    records: dict[str, SubmissionRecord] = field(default_factory=dict)
    kept: list[str] = field(default_factory=list)
    own_errors: list[OwnError] = field(default_factory=list)
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    done: int = 0

    def plan(self, chosen: list[str], job_key: str, *, again: bool) -> tuple[list[Unit], list[Found]]:
        """What is to be done, and what an earlier run left to be recorded."""
        units, found = [], []
        in_gradebook = graded_learners(self.gradebook, self.job.assignment)
        for learner in chosen:
            source = self.folders.submitted(learner, self.job.assignment)
            due = due_date(self.gradebook, self.job.assignment, learner)
            text = due.isoformat() if due else ""
            handed_in = fingerprint(source, self.job.settings.limits)
            key = hashlib.sha256(f"{job_key} {text} {handed_in}".encode()).hexdigest()
            if again:
                self.journal.drop(learner)
            elif self.journal.recorded(learner) == key and (not handed_in or learner in in_gradebook):
                record = self.recorded(learner)
                if record is not None:
                    write_penalties(self.gradebook, record, self.job.config)
                    self.journal.drop(learner)
                    self.kept.append(learner)
                    self.finished(learner, record)
                    continue
            if (whole := self.journal.found(learner, "done", key)) is not None:
                found.append(whole)
            elif (half := self.journal.found(learner, "static", key)) is not None:
                units.append(Unit(learner, Part.LIVE, str(half.folder), key, text))
            else:
                self.journal.drop(learner)
                units.append(Unit(learner, Part.STATIC, str(source), key, text))
        return units, found

    def recorded(self, learner: str) -> SubmissionRecord | None:
        """What stands of a learner's work, if a record of it can be read."""
        try:
            return SubmissionRecord.read(self.folders.result(learner, self.job.assignment))
        except WorkbookError:
            return None

    def do(self, part: Part, units: list[Unit], workers: Workers, later: list[Unit]) -> None:
        """Have these units done, record what is complete, and put what is not among those of later."""
        for number, returned in enumerate(workers.run(units), start=1):
            if returned.errno in NO_PLACE:
                raise no_place(returned.errno)
            unit = returned.unit
            if returned.more:
                source = self.journal.spool / unit.learner / "static"
                later.append(Unit(unit.learner, Part.LIVE, str(source), unit.key, unit.due))
            else:
                self.record(self._found(returned))
            self.say(Step(part, number, len(units)))

    def _found(self, returned: Returned) -> Found:
        unit = returned.unit
        found = None if returned.error else self.journal.found(unit.learner, "done", unit.key)
        if found is None:
            found = self._given_up(unit, returned.error or "The worker left nothing behind.")
        return found

    def _given_up(self, unit: Unit, error: str) -> Found:
        """The outcome of a submission that the grader itself could not grade: a person has to."""
        self.journal.drop(unit.learner)
        folder = self.journal.spool / unit.learner / "done"
        (folder / "kept").mkdir(parents=True)
        message = "The grading of this work ended unexpectedly."
        handed_in = Path(unit.source).is_dir() or unit.part is Part.LIVE
        problem = Problem(status=Status.CRASHED, message=message, detail=error.strip().splitlines()[-1][:300])
        record = SubmissionRecord(
            assignment=self.job.assignment,
            learner=unit.learner,
            started=datetime.now(UTC),
            problems=[problem] if handed_in else [],
            labs=[LabRecord(lab=lab.id, notebook=name) for name, (lab, _) in self.job.released.items()],
        )
        for name, (_, notebook) in self.job.released.items():
            nbformat.write(notebook, folder / "kept" / f"{name}.ipynb")
        finish(self.job, record, folder / "kept")
        found = Found("", record, [OwnError(learner=unit.learner, where="grading", message=error)], folder)
        found.write()
        return found

    def record(self, found: Found) -> None:
        """Write one outcome: the notebooks, the scores, the record, and last the journal's line."""
        learner, record = found.record.learner, found.record
        self.own_errors += found.own_errors
        try:
            with self.takes("record"):
                if self.folders.submitted(learner, self.job.assignment).is_dir():
                    self._write_autograded(found)
                    notebooks = {
                        name: (lab, read_own(found.folder / "kept" / f"{name}.ipynb"))
                        for name, (lab, _) in self.job.released.items()
                    }
                    write_scores(self.gradebook, record, notebooks, self.job.config)
                record.write(self.folders.result(learner, self.job.assignment))
                # What went wrong on our side is tried anew by the next run.
                key = "" if found.own_errors else found.key
                self.journal.mark_recorded(learner, key, record.status.value)
        except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as error:
            message = "".join(traceback.format_exception(error))
            self.own_errors.append(OwnError(learner=learner, where="grading", message=message))
            self.finished(learner, None)
        else:
            self.finished(learner, record)

    def _write_autograded(self, found: Found) -> None:
        """Put the finished folder into `autograded`."""
        target = self.folders.autograded(found.record.learner, self.job.assignment)
        target.parent.mkdir(parents=True, exist_ok=True)
        prepared = target.with_name(f".{target.name}.new")
        shutil.rmtree(prepared, ignore_errors=True)
        shutil.copytree(found.folder / "kept", prepared)
        replace_folder(prepared, target)

    def end(self) -> None:
        """What is left to do when all is judged: here nothing."""

    def finished(self, learner: str, record: SubmissionRecord | None) -> None:
        """Count a submission as done, and say so; without a record it was our own error."""
        if record is not None:
            self.records[learner] = record
        self.done += 1
        self.say(Done(learner, record, self.done, self.total))

    @contextmanager
    def takes(self, what: str) -> Iterator[None]:
        """Count how long that takes."""
        clock = time.monotonic()
        try:
            yield
        finally:
            self.seconds[what] += time.monotonic() - clock

    def summary(self, chosen: list[str], refused: list[str], seconds: float) -> Summary:
        """What this run did."""
        return Summary(
            assignment=self.job.assignment,
            seconds=round(seconds, 3),
            kept=self.kept,
            grader_seconds={what: round(spent, 3) for what, spent in self.seconds.items()},
            records=[self.records[learner] for learner in chosen if learner in self.records],
            own_errors=self.own_errors,
            refused=refused,
        )


def read_release(course: Course, assignment: str) -> Released:
    """Each lab of an assignment and its released notebook, by the notebook's name.

    Raises:
        WorkbookError: There is no such assignment, or it was not released.
    """
    labs = course.assignments.get(assignment)
    if labs is None:
        known = ", ".join(course.assignments)
        raise WorkbookError(f"There is no assignment {assignment!r}.", next_step=f"There are: {known}.")
    folder = Folders.of(course).release(assignment)
    released = {}
    for lab in labs:
        path = folder / f"{lab.name}.ipynb"
        if not path.is_file():
            raise WorkbookError(
                f"The assignment {assignment} has not been released.",
                why=f"{path.name} is not in its release folder.",
                next_step=f"Run workbook release {assignment} first.",
            )
        released[lab.name] = (lab, nbformat.read(path, as_version=4))
    return released


def _choose(
    folders: Folders, assignment: str, learners: Sequence[str] | None, roster: list[str]
) -> tuple[list[str], list[str]]:
    """Whose work is graded, and the folders that bear no learner's name."""
    found = sorted(path.parent.name for path in (folders.root / "submitted").glob(f"*/{assignment}"))
    refused = [
        f"The folder {name!a} was left out: that can't be a learner's name."
        for name in found
        if not LEARNER_NAME.fullmatch(name)
    ]
    able = {name for name in found if LEARNER_NAME.fullmatch(name)} | set(roster)
    if learners is None:
        return sorted(able), refused
    unknown = sorted(set(learners) - able)
    if unknown:
        raise WorkbookError(
            f"Nothing of {', '.join(unknown)} was handed in for {assignment}.",
            next_step="Collect it first, or check the name.",
        )
    return list(dict.fromkeys(learners)), []
