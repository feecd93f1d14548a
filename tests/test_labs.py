"""Every lab as people meet it: its notebook, run with the reference, and released without secrets."""

import os
import subprocess
import sys

import nbformat
import pytest

from autograder import resources
from autograder.answers import answers_of
from autograder.handouts import lay_handout
from autograder.loading import load_rubric
from autograder.notebooks import differences
from autograder.release import find_leaks
from autograder.run import run_notebook
from autograder.workspace import make_copy
from labkit.course import Course, find_course
from labkit.errors import Unavailable
from labkit.models import reader
from labkit.models.store import models_folder, prepare
from labkit.verdicts import Verdict

COURSE = find_course()
FIRST_OF_WEEK = [
    pytest.param(
        lab, id=lab.id, marks=[pytest.mark.alone] * any(spec.timed for spec in load_rubric(lab).checks)
    )
    for lab in (labs[0] for labs in COURSE.assignments.values())
]
WITHOUT_CHECKS = [
    pytest.param(lab, id=lab.id, marks=[pytest.mark.nightly] * (place != 1))
    for labs in COURSE.assignments.values()
    for place, lab in enumerate(labs)
]
"""For nbval: `make test` takes the second lab of a week, whose first runs whole; the others are nightly."""


@pytest.fixture(scope="module", autouse=True)
def model():
    prepare(models_folder() / "digits", say=lambda _: None)
    reader.prepare(models_folder() / "reader", say=lambda _: None)


def skip_without_what_it_needs(lab):
    """A notebook whose checks need an engine can't run where there is none."""
    wanted = {resource for spec in load_rubric(lab).checks for resource in spec.needs}
    for resource in sorted(wanted - resources.BY_CHANCE):
        try:
            resources.require(resource)
        except Unavailable as lacking:
            pytest.skip(str(lacking))


def test_the_notebooks_are_what_their_sources_make():
    assert not differences(COURSE)


@pytest.mark.parametrize("lab", FIRST_OF_WEEK)
def test_the_notebook_runs_with_the_reference_and_passes_its_checks(lab):
    skip_without_what_it_needs(lab)
    result = run_notebook(lab, {"FAST": True}, course=COURSE)
    assert result.report is not None
    outcomes = result.report.outcomes
    hidden = {spec.name for spec in load_rubric(lab).checks if spec.hidden}
    assert {o.check for o in outcomes if o.verdict is Verdict.NOT_MEASURED} == hidden
    undecided = [o for o in outcomes if o.verdict is Verdict.INCONCLUSIVE]
    points = result.report.points + sum(o.maximum for o in undecided)
    assert points == result.report.maximum
    if undecided:
        pytest.skip(f"this machine was too busy to tell: {undecided[0].evidence}")


@pytest.mark.parametrize("lab", WITHOUT_CHECKS)
def test_nbval_finds_every_cell_that_needs_no_check_sound(lab, tmp_path):
    """nbval, lax: outputs are stripped, so cells assert what they show; checks have tests of their own."""
    skip_without_what_it_needs(lab)
    reference = next(answer for answer in answers_of(load_rubric(lab)) if answer.name == "reference")
    lay_handout(lab, tmp_path / lab.name)
    reference.lay(tmp_path)
    notebook = nbformat.read(lab.notebook, as_version=4)
    notebook.cells = [
        cell for cell in notebook.cells if not cell.metadata.get("nbgrader", {}).get("grade", False)
    ]
    nbformat.write(notebook, tmp_path / f"{lab.name}.ipynb")
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "--nbval-lax", "-p", "nbval", "-p", "no:cacheprovider"),
            *("-c", os.devnull, "-q", f"--rootdir={tmp_path}", f"{lab.name}.ipynb", "--nbval-current-env"),
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(COURSE.root)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stdout[-3000:]
    assert " passed" in ran.stdout


def test_nothing_secret_reaches_a_learner(tmp_path):
    """By content: no solution, no hidden check and no answer is in the learner's copy of the real course."""
    root = tmp_path / "course"
    root.mkdir()
    for name in ("weeks", "build"):
        (root / name).symlink_to(COURSE.root / name, target_is_directory=True)
    copied = Course(root)
    make_copy(copied)
    assert (copied.learn / "week11_serving" / "01_fastapi_server" / "serve.py").is_file()
    assert find_leaks(copied.learn, COURSE) == []
