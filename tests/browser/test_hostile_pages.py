"""Graded, timed-out and hostile submissions as an instructor and a learner see them, in a real browser."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import pytest
from attacks.submissions import PAGES
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait
from tiny_course import ASSIGNMENT, CELLS, lay_course, use_rubrics

from autograder.nbgrading import Settings, feedback, grade, release
from autograder.nbgrading.runner import RunLimits, can_isolate
from autograder.nbgrading.scores import open_gradebook
from autograder.nbgrading.settings import Folders
from labkit.course import Course

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not can_isolate(), reason="there is no sandbox (apt-get install bubblewrap)"),
]

REPOSITORY = Path(__file__).resolve().parents[2]
STOLEN = "4711"
EXERCISES = {
    "graded": f'print("It says made.")\nPath("{CELLS}/made.txt").write_text("made")',
    "timed_out": "while True:\n    pass",
}
RUNS = """
const runs = [...document.links].filter(link => link.protocol === "javascript:").map(link => link.outerHTML);
for (const element of document.querySelectorAll("*"))
    for (const {name, value} of element.attributes)
        if (name.startsWith("on") && value.includes(arguments[0])) runs.push(element.outerHTML);
for (const script of document.scripts) if (script.text.includes(arguments[0])) runs.push(script.outerHTML);
return runs.concat([...document.querySelectorAll("iframe, object, embed, base")].map(each => each.outerHTML));
"""
"""Finds what runs script or would at a click, and what loads a page into the page."""


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Course]:
    """The lab in cells, handed in rightly, without an end, and in each way that could run script."""
    made = lay_course(tmp_path_factory.mktemp("hostile"), labs=(CELLS,))
    shutil.copy(REPOSITORY / "nbgrader_config.py", made.root)
    folders = Folders.of(made)
    with use_rubrics(made):
        release(ASSIGNMENT, course=made)
        for learner in (*EXERCISES, *PAGES):
            folder = folders.submitted(learner, ASSIGNMENT)
            shutil.copytree(folders.release(ASSIGNMENT), folder)
            path = folder / f"{CELLS}.ipynb"
            notebook = nbformat.read(path, as_version=4)
            exercise = next(cell for cell in notebook.cells if cell.id == "week99-in_cells-exercise-1")
            code = PAGES[learner].code if learner in PAGES else EXERCISES[learner]
            exercise.source = code.replace("{{", "{").replace("}}", "}")
            nbformat.write(notebook, path)
            if learner in PAGES and PAGES[learner].tamper is not None:
                PAGES[learner].tamper(folder)
            path.write_text(path.read_text().replace("steal()", f"document.title={STOLEN}"))
        grade(ASSIGNMENT, course=made, settings=Settings(run_limits=RunLimits(seconds=8)), jobs=2)
        feedback(ASSIGNMENT, course=made)
        yield made


@pytest.fixture(scope="module")
def formgrader(course: Course, jupyter_server: Callable) -> object:
    return jupyter_server(course.root)


def opened(browser: webdriver.Chrome, url: str, text: str) -> str:
    """Open a page and wait until it shows that text; gives all of its text."""
    browser.get(url)
    WebDriverWait(browser, 30).until(lambda b: text in b.find_element(By.TAG_NAME, "body").text)
    return browser.find_element(By.TAG_NAME, "body").text


def pages_of(course: Course, formgrader: object, learner: str) -> list[str]:
    """The addresses of a submission in formgrader, and of its feedback."""
    with open_gradebook(Folders.of(course).gradebook_url) as gradebook:
        found = gradebook.find_submission_notebook(CELLS, ASSIGNMENT, learner).id
    page = Folders.of(course).feedback(learner, ASSIGNMENT) / f"{CELLS}.html"
    return [formgrader.page(f"formgrader/submissions/{found}/"), page.as_uri()]


def test_a_page_that_does_run_script_is_found(browser, tmp_path) -> None:
    page = tmp_path / "page.html"
    for text in (
        f"<body>here<img src=x onerror=document.title={STOLEN}>",
        f"<body>here<a href=javascript:document.title={STOLEN}>a</a>",
        "<body>here<iframe srcdoc=x></iframe>",
    ):
        page.write_text(text)
        opened(browser, page.as_uri(), "here")
        assert browser.execute_script(RUNS, STOLEN)
    page.write_text(f"<body>here<script>document.title={STOLEN}</script>")
    opened(browser, page.as_uri(), "here")
    assert browser.title == STOLEN


@pytest.mark.parametrize("learner", PAGES)
def test_no_page_runs_what_a_learner_wrote(browser, formgrader, course, screenshot, learner) -> None:
    for url, kind in zip(pages_of(course, formgrader, learner), ("formgrader", "feedback"), strict=True):
        opened(browser, url, "In cells")
        assert browser.title != STOLEN
        assert browser.execute_script(RUNS, STOLEN) == []
        screenshot(f"{kind}-{learner}")


def test_the_pages_say_what_became_of_it(browser, formgrader, course, screenshot) -> None:
    for learner, says in {
        "graded": "the cell wrote made.txt",
        "timed_out": "The notebook ran longer than 8 s and was stopped",
    }.items():
        for url, kind in zip(pages_of(course, formgrader, learner), ("formgrader", "feedback"), strict=True):
            opened(browser, url, says)
            screenshot(f"{kind}-{learner}")
