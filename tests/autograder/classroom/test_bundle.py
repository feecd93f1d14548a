"""The learner's package: what is in it works, and what is secret is not in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from autograder.classroom.bundle import NAME, make_bundle
from autograder.loading import load_rubric
from autograder.release import MARKER, find_leaks, without_hidden_checks
from labkit.course import Course, find_course
from labkit.errors import WorkbookError

from .conftest import git

REAL = find_course()


def unpacked(path: Path, target: Path) -> Path:
    with zipfile.ZipFile(path) as archive:
        archive.extractall(target)  # our own
    return target / NAME


def test_what_is_listed_and_tracked_is_in_it_and_nothing_else(checkout, tmp_path):
    checkout.write("labkit/untracked.py", "")
    made = make_bundle(checkout, tmp_path / "one.zip")
    tree = unpacked(made.path, tmp_path / "out")
    files = {path.relative_to(tree).as_posix() for path in tree.rglob("*") if path.is_file()}
    assert files == {
        "README.md",
        "docs/learner.md",
        "labkit/__init__.py",
        "autograder/rubrics/week01_numbers/test_01_adding.py",
        "weeks/week01_numbers/01_adding.ipynb",
        "weeks/week01_numbers/01_adding/adder.py",
        "weeks/week01_numbers/01_adding/data/numbers.csv",
        "weeks/week01_numbers/source/01_adding.md",
    }
    assert (tree / "README.md").read_text() == "# Begin here\n"
    assert made.path.read_bytes() == make_bundle(checkout, tmp_path / "two.zip").path.read_bytes()


def test_its_labs_are_labs_without_solutions_and_hidden_checks(checkout, tmp_path, monkeypatch):
    tree = unpacked(make_bundle(checkout, tmp_path / "one.zip").path, tmp_path / "out")
    monkeypatch.setattr("autograder.loading.RUBRICS", tree / "autograder/rubrics")
    (lab,) = Course(tree).labs
    rubric = load_rubric(lab)
    assert [(c.name, c.points, c.hidden) for c in rubric.checks] == [
        ("sums", 4, False),
        ("overflow", 2.5, True),
    ]
    everything = "".join(path.read_text() for path in tree.rglob("*") if path.is_file())
    for secret in ("doubled_by_addition", "secret_operands", "total_of_both_operands"):
        assert secret not in everything


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("autograder/helper.py", "total_of_both_operands = a + b"),
        ("docs/learner.md", "secret_operands = (2**31, 2**31)"),
        ("labkit/notes.txt", "doubled_by_addition = number + number"),
    ],
)
def test_a_secret_stops_it(checkout, tmp_path, path, line):
    checkout.write(path, f"{line}\n")
    git(checkout.root, "add", ".")
    with pytest.raises(WorkbookError, match="lines of it are secret"):
        make_bundle(checkout, tmp_path / "one.zip", dirty=True)
    assert not (tmp_path / "one.zip").exists()


def test_a_dirty_tree_is_refused_unless_it_is_meant(checkout, tmp_path):
    checkout.write("docs/learner.md", "# Begin here, now\n")
    with pytest.raises(WorkbookError, match=r"1 files differ from the last commit: docs/learner\.md"):
        make_bundle(checkout, tmp_path / "one.zip")
    made = make_bundle(checkout, tmp_path / "one.zip", dirty=True)
    assert made.changed == ("docs/learner.md",)


def test_outside_of_a_checkout_there_is_none(small_course, tmp_path):
    with pytest.raises(WorkbookError, match="no git checkout"):
        make_bundle(small_course, tmp_path / "one.zip")


def test_hidden_checks_keep_marks_and_title_alone():
    head = '@hidden\n@points(1)\ndef test_x(a):\n    """holds"""\n'
    kept = without_hidden_checks(f"{head}    secret = 1\n    require(secret)\n\n\nX = 1\n")
    assert kept == f'{head}    raise NotImplementedError("it is run when work is graded")\n\n\nX = 1\n'


def test_the_real_package_is_small_and_holds_no_secret(tmp_path):
    try:
        made = make_bundle(REAL, tmp_path / "real.zip", dirty=True)
    except WorkbookError as error:
        if "git checkout" in str(error):
            pytest.skip("this is not a git checkout")
        raise
    assert made.bytes < 20_000_000
    tree = unpacked(made.path, tmp_path / "out")
    assert not list(tree.rglob("answers/*"))
    found = [leak for leak in find_leaks(tree, REAL) if leak.secret != MARKER]
    command = "import sys; from autograder.cli import main; sys.argv[1:] = ['progress', '--json']; main()"
    ran = subprocess.run(
        [sys.executable, "-c", command],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert [each["lab"] for each in json.loads(ran.stdout)] == [lab.id for lab in REAL.labs]
    assert [leak for leak in found if "hidden check" in leak.secret or "solution" in leak.secret] == []
