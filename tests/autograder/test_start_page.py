"""START_HERE: laid with the learner's copy, and `home()` says where one is and what comes next."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import nbformat
import pytest

from autograder.commands.lab import jupyterlab
from autograder.commands.progress import standings
from autograder.results import Outcome, Report
from autograder.start_page import home_html
from autograder.workplace import Results
from autograder.workspace import START_PAGE, make_copy
from labkit.course import find_course
from labkit.verdicts import Verdict

REAL = find_course()


@pytest.fixture
def course(small_course):
    small_course.write(f"weeks/{START_PAGE}.md", (REAL.root / "weeks" / f"{START_PAGE}.md").read_text())
    small_course.write("environments/core.txt", "")
    return small_course


def test_it_comes_with_the_copy_and_opens_first(course):
    make_copy(course)
    page = course.learn / f"{START_PAGE}.ipynb"
    nbformat.validate(nbformat.read(page, as_version=4))
    assert f"--LabApp.default_url=/lab/tree/{START_PAGE}.ipynb" in jupyterlab(course)


def test_a_kernel_s_socket_fits_its_folder(course, monkeypatch):
    for folder, tcp in (("/home/ada/.local/share/jupyter/runtime", False), (f"/home/{'a' * 60}", True)):
        monkeypatch.setenv("JUPYTER_RUNTIME_DIR", folder)
        assert ("--KernelManager.transport=tcp" in jupyterlab(course)) is tcp


def test_a_learner_s_own_start_page_stays(course):
    make_copy(course)
    page = course.learn / f"{START_PAGE}.ipynb"
    page.write_text(page.read_text().replace("Start here", "My page"))
    course.edit(f"weeks/{START_PAGE}.md", "in five minutes", "in ten minutes")
    make_copy(course)
    assert "My page" in page.read_text()
    assert "in ten minutes" in (course.learn / f"{START_PAGE}.new.ipynb").read_text()


def test_what_is_next_and_a_link_to_each_lab(course):
    make_copy(course)
    said = home_html(course, standings(course))
    assert 'href="week01_numbers/01_adding.ipynb">Add two numbers</a>' in said
    assert "<strong>Next: Add two numbers, about 20 minutes.</strong>" in said
    assert "0 of 4, not begun" in said
    assert "Week 1: numbers" in said


def test_what_is_done_is_said_in_words(course):
    make_copy(course)
    outcome = Outcome(check="sums", title="adds two numbers", verdict=Verdict.PASSED, points=4, maximum=4)
    report = Report(lab="week01/adding", started=datetime.now(UTC), seconds=1, outcomes=[outcome])
    Results.of(course.learn / "week01_numbers").keep(course.adding, report)
    said = home_html(course, standings(course))
    assert "4 of 4, all passed" in said
    assert "Everything that is checked here has passed." in said


def test_its_cells_run(course, monkeypatch: pytest.MonkeyPatch):
    make_copy(course)
    monkeypatch.chdir(course.learn)
    notebook = nbformat.read(Path(f"{START_PAGE}.ipynb"), as_version=4)
    space: dict[str, object] = {}
    for cell in notebook.cells:
        if cell.cell_type == "code":
            exec(cell.source, space)
