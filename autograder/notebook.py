"""What a notebook calls: `check()` shows outcomes as they arrive and gives nbgrader its float; `hint()`."""

from __future__ import annotations

import html
from datetime import UTC, datetime

from IPython.display import HTML, display

from autograder.checking import Event, Progress, run_checks
from autograder.display import hints_html, report_html
from autograder.hints import take_hint
from autograder.loading import load_rubric
from autograder.results import Outcome, Report
from autograder.workplace import Results, one_at_a_time, work_folder
from labkit.course import find_course
from labkit.errors import WorkbookError


def check(lab_id: str, part: str | None = None) -> float:
    """Judge your work and show what was found.

    Args:
        lab_id: The lab, `week11/fastapi_server`.
        part: One of its checks (`latency`); all by default. What it depends on runs with it.

    Returns:
        The points of that part, or of all. A mistake that you can mend is shown as a sentence and gives 0.
    """
    try:
        return _check(lab_id, part)
    except WorkbookError as error:
        display(HTML(f'<p role="alert"><strong>Not checked.</strong> {html.escape(str(error))}</p>'))
        return 0.0


def hint(lab_id: str, part: str | None = None) -> None:
    """Show one more hint; each is plainer than the one before.

    Args:
        lab_id: The lab, `week11/fastapi_server`.
        part: One of its checks (`latency`); by default the first that has failed.
    """
    try:
        course = find_course()
        lab = course.lab(lab_id)
        hints = take_hint(load_rubric(lab), Results.of(work_folder(course, lab)), part)
        display(HTML(hints_html(hints)))
    except WorkbookError as error:
        display(HTML(f'<p role="alert"><strong>No hint.</strong> {html.escape(str(error))}</p>'))


def _check(lab_id: str, part: str | None) -> float:
    course = find_course()
    lab = course.lab(lab_id)
    rubric = load_rubric(lab)
    parts = [rubric.check(part).name] if part else None
    specs = rubric.with_dependencies(parts) if parts else list(rubric.checks)
    work = work_folder(course, lab)
    shown: list[Outcome] = []
    started = datetime.now(UTC)
    doing: str | None = None

    def table() -> HTML:
        seconds = (datetime.now(UTC) - started).total_seconds()
        report = Report(lab=lab.id, started=started, seconds=seconds, outcomes=shown)
        return HTML(report_html(report, waiting=specs[len(shown) :], doing=doing))

    handle = display(table(), display_id=True)
    assert handle is not None

    def on_event(event: Event) -> None:
        nonlocal doing
        doing = event.words if isinstance(event, Progress) else ""
        if isinstance(event, Outcome):
            shown.append(event)
        handle.update(table())

    with one_at_a_time(lab, course.build / "logs"):
        report = run_checks(lab, work, parts=parts, on_event=on_event)
    Results.of(work).keep(lab, report)
    earned = [o for o in report.outcomes if parts is None or o.check in parts]
    return float(min(sum(o.points for o in earned), sum(o.maximum for o in earned)))
