"""`home()`: in START_HERE, how far each lab is, a link to each, and what comes next."""

from __future__ import annotations

import html
from itertools import groupby

from IPython.display import HTML, display

from autograder.commands.progress import Standing, assignment_title, next_step, standings
from autograder.display import number
from labkit.course import Course, find_course

_CELL = "text-align:left;padding:.35em .8em;vertical-align:top"


def home() -> None:
    """Show the course's labs with your points, as links, and the next thing to do."""
    course = find_course()
    display(HTML(home_html(course, standings(course))))


def home_html(course: Course, found: list[Standing]) -> str:
    """The page as HTML: one table, a row for each lab; what is done is said in words as well.

    Args:
        course: Whose labs; links lead to the notebooks of the learner's copy.
        found: How far each lab is.
    """
    rows = []
    for assignment, group in groupby(found, key=lambda standing: standing.assignment):
        for row, standing in enumerate(group):
            week = f'<th scope="row" style="{_CELL}">{html.escape(assignment_title(assignment))}</th>'
            link = f'<a href="{html.escape(standing.notebook)}">{html.escape(standing.title)}</a>'
            rows.append(
                f"<tr>{week if row == 0 else '<td></td>'}"
                f'<td style="{_CELL}">{link}</td>'
                f'<td style="{_CELL}">{_state(standing)}</td></tr>'
            )
    next_line = html.escape(next_step(course, found, in_terminal=False))
    head = "".join(f'<th scope="col" style="{_CELL}">{name}</th>' for name in ("Week", "Lab", "Points"))
    return (
        f'<p style="font-size:1.1em"><strong>{next_line}</strong></p>'
        f'<table role="table" style="border-collapse:collapse"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


def _state(standing: Standing) -> str:
    points = f"{number(standing.points)} of {number(standing.maximum)}"
    if not standing.checked:
        return f"{points}, not begun"
    return f"{points}, all passed" if not standing.next_check else points
