"""Step two of grading a submission: its plain files are judged from outside, and the notebooks show it.

A learner's code never runs in this process, and nothing of what it prints, returns or writes into its outputs
is a score.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from autograder.checking import Start, run_checks
from autograder.loading import CheckSpec, load_rubric
from autograder.nbgrading.job import Job
from autograder.nbgrading.pages import put_notice, put_outcomes
from autograder.nbgrading.preparing import Phase, Say, timed
from autograder.nbgrading.records import LabRecord, OwnError, Problem, Status, SubmissionRecord
from autograder.results import Outcome, Report
from labkit.course import Lab
from labkit.errors import WorkbookError
from labkit.verdicts import Verdict

TRIES = 2
"""How often a check is run while it is inconclusive; each run measures up to three times by itself."""


class Part(StrEnum):
    """Which checks are run: those that need the files alone, the others, or all."""

    STATIC = "static"
    LIVE = "live"
    ALL = "all"

    def has(self, spec: CheckSpec) -> bool:
        """Whether a check belongs to it."""
        return self is Part.ALL or spec.live is (self is Part.LIVE)


@dataclass
class Judging:
    """Step two for one submission.

    Attributes:
        job: By what it is judged.
        learner: Whose work.
        place: A folder for copies; `kept` in it holds what step one left.
        logs: Where logs are kept.
        say: Told of each phase.
        start: How the checks' process is started.
        own_errors: What went wrong on our side.
    """

    job: Job
    learner: str
    place: Path
    logs: Path
    say: Say
    start: Start | None = None
    own_errors: list[OwnError] = field(default_factory=list)

    def judge(self, record: SubmissionRecord, part: Part) -> SubmissionRecord:
        """Run the checks of that part on each lab's files and add what they found."""
        labs = []
        for lab_record in record.labs:
            lab = self.job.released[lab_record.notebook][0]
            labs.append(self._judge_lab(lab, lab_record, record.problems, part))
        return record.model_copy(update={"labs": labs})

    def _judge_lab(self, lab: Lab, record: LabRecord, problems: Sequence[Problem], part: Part) -> LabRecord:
        if problems:
            nothing = problems[0].status is Status.MISSING
            report = _nothing_to_judge(lab, problems[0].message) if nothing else None
            return record.model_copy(update={"report": report})
        if part is Part.LIVE and (record.report is None or not self.job.settings.runs_live(lab)):
            return record
        spent = dict(record.seconds)
        phase = "judge" if part is Part.ALL else f"judge {part}"
        with timed(self.say, Phase(self.learner, lab.id, phase), spent):
            found = self._report(lab, part)
        if found is None:
            return record.model_copy(update={"report": None, "seconds": spent})
        whole = record.report.updated_by(found) if record.report else found
        return record.model_copy(update={"report": _in_order(lab, whole), "seconds": spent})

    def _report(self, lab: Lab, part: Part) -> Report | None:
        """What the part's checks found; those that could not decide are run once more."""
        try:
            wanted = [spec.name for spec in load_rubric(lab).checks if part.has(spec)]
            if not wanted:
                return Report(lab=lab.id, started=datetime.now(UTC))
            report = self._run(lab, wanted)
            for _ in range(TRIES - 1):
                undecided = [o.check for o in report.outcomes if o.verdict is Verdict.INCONCLUSIVE]
                if undecided:
                    self.say(Phase(self.learner, lab.id, "measure again"))
                    report = report.updated_by(self._run(lab, undecided))
        except WorkbookError as error:
            self.own_errors.append(OwnError(learner=self.learner, where=lab.id, message=str(error)))
            return None
        self.own_errors += [
            OwnError(learner=self.learner, where=f"{lab.id}, {outcome.check}", message=outcome.evidence)
            for outcome in report.outcomes
            if outcome.verdict is Verdict.ERROR
        ]
        return report

    def _run(self, lab: Lab, parts: list[str]) -> Report:
        """Run these checks on a copy of the files; what they depend on is run too, and not reported."""
        judged = self.place / "judged" / lab.name / lab.assignment
        shutil.copytree(self.place / "kept", judged)
        try:
            report = run_checks(
                lab,
                judged,
                parts=parts,
                grading=True,
                fenced=self.job.settings.fenced,
                logs=self.logs / self.learner,
                start=self.start,
            )
        finally:
            shutil.rmtree(self.place / "judged", ignore_errors=True)
        outcomes = [outcome for outcome in report.outcomes if outcome.check in parts]
        return report.model_copy(update={"outcomes": outcomes})


def has_more(job: Job, record: SubmissionRecord) -> bool:
    """Whether live checks of this submission are still to be run after the static ones."""
    return not record.problems and any(
        spec.live
        for lab in record.labs
        if lab.report is not None and job.settings.runs_live(job.released[lab.notebook][0])
        for spec in load_rubric(job.released[lab.notebook][0]).checks
    )


def finish(job: Job, record: SubmissionRecord, kept: Path) -> dict[str, NotebookNode]:
    """Put what was found into the notebooks in `kept`; gives them by their names."""
    notebooks = {}
    for lab_record in record.labs:
        path = kept / f"{lab_record.notebook}.ipynb"
        notebook = read_own(path)
        if lab_record.report is not None:
            put_outcomes(notebook, job.released[lab_record.notebook][0], lab_record.report)
        _notice(notebook, record, lab_record)
        nbformat.write(notebook, path)
        notebooks[lab_record.notebook] = notebook
    return notebooks


def read_own(path: Path) -> NotebookNode:
    """A notebook that we wrote ourselves: it is whole, so nothing is checked again."""
    notebook: NotebookNode = nbformat.from_dict(json.loads(path.read_text(encoding="utf-8")))
    return nbformat.v4.rwbase.rejoin_lines(notebook)


def _notice(notebook: NotebookNode, whole: SubmissionRecord, record: LabRecord) -> None:
    grave = [problem.message for problem in (*whole.problems, *record.problems)]
    if record.report is None:
        grave.append("The checks have not been run; a person will look at this.")
    elif record.problems:
        grave.append("The files that were handed in were judged nevertheless.")
    put_notice(notebook, [*grave, *whole.remarks], grave=bool(grave))


def _in_order(lab: Lab, report: Report) -> Report:
    """The report with its outcomes in the rubric's order."""
    order = [spec.name for spec in load_rubric(lab).checks]
    outcomes = sorted(report.outcomes, key=lambda outcome: order.index(outcome.check))
    return report.model_copy(update={"outcomes": outcomes})


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
