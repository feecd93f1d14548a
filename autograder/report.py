"""The report of a whole run: one self-contained page, readable on a phone, in print, in dark and light."""

from __future__ import annotations

import base64
import html
from pathlib import Path

import nbformat

from autograder.course_run import CourseRun, LabRun
from autograder.display import number, report_html
from autograder.metrics import Finding, find_metrics
from autograder.practical import practical_tasks

STYLE = """
:root { color-scheme: light dark; font-family: system-ui, sans-serif; line-height: 1.5 }
body { max-width: 64em; margin: 2em auto; padding: 0 1em }
table { border-collapse: collapse } th, td { text-align: left; padding: .3em .8em; vertical-align: top }
tbody tr { border-top: 1px solid rgba(128,128,128,.35) }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(13em, 1fr)); gap: 1em }
.card { border: 1px solid rgba(128,128,128,.5); border-radius: .4em; padding: .6em 1em }
.card h3 { margin: .2em 0 } .scroll { overflow-x: auto } img { max-width: 100%; background: white }
@media print { .card, tr, figure { break-inside: avoid } }
"""


def write_html(run: CourseRun, path: Path) -> Path:
    """Write the page; gives its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sections = "".join(_lab_section(lab) for lab in run.labs)
    path.write_text(
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>Course report</title><style>{STYLE}</style></head><body><main>"
        "<h1>Infrastructure &amp; Deployment for Machine Learning</h1>"
        f"<p>Run on {run.started:%Y-%m-%d at %H:%M} UTC, {run.seconds / 60:.1f} minutes. "
        "Every lab's reference solution was executed and checked, and a sample cohort was graded.</p>"
        f"<h2>Scores of the reference</h2>{_scores(run)}"
        f"<h2>The five practical tasks</h2>{_practical(run)}"
        f"<h2>The four metrics</h2><div class='cards'>{metric_cards(metrics_of(run))}</div>"
        f"<h2>The sample cohort</h2>{_cohort(run)}"
        f"{sections}{_not_run(run)}{_own_errors(run)}</main></body></html>\n"
    )
    return path


def metrics_of(run: CourseRun) -> list[Finding]:
    """What the labs' reports say of each of the four metrics."""
    return find_metrics((lab.report for lab in run.labs), "No lab of this course measures it yet.")


def _scores(run: CourseRun) -> str:
    rows = "".join(
        f"<tr><th scope='row'>{html.escape(lab.lab)}</th>"
        f"<td>{number(lab.report.points)} of {number(lab.report.maximum)}</td>"
        f"<td>{lab.report.verdict.words}</td><td>{lab.seconds:.0f} s</td></tr>"
        for lab in run.labs
    )
    heads = "".join(
        f"<th scope='col'>{name}</th>" for name in ("Lab", "Points by checks", "Verdict", "Notebook")
    )
    return f"<div class='scroll'><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>"


def _practical(run: CourseRun) -> str:
    rows = "".join(
        f"<tr><th scope='row'>{html.escape(each.task)}</th><td>{html.escape(', '.join(each.labs))}</td>"
        f"<td>{number(each.points)} of {number(each.maximum)}</td>"
        f"<td>{html.escape('not run here: ' + ', '.join(each.left_out)) if each.left_out else ''}</td></tr>"
        for each in practical_tasks(lab.report for lab in run.labs)
    )
    names = ("Task", "Labs", "Points by checks", "")
    heads = "".join(f"<th scope='col'>{name}</th>" if name else "<td></td>" for name in names)
    return f"<div class='scroll'><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>"


def metric_cards(findings: list[Finding]) -> str:
    """A card for each metric: verdict, number, bound and tier."""
    return "".join(
        f"<section class='card'><h3>{html.escape(found.metric.name)}</h3>"
        f"<p>{html.escape(found.metric.objective)}</p>"
        f"<p><strong>{html.escape(found.verdict)}</strong></p><p>{html.escape(found.evidence)}</p></section>"
        for found in findings
    )


def _cohort(run: CourseRun) -> str:
    rows = "".join(
        f"<tr><th scope='row'>{html.escape(row.learner)}</th><td>{html.escape(row.assignment)}</td>"
        f"<td>{html.escape(row.status)}</td><td>{number(row.points)} of {number(row.maximum)}</td>"
        f"<td>{'a person has to look' if row.needs_a_look else ''}</td></tr>"
        for row in run.learners
    )
    names = ("Learner", "Assignment", "Status", "Points by checks", "")
    heads = "".join(f"<th scope='col'>{name}</th>" if name else "<td></td>" for name in names)
    return f"<div class='scroll'><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>"


def _lab_section(lab: LabRun) -> str:
    table = f"<div class='scroll'>{report_html(lab.report)}</div>"
    return f"<h2>{html.escape(lab.lab)}</h2>{table}{_plots(lab.notebook)}"


def _plots(path: Path) -> str:
    """The pictures of an executed notebook, each with the words that its cell printed."""
    pictures = []
    for cell in nbformat.read(path, as_version=4).cells:
        outputs = cell.get("outputs", [])
        said = " ".join(str(o.text).strip() for o in outputs if o.output_type == "stream")
        for output in outputs:
            png = output.get("data", {}).get("image/png")
            if png:
                data = base64.b64encode(base64.b64decode(png)).decode()
                text = html.escape(said or "A plot of the notebook.")
                pictures.append(
                    f"<figure><img alt='{text}' src='data:image/png;base64,{data}'>"
                    f"<figcaption>{text}</figcaption></figure>"
                )
    return "".join(pictures)


def _not_run(run: CourseRun) -> str:
    if not run.not_run:
        return ""
    rows = "".join(f"<li>{html.escape(lab)}: {html.escape(why)}</li>" for lab, why in run.not_run.items())
    return f"<h2>Not run here</h2><ul>{rows}</ul>"


def _own_errors(run: CourseRun) -> str:
    if not run.own_errors:
        return ""
    items = "".join(f"<li>{html.escape(error[:300])}</li>" for error in run.own_errors)
    return f"<h2>The grader's own errors</h2><ul>{items}</ul>"
