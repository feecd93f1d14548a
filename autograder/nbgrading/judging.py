"""Judges one submission: the notebook is put in order and run, then the files are judged from outside.

A learner's code never runs in this process, and nothing of what it prints, returns or writes into its outputs
is a score. Only plain files go from one step to the next.
"""

from __future__ import annotations

import copy
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbgrader.utils import parse_utc

from autograder.checking import run_checks
from autograder.loading import load_rubric
from autograder.nbgrading.files import Limits, TooMuch, copy_plain
from autograder.nbgrading.pages import put_notice, put_outcomes
from autograder.nbgrading.records import LabRecord, OwnError, Problem, Status, SubmissionRecord
from autograder.nbgrading.runner import NotebookRunner, RunLimits, can_isolate, choose_runner
from autograder.nbgrading.settings import Folders
from autograder.nbgrading.submitted import Unreadable, make_harmless, read_submitted, sanitise
from autograder.results import Outcome, Report
from labkit.course import Course, Lab
from labkit.errors import WorkbookError
from labkit.verdicts import Verdict


@dataclass(frozen=True)
class Phase:
    """The grading of a submission has come to this."""

    learner: str
    lab: str
    phase: str


@dataclass(frozen=True)
class Settings:
    """How submissions are graded.

    Attributes:
        runner: Runs the notebooks.
        run_limits: What running one may take.
        limits: How much a submission may hold.
        run: Whether notebooks are run; by default those that say so (`"workbook": {"run": true}`).
        fenced: Whether checks run learners' servers and functions in sandboxes.
    """

    runner: NotebookRunner = field(default_factory=choose_runner)
    run_limits: RunLimits = field(default_factory=RunLimits)
    limits: Limits = field(default_factory=Limits)
    run: bool | None = None
    fenced: bool = field(default_factory=can_isolate)


@dataclass
class Judged:
    """What came of one submission, before anything is written.

    Attributes:
        record: What was found.
        notebooks: Each lab and the notebook to show, by the notebook's name.
        folder: What goes into `autograded`.
        own_errors: What went wrong on our side.
    """

    record: SubmissionRecord
    notebooks: dict[str, tuple[Lab, NotebookNode]]
    folder: Path
    own_errors: list[OwnError]


@contextmanager
def judge_submission(
    course: Course,
    assignment: str,
    learner: str,
    released: dict[str, tuple[Lab, NotebookNode]],
    config: Any,
    settings: Settings,
    *,
    due: datetime | None = None,
    say: Callable[[Phase], None] = lambda event: None,
) -> Iterator[Judged]:
    """Judge one submission on a copy of its plain files; the copy is gone afterwards.

    Args:
        course: Where submissions and releases lie.
        assignment: nbgrader's assignment.
        learner: Whose work.
        released: The labs to judge and their released notebooks, by the notebook's name.
        config: nbgrader's configuration.
        settings: Runner and limits.
        due: When the work was due, if it was.
        say: Told of each phase.
    """
    clock = time.monotonic()
    started = datetime.now(UTC)
    folders = Folders.of(course)
    source = folders.submitted(learner, assignment)
    with tempfile.TemporaryDirectory(prefix="workbook-grading-") as scratch:
        unit = _Unit(course, learner, Path(scratch), config, settings, say)
        problems, remarks = unit.take_over(source)
        submitted, wrong = _submitted_at(source)
        late = max(0.0, (submitted - due).total_seconds()) if submitted and due else 0.0
        if late:
            wrong.append(f"It was handed in {_in_words(late)} after it was due.")
        if not problems:
            wrong += _extra_notebooks(unit.handed_in, {lab.name for lab in course.assignments[assignment]})
        unit.remarks += [*wrong, *remarks]
        labs, notebooks = unit.judge(released, problems)
        record = SubmissionRecord(
            assignment=assignment,
            learner=learner,
            submitted=submitted,
            late_seconds=late,
            started=started,
            seconds=round(time.monotonic() - clock, 3),
            problems=problems,
            remarks=unit.remarks,
            labs=labs,
        )
        yield Judged(record, notebooks, unit.kept, unit.own_errors)


def _submitted_at(source: Path) -> tuple[datetime | None, list[str]]:
    """When it was handed in, from the file that the exchange writes."""
    path = source / "timestamp.txt"
    if not path.is_file() or path.is_symlink():
        return None, []
    text = path.read_bytes()[:100].decode(errors="replace").strip()
    try:
        return parse_utc(text).replace(tzinfo=UTC), []
    except (ValueError, OverflowError):
        return None, ["timestamp.txt holds no time; when the work was handed in is not known."]


