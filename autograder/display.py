"""An outcome table as HTML, for the notebook, nbgrader's feedback and the report; readable without colour.

Colours come from JupyterLab's theme where there is one, so that the table reads well in dark and light. Only
inline styles are used: nbgrader's feedback keeps those and drops style sheets.
"""

from __future__ import annotations

import html
from collections.abc import Sequence

from autograder.hints import NOTHING_OPEN, Hints
from autograder.loading import CheckSpec
from autograder.results import Outcome, Report
from labkit.verdicts import Verdict

# Okabe and Ito's palette, apart for colour-blind eyes; the word beside it says the same.
_EDGE = {
    Verdict.PASSED: "#009E73",
    Verdict.FAILED: "#D55E00",
    Verdict.INCONCLUSIVE: "#E69F00",
    Verdict.ERROR: "#CC79A7",
    Verdict.NOT_MEASURED: "#56B4E9",
    Verdict.BLOCKED: "#999999",
}
_CELL = "text-align:left;vertical-align:top;padding:.35em .8em;white-space:normal"
_NUMBER = _CELL.replace("left", "right", 1) + ";white-space:nowrap;font-variant-numeric:tabular-nums"
_QUIET = "opacity:.8;font-size:.92em"


def number(value: float) -> str:
    """Points as people write them: 4, 2.75."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def report_html(
    report: Report, *, for_learner: bool = True, waiting: Sequence[CheckSpec] = (), doing: str | None = None
) -> str:
    """The table of a report.

    Args:
        report: What was found.
        for_learner: Hidden checks show their title and verdict only.
        waiting: Checks that have not ended yet, shown as such.
        doing: What the first of them does now; None if none has begun.
    """
    rows = "".join(_row(outcome, report.lab, for_learner) for outcome in report.outcomes)
    rows += "".join(_waiting_row(spec, None if place else doing) for place, spec in enumerate(waiting))
    head = "".join(
        f'<th scope="col" style="{style}">{name}</th>'
        for name, style in (("Verdict", _CELL), ("Points", _NUMBER), ("Check", _CELL))
    )
    about = f"{report.tier.value} · {report.seconds:.1f} s"
    after = "" if waiting else f'<p style="margin:.2em .8em">{html.escape(summary(report))}</p>'
    return (
        '<table role="table" style="table-layout:auto;border-collapse:collapse;margin:.5em 0;'
        'width:100%;max-width:60em">'
        f'<caption style="{_CELL};font-weight:bold">{html.escape(report.lab)} '
        f'<span style="font-weight:normal;{_QUIET}">{about}</span></caption>'
        f"<thead><tr>{head}</tr></thead>"
        f"<tbody>{rows}</tbody></table>{after}"
    )


def hints_html(hints: Hints | None) -> str:
    """The hints of one check so far, the newest set off."""
    if hints is None:
        return f"<p>{NOTHING_OPEN}</p>"
    *before, newest = (html.escape(text) for text in hints.shown)
    rows = [f"<li>{text}</li>" for text in before] + [f"<li><strong>{newest}</strong></li>"]
    return (
        f"<p><strong>{html.escape(hints.title)}</strong></p><ol>{''.join(rows)}</ol>"
        f'<p style="{_QUIET}">{hints.remainder}</p>'
    )


def summary(report: Report) -> str:
    """The report in one sentence, with what to do next."""
    text = f"{number(report.points)} of {number(report.maximum)} points"
    open_checks = [o for o in report.outcomes if o.verdict in (Verdict.FAILED, Verdict.INCONCLUSIVE)]
    if open_checks:
        return f"{text}. Next: {open_checks[0].title}."
    if any(o.verdict is Verdict.ERROR for o in report.outcomes):
        return f"{text}. Something broke on our side; run it again, and report it if it stays."
    return f"{text}."


def _row(outcome: Outcome, lab: str, for_learner: bool) -> str:
    edge = _EDGE[outcome.verdict]
    veiled = outcome.hidden and for_learner
    said = "" if veiled else outcome.evidence
    body = f"<div>{html.escape(outcome.title)}</div>"
    if said:
        body += f'<div style="{_QUIET}">{html.escape(said)}</div>'
    more = [] if veiled else _more(outcome, lab)
    if more:
        opened = " open" if outcome.verdict is Verdict.FAILED else ""
        body += (
            f'<details{opened} style="{_QUIET}"><summary>why, and what next</summary>'
            f"{'<br>'.join(more)}</details>"
        )
    return (
        f'<tr style="border-top:1px solid rgba(128,128,128,.35)">'
        f'<td style="{_CELL};border-left:.35em solid {edge};white-space:nowrap;font-weight:bold">'
        f"{outcome.verdict.words}</td>"
        f'<td style="{_NUMBER}">{number(outcome.points)} / {number(outcome.maximum)}</td>'
        f'<td style="{_CELL};width:100%">{body}</td></tr>'
    )


def _more(outcome: Outcome, lab: str) -> list[str]:
    """Why, and how to get a hint: lines of HTML."""
    lines = [html.escape(outcome.cause)] if outcome.cause else []
    if outcome.hints and outcome.verdict is Verdict.FAILED:
        how = html.escape(f'from autograder import hint; hint("{lab}", "{outcome.check}")')
        lines.append(f"Hints: {outcome.hints}. For one, run in a cell of your own: <code>{how}</code>")
    return lines


def _waiting_row(spec: CheckSpec, doing: str | None) -> str:
    said = f'<div style="{_QUIET}">{html.escape(doing)} ...</div>' if doing else ""
    return (
        '<tr style="border-top:1px solid rgba(128,128,128,.35);opacity:.65">'
        f'<td style="{_CELL};border-left:.35em solid transparent">'
        f"{'waiting' if doing is None else 'running'}</td>"
        f'<td style="{_NUMBER}">{number(spec.points)}</td>'
        f'<td style="{_CELL};width:100%"><div>{html.escape(spec.title)}</div>{said}</td></tr>'
    )
