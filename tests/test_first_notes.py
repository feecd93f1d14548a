"""The course's first notes, and where each of their lines lives now."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from labkit.course import find_course

ROOT = Path(__file__).parents[1]
NOTES = (ROOT / "tests" / "first_notes.md").read_text()
PAGE = ROOT / "docs" / "first-notes.md"
README = (ROOT / "README.md").read_text()
_CODE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
# Headings that only gather what stands below them, and a table's own head.
_GATHER = re.compile(
    r"Week \d+: .*|Infrastructure & Deployment Module|Learning Objectives|Docker for ML Applications"
    r"|Container Optimization|Cost Optimization|ML Workload Patterns"
    r"|Kubeflow Components|Serving Frameworks Comparison"
    r"|Implementation Examples|Edge Deployment|Hands-on Projects|Performance Optimization"
    r"|Model Optimization Techniques|Infrastructure Optimization|Assessment|Practical Tasks"
    r"|Performance Metrics|Tools & Resources|Essential Tools|Learning Resources|Next Steps|Framework|-+"
    r"|Build a complete ML service with:|Design infrastructure supporting:|Leverage your .*"
)


def lines() -> list[str]:
    """What each line of the notes names: a point, a heading, a framework, a tool, a link's text."""
    body = _CODE.sub("", NOTES.split("---", 2)[2])
    found = []
    for line in body.splitlines():
        text = re.sub(r"^(#+|- \[ \]|-)\s*", "", line.strip())
        if link := re.search(r"\[([^\]]+)\]\(", text):
            text = link[1]
        text = re.sub(r"^\*\*[^*]+\*\*: ", "", text)
        if text.startswith("|"):
            text = text.split("|")[1].strip()
        if text and not _GATHER.fullmatch(text):
            found.append(text)
    return found


def homes() -> dict[str, list[str]]:
    rows = re.findall(r"^\| (?!\*\*|first notes|---)(.+?) \| (.+?) \|$", PAGE.read_text(), re.MULTILINE)
    return {name: re.split(r", ", where) for name, where in rows}


@pytest.mark.parametrize("line", lines())
def test_every_line_has_a_home(line):
    assert line in homes(), f"docs/first-notes.md gives {line!r} no home"


def test_the_page_names_nothing_else():
    assert set(homes()) == set(lines())


@pytest.mark.parametrize("home", sorted({home for all_ in homes().values() for home in all_}))
def test_a_home_exists_or_the_readme_says_that_it_is_not_written(home):
    if link := re.fullmatch(r"\[.*\]\((.*)\)", home):
        assert (PAGE.parent / link[1]).is_file()
    elif home not in {lab.id for lab in find_course().labs}:
        assert home in not_written(), f"{home} is no lab, and the README does not say that it comes later"


def not_written() -> set[str]:
    """The labs that the README names as not written yet."""
    paragraph = re.search(r"^Not written yet: (.*?)\n\n", README, re.DOTALL | re.MULTILINE)
    return set(re.findall(r"(week\d\d/\w+|project\d)", paragraph[1])) if paragraph else set()
