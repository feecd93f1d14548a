"""Formgrader and the feedback page in a real browser: partial credit, explanation, status."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait
from tiny_course import ASSIGNMENT, FILES, lay_course, use_rubrics

from autograder.cohort import lay_cohort
from autograder.nbgrading import feedback, grade, release
from autograder.nbgrading.scores import open_gradebook
from autograder.nbgrading.settings import Folders
from labkit.course import Course

pytestmark = pytest.mark.browser

REPOSITORY = Path(__file__).resolve().parents[2]
SHOWN = {"half": "learner-06", "hostile": "learner-10", "invalid": "learner-12", "blank": "learner-04"}


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Course]:
    """The tiny course with some of the cohort graded, and nbgrader's configuration in its root."""
    made = lay_course(tmp_path_factory.mktemp("formgrader"), labs=(FILES,))
    shutil.copy(REPOSITORY / "nbgrader_config.py", made.root)
    with use_rubrics(made):
        release(ASSIGNMENT, course=made)
        lay_cohort(ASSIGNMENT, course=made)
        half = Folders.of(made).submitted("learner-06", ASSIGNMENT) / FILES / "answer.txt"
        half.write_text("right\nright\nwrong\nstraddles\n")
        grade(ASSIGNMENT, sorted(SHOWN.values()), course=made)
        feedback(ASSIGNMENT, course=made)
        yield made


@pytest.fixture(scope="module")
def formgrader(course: Course, jupyter_server: Callable) -> object:
    return jupyter_server(course.root)


def opened(browser: webdriver.Chrome, url: str, text: str) -> str:
    """Open a page and wait until it shows that text; gives all of its text."""
    browser.get(url)
    WebDriverWait(browser, 20).until(lambda b: text in b.find_element(By.TAG_NAME, "body").text)
    return browser.find_element(By.TAG_NAME, "body").text


def submission_page(course: Course, learner: str) -> str:
    with open_gradebook(Folders.of(course).gradebook_url) as gradebook:
        found = gradebook.find_submission_notebook(FILES, ASSIGNMENT, learner).id
    return f"formgrader/submissions/{found}/"


def test_formgrader_lists_the_assignment_and_its_submissions(browser, formgrader, screenshot):
    opened(browser, formgrader.page("formgrader/manage_assignments"), ASSIGNMENT)
    screenshot("formgrader-assignments")
    text = opened(browser, formgrader.page(f"formgrader/gradebook/{ASSIGNMENT}/{FILES}"), "Submission #4")
    assert text.count("Submission #") == 4
    screenshot("formgrader-submissions")


def test_formgrader_shows_partial_credit_and_its_explanation(browser, formgrader, course, screenshot):
    text = opened(browser, formgrader.page(submission_page(course, SHOWN["half"])), "2 of 4 lines are right")
    assert "The others say something else." in text
    assert "p99 98 ms, between 91 and 107 (99 %)" in text
    score = browser.find_element(By.ID, "week99-four_lines-lines")
    WebDriverWait(browser, 10).until(lambda _: score.get_attribute("placeholder") == "2")
    waits = browser.find_element(By.ID, "week99-four_lines-measured")
    assert "needs_manual_grade" in waits.get_attribute("class")
    screenshot("formgrader-partial-credit")


def test_formgrader_says_what_was_wrong_and_runs_no_script(browser, formgrader, course, screenshot):
    opened(browser, formgrader.page(submission_page(course, SHOWN["invalid"])), "could not be read")
    screenshot("formgrader-invalid")
    text = opened(browser, formgrader.page(submission_page(course, SHOWN["hostile"])), "it was put back")
    assert "full marks" not in text  # the forged output
    screenshot("formgrader-hostile")


@pytest.mark.parametrize(
    ("who", "says"),
    [
        (
            "half",
            [
                "2 of 4 lines are right",
                "The others say something else.",
                "2 / 4",
                "waits for a person",
                "3 of 12 points",
            ],
        ),
        ("invalid", ["could not be read: it is not JSON", "judged nevertheless"]),
        ("blank", ["0 of 4 lines are right"]),
    ],
)
def test_the_feedback_page_shows_evidence_and_status(browser, course, screenshot, who, says):
    page = Folders.of(course).feedback(SHOWN[who], ASSIGNMENT) / f"{FILES}.html"
    text = opened(browser, page.as_uri(), says[0])
    for part in says:
        assert part in text
    assert "holds for inputs that you have not seen" in text
    assert "4711" not in text
    screenshot(f"feedback-{who}")


def test_formgrader_works_from_nbgraders_own_folder_too(course, jupyter_server):
    server = jupyter_server(Folders.of(course).root)
    found = server.get("formgrader/api/assignments").json()
    assert [assignment["name"] for assignment in found] == [ASSIGNMENT]
    assert found[0]["num_submissions"] == 12