def _in_words(seconds: float) -> str:
    minutes = max(1, round(seconds / 60))
    days, hours = divmod(minutes // 60, 24)
    parts = [f"{days} d" * bool(days), f"{hours} h" * bool(hours), f"{minutes % 60} min" * bool(minutes % 60)]
    return " ".join(filter(None, parts))


def _extra_notebooks(folder: Path, names: set[str]) -> list[str]:
    extra = sorted(path.name for path in folder.glob("*.ipynb") if path.stem not in names)
    return [f"{name} is not part of the assignment and was not looked at." for name in extra]


@dataclass
class _Unit:
    """The work on one submission: folders of plain files that follow on each other."""

    course: Course
    learner: str
    scratch: Path
    config: Any
    settings: Settings
    say: Callable[[Phase], None]
    own_errors: list[OwnError] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    @property
    def handed_in(self) -> Path:
        """The plain files as they were handed in."""
        return self.scratch / "handed_in"

    @property
    def kept(self) -> Path:
        """The plain files after the notebooks ran."""
        return self.scratch / "kept"

    def take_over(self, source: Path) -> tuple[list[Problem], list[str]]:
        """Copy what was handed in; says what stands in the way of judging it, and what was left out."""
        self.handed_in.mkdir()
        self.kept.mkdir()
        if not source.is_dir() or source.is_symlink():
            return [Problem(status=Status.MISSING, message="Nothing was handed in.")], []
        try:
            copied = copy_plain(source, self.handed_in, self.settings.limits)
        except TooMuch as error:
            message = f"What was handed in could not be taken: {error}"
            return [Problem(status=Status.INVALID, message=message)], []
        if not [path for path in copied.files if path.name != "timestamp.txt"]:
            message = "What was handed in is empty."
            return [Problem(status=Status.MISSING, message=message)], copied.left_out
        return [], copied.left_out

    def judge(
        self, released: dict[str, tuple[Lab, NotebookNode]], problems: list[Problem]
    ) -> tuple[list[LabRecord], dict[str, tuple[Lab, NotebookNode]]]:
        """Put each notebook in order and run it, then judge the files of each lab."""
        work = self.scratch / "work"
        shutil.copytree(self.handed_in, work)
        found: dict[str, LabRecord] = {}
        notebooks = {}
        for name, (lab, original) in released.items():
            notebook, found[name] = self._notebook(lab, original, work, skip=bool(problems))
            notebooks[name] = (lab, notebook)
        self._keep(work, found)
        for name, (lab, notebook) in notebooks.items():
            found[name] = self._judge_lab(lab, notebook, found[name], problems)
            self._notice(notebook, problems, found[name])
            nbformat.write(notebook, self.kept / f"{name}.ipynb")
        return list(found.values()), notebooks

    def _notebook(
        self, lab: Lab, original: NotebookNode, work: Path, *, skip: bool
    ) -> tuple[NotebookNode, LabRecord]:
        """Step one for one lab: the learner's notebook in order, and run where that makes what is judged."""
        record = LabRecord(lab=lab.id, notebook=lab.name)
        if skip:
            return _fresh(original), record
        try:
            with self._phase(lab, "sanitise") as spent:
                notebook = self._in_order(lab, original)
        except Unreadable as error:
            return _fresh(original), record.model_copy(update={"problems": [error.problem], "seconds": spent})
        problems: list[Problem] = []
        if self.settings.run if self.settings.run is not None else needs_run(original):
            with self._phase(lab, "run", spent):
                ran = self.settings.runner.run(to_run(notebook), work, self.settings.run_limits)
            notebook = _with_outputs(notebook, ran.notebook)
            problems = [ran.problem] if ran.problem else []
            self.remarks += ran.remarks
            record = record.model_copy(update={"isolation": ran.isolation})
        make_harmless(notebook)
        return notebook, record.model_copy(update={"problems": problems, "seconds": spent})

    def _in_order(self, lab: Lab, original: NotebookNode) -> NotebookNode:
        path = self.handed_in / f"{lab.name}.ipynb"
        notebook = read_submitted(path)
        names = {
            "student": self.learner,
            "assignment": lab.assignment,
            "notebook": lab.name,
            "db_url": Folders.of(self.course).gradebook_url,
        }
        try:
            notebook, changes = sanitise(notebook, original, names=names, config=self.config)
        except Exception as error:  # whatever a hostile notebook brings nbgrader's preprocessors to
            message = f"The cells of {path.name} could not be put in order."
            problem = Problem(
                status=Status.INVALID, message=message, detail=f"{type(error).__name__}: {error}"
            )
            raise Unreadable(problem) from error
        self.remarks += changes
        return notebook

    def _keep(self, work: Path, found: dict[str, LabRecord]) -> None:
        """Take over the plain files that are there after the notebooks ran."""
        try:
            copied = copy_plain(work, self.kept, self.settings.limits)
        except TooMuch as error:
            shutil.rmtree(self.kept)
            shutil.copytree(self.handed_in, self.kept)
            message = f"What the notebook left behind could not be taken: {error}"
            problem = Problem(status=Status.CRASHED, message=message)
            for name, record in found.items():
                if "run" in record.seconds:
                    found[name] = record.model_copy(update={"problems": [*record.problems, problem]})
        else:
            handed_in_links = set(self.remarks)
            self.remarks += [remark for remark in copied.left_out if remark not in handed_in_links]
        for notebook in self.kept.glob("*.ipynb"):
            notebook.unlink()

    def _judge_lab(
        self, lab: Lab, notebook: NotebookNode, record: LabRecord, problems: list[Problem]
    ) -> LabRecord:
        """Step two for one lab: judge the files, and put what was found into the notebook."""
        spent = dict(record.seconds)
        report: Report | None
        if problems:
            nothing = problems[0].status is Status.MISSING
            report = _nothing_to_judge(lab, problems[0].message) if nothing else None
        else:
            with self._phase(lab, "judge", spent):
                report = self._report(lab)
        if report is not None:
            put_outcomes(notebook, lab, report)
        return record.model_copy(update={"report": report, "seconds": spent})

    def _report(self, lab: Lab) -> Report | None:
        judged = self.scratch / "judged" / lab.name / lab.assignment
        shutil.copytree(self.kept, judged)
        logs = self.course.build / "logs" / "grading" / self.learner
        try:
            report = run_checks(lab, judged, grading=True, fenced=self.settings.fenced, logs=logs)
        except WorkbookError as error:
            self.own_errors.append(OwnError(learner=self.learner, where=lab.id, message=str(error)))
            return None
        self.own_errors += [
            OwnError(learner=self.learner, where=f"{lab.id}, {outcome.check}", message=outcome.evidence)
            for outcome in report.outcomes
            if outcome.verdict is Verdict.ERROR
        ]
        return report

    def _notice(self, notebook: NotebookNode, problems: list[Problem], record: LabRecord) -> None:
        grave = [problem.message for problem in (*problems, *record.problems)]
        if record.report is None:
            grave.append("The checks have not been run; a person will look at this.")
        elif record.problems:
            grave.append("The files that were handed in were judged nevertheless.")
        put_notice(notebook, [*grave, *self.remarks], grave=bool(grave))

    @contextmanager
    def _phase(
        self, lab: Lab, phase: str, spent: dict[str, float] | None = None
    ) -> Iterator[dict[str, float]]:
        spent = {} if spent is None else spent
        self.say(Phase(self.learner, lab.id, phase))
        clock = time.monotonic()
        try:
            yield spent
        finally:
            spent[phase] = round(time.monotonic() - clock, 3)


def needs_run(released: NotebookNode) -> bool:
    """Whether running the notebook makes what is judged; else the files as handed in are all that counts."""
    return bool(released.metadata.get("workbook", {}).get("run", False))


def to_run(notebook: NotebookNode) -> NotebookNode:
    """A copy without outputs that asks for the short form of demonstrations where there is one."""
    copied: NotebookNode = copy.deepcopy(notebook)
    for cell in copied.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
        if "parameters" in cell.metadata.get("tags", []) and "FAST" in cell.source:
            cell.source += "\nFAST = True"
    return copied


def _fresh(original: NotebookNode) -> NotebookNode:
    notebook: NotebookNode = nbformat.from_dict(original)
    make_harmless(notebook)
    return notebook


def _with_outputs(notebook: NotebookNode, executed: NotebookNode) -> NotebookNode:
    """Our notebook with the outputs of the one that ran: its sources and metadata may be anything by now."""
    outputs = {cell.get("id"): cell for cell in executed.cells if cell.cell_type == "code"}
    for cell in notebook.cells:
        if cell.cell_type == "code" and cell.get("id") in outputs:
            cell.outputs = outputs[cell.id].outputs
            cell.execution_count = outputs[cell.id].execution_count
    return notebook


def _nothing_to_judge(lab: Lab, why: str) -> Report:
    return Report(
        lab=lab.id,
        started=datetime.now(UTC),
        outcomes=[
            Outcome(
                check=spec.name,
                title=spec.title,
                verdict=Verdict.FAILED,
                points=0,
                maximum=spec.points,
                evidence=why,
                hidden=spec.hidden,
                hints=len(spec.hints),
            )
            for spec in load_rubric(lab).checks
        ],
    )
