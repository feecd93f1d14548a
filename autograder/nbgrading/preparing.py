"""Step one of grading a submission: its plain files, its notebooks in order and, where that counts, run.

A learner's code runs in here at most, in the runner; only plain files go on to step two.
"""

from __future__ import annotations

import copy
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbgrader.utils import parse_utc

from autograder import machine
from autograder.nbgrading.files import TooMuch, copy_plain
from autograder.nbgrading.job import Job
from autograder.nbgrading.records import LabRecord, Problem, Status, SubmissionRecord
from autograder.nbgrading.submitted import Unreadable, make_harmless, read_submitted, sanitise
from labkit.course import Lab
from labkit.errors import WorkbookError


@dataclass(frozen=True)
class Phase:
    """The grading of a submission has come to this."""

    learner: str
    lab: str
    phase: str


Say = Callable[[Phase], None]


def prepare(
    job: Job, learner: str, source: Path, place: Path, *, due: datetime | None, say: Say
) -> SubmissionRecord:
    """Do step one on a copy of a submission's plain files.

    Args:
        job: By what it is judged.
        learner: Whose work.
        source: What was handed in; it may not be there.
        place: An empty folder; `kept` in it holds the plain files and each lab's notebook afterwards.
        due: When the work was due, if it was.
        say: Told of each phase.

    Returns:
        The record, with no report yet.
    """
    started = datetime.now(UTC)
    with machine.shared():
        work = Preparation(job, learner, place, say)
        problems, remarks = work.take_over(source)
        submitted, wrong = _submitted_at(source)
        late = max(0.0, (submitted - due).total_seconds()) if submitted and due else 0.0
        if late:
            wrong.append(f"It was handed in {_in_words(late)} after it was due.")
        if not problems:
            wrong += _extra_notebooks(work.handed_in, job.names)
        work.remarks += [*wrong, *remarks]
        labs = work.bring_in_order(problems)
        shutil.rmtree(work.handed_in)
    return SubmissionRecord(
        assignment=job.assignment,
        learner=learner,
        submitted=submitted,
        late_seconds=late,
        started=started,
        problems=problems,
        remarks=work.remarks,
        labs=labs,
    )


@contextmanager
def timed(say: Say, phase: Phase, spent: dict[str, float]) -> Iterator[None]:
    """Say that a phase has begun, and add what it took to `spent`."""
    say(phase)
    clock = time.monotonic()
    try:
        yield
    finally:
        spent[phase.phase] = round(spent.get(phase.phase, 0.0) + time.monotonic() - clock, 3)


def _submitted_at(source: Path) -> tuple[datetime | None, list[str]]:
    """When it was handed in, from the file that the exchange writes."""
    path = source / "timestamp.txt"
    if not path.is_file() or path.is_symlink():
        return None, []
    with path.open("rb") as file:
        text = file.read(100).decode(errors="replace").strip()
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
class Preparation:
    """The work on one submission: folders of plain files that follow on each other.

    Attributes:
        job: By what it is judged.
        learner: Whose work.
        place: An empty folder.
        say: Told of each phase.
        remarks: What was put back, and what was left out.
    """

    job: Job
    learner: str
    place: Path
    say: Say
    remarks: list[str] = field(default_factory=list)

    @property
    def handed_in(self) -> Path:
        """The plain files as they were handed in."""
        return self.place / "handed_in"

    @property
    def kept(self) -> Path:
        """The plain files after the notebooks ran."""
        return self.place / "kept"

    def take_over(self, source: Path) -> tuple[list[Problem], list[str]]:
        """Copy what was handed in; says what stands in the way of judging it, and what was left out."""
        self.handed_in.mkdir()
        self.kept.mkdir()
        if not source.is_dir() or source.is_symlink():
            return [Problem(status=Status.MISSING, message="Nothing was handed in.")], []
        try:
            copied = copy_plain(source, self.handed_in, self.job.settings.limits)
        except WorkbookError as error:  # too much, or not to be read
            message = f"What was handed in could not be taken: {error}"
            return [Problem(status=Status.INVALID, message=message)], []
        if not [path for path in copied.files if path.name != "timestamp.txt"]:
            message = "What was handed in is empty."
            return [Problem(status=Status.MISSING, message=message)], copied.left_out
        return [], copied.left_out

    def bring_in_order(self, problems: list[Problem]) -> list[LabRecord]:
        """Put each notebook in order and run it, and keep what is there then."""
        work = self.place / "work"
        shutil.copytree(self.handed_in, work)
        found: dict[str, LabRecord] = {}
        notebooks = {}
        for name, (lab, original) in self.job.released.items():
            notebooks[name], found[name] = self._notebook(lab, original, work, skip=bool(problems))
        self._keep(work, found)
        shutil.rmtree(work)
        for name, notebook in notebooks.items():
            nbformat.write(notebook, self.kept / f"{name}.ipynb")
        return list(found.values())

    def _notebook(
        self, lab: Lab, original: NotebookNode, work: Path, *, skip: bool
    ) -> tuple[NotebookNode, LabRecord]:
        """One lab: the learner's notebook in order, and run where that makes what is judged."""
        record = LabRecord(lab=lab.id, notebook=lab.name)
        if skip:
            return _fresh(original), record
        spent: dict[str, float] = {}
        try:
            with timed(self.say, Phase(self.learner, lab.id, "sanitise"), spent):
                notebook = self._in_order(lab, original)
        except Unreadable as error:
            return _fresh(original), record.model_copy(update={"problems": [error.problem], "seconds": spent})
        problems: list[Problem] = []
        settings = self.job.settings
        if settings.run if settings.run is not None else needs_run(original):
            with timed(self.say, Phase(self.learner, lab.id, "run"), spent):
                ran = self.job.runner.run(to_run(notebook), work, settings.run_limits)
            notebook = _with_outputs(notebook, ran.notebook)
            problems = [ran.problem] if ran.problem else []
            self.remarks += ran.remarks
            record = record.model_copy(update={"isolation": ran.isolation})
        make_harmless(notebook)
        return notebook, record.model_copy(update={"problems": problems, "seconds": spent})

    def _in_order(self, lab: Lab, original: NotebookNode) -> NotebookNode:
        path = self.handed_in / f"{lab.name}.ipynb"
        notebook = read_submitted(path)
        try:
            notebook, changes = sanitise(notebook, original, config=self.job.config)
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
            copied = copy_plain(work, self.kept, self.job.settings.limits)
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
            if notebook.is_dir():
                shutil.rmtree(notebook)
            else:
                notebook.unlink()


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
    notebook: NotebookNode = copy.deepcopy(original)
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
