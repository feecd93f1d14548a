"""The learners' wheel: what is in it, and what the `workbook` that it brings does in a fresh environment."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from autograder.classroom import launcher
from autograder.classroom.bundle import NAME, make_bundle
from autograder.classroom.wheel import make_wheel
from labkit.errors import WorkbookError

from .conftest import git

PROJECT = """\
[project]
name = "ml-infrastructure-workbook"
version = "1.2.3"
description = "A course"
license = "Apache-2.0"
requires-python = ">=3.11"
"""
SET_UP = """\
import pathlib, sys
assert sys.argv[1:] == ["core"]
if pathlib.Path("broken").exists():
    sys.exit("no network")
programs = pathlib.Path(".venv/bin")
programs.mkdir(parents=True, exist_ok=True)
(programs / "workbook").write_text('#!/bin/sh\\necho "in $(pwd), asked: $*"\\nexit 7\\n')
(programs / "workbook").chmod(0o755)
if not (programs / "python").exists():
    (programs / "python").symlink_to(sys.executable)
"""
"""The small course's set-up. The real one takes minutes: tests/browser/test_package.py goes through it."""


@pytest.fixture
def checkout(checkout):
    """The small course, with what a wheel needs and a set-up of its own."""
    checkout.write("pyproject.toml", PROJECT)
    checkout.write("LICENSE", "Apache\n")
    checkout.write("labkit/environments/__init__.py", "")
    checkout.write("labkit/environments/__main__.py", SET_UP)
    checkout.write("labkit/models.py", "open('model', 'w').close()\n")
    git(checkout.root, "add", ".")
    git(checkout.root, "commit", "-qm", "two")
    return checkout


@pytest.fixture
def wheel(checkout, tmp_path):
    return make_wheel(checkout, make_bundle(checkout, tmp_path / "package" / "course.zip"))


@pytest.fixture
def workbook(wheel, tmp_path):
    """Runs the `workbook` of a fresh environment that holds the wheel and nothing else."""
    environment = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    pip = [sys.executable, "-m", "pip", "--python", environment / "bin" / "python"]
    subprocess.run([*pip, "install", "--quiet", "--no-index", wheel], check=True)

    def run(*arguments: str | Path, within: Path = tmp_path) -> subprocess.CompletedProcess[str]:
        command = [environment / "bin" / "workbook", *arguments]
        return subprocess.run(command, cwd=within, capture_output=True, text=True, check=False)

    return run


def test_it_holds_the_package_and_asks_for_nothing(checkout, wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        (metadata,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        said = archive.read(metadata).decode()
        packed = archive.read("ml_infrastructure_workbook/course.zip")
    assert names == {
        f"ml_infrastructure_workbook/{name}" for name in ("__init__.py", "launcher.py", "course.zip")
    }
    assert packed == (tmp_path / "package" / "course.zip").read_bytes()
    assert "Requires-Dist" not in said
    assert "Version: 1.2.3+g" in said
    assert "# Begin here" in said
    first = wheel.read_bytes()
    again = make_wheel(checkout, make_bundle(checkout, tmp_path / "package" / "course.zip"))
    assert again.read_bytes() == first


def test_a_changed_tree_shows_in_its_version_and_takes_the_earlier_one_s_place(checkout, wheel, tmp_path):
    checkout.write("docs/learner.md", "# Begin here, now\n")
    bundle = make_bundle(checkout, tmp_path / "package" / "course.zip", dirty=True)
    made = make_wheel(checkout, bundle)
    assert ".changed-" in made.name
    assert list(made.parent.glob("*.whl")) == [made]


def test_without_a_version_there_is_none(checkout, tmp_path):
    checkout.write("pyproject.toml", "[project]\n")
    with pytest.raises(WorkbookError, match="needs the course's name and version"):
        make_wheel(checkout, make_bundle(checkout, tmp_path / "package" / "course.zip", dirty=True))
    assert not list((tmp_path / "package").glob("*.whl"))


def test_installed_it_lays_the_course_and_hands_commands_on(workbook, tmp_path):
    assert "workbook start FOLDER" in workbook().stdout
    lost = workbook("check", "week01/adding")
    assert (lost.returncode, "is not inside a course" in lost.stderr) == (2, True)

    course = tmp_path / "my course"
    started = workbook("start", course)
    assert started.returncode == 0, started.stderr
    assert "workbook lab" in started.stdout
    assert (course / "README.md").read_text() == "# Begin here\n"
    assert (course / "model").exists()

    handed_on = workbook("check", "week01/adding", "--watch", within=course / "weeks")
    assert handed_on.stdout == f"in {course / 'weeks'}, asked: check week01/adding --watch\n"
    assert handed_on.returncode == 7


def test_a_set_up_that_failed_goes_on_with_the_same_command(workbook, tmp_path):
    course = tmp_path / "my course"
    assert workbook("start", course).returncode == 0
    (course / "mine.txt").write_text("mine")
    (course / "broken").touch()
    failed = workbook("start", course)
    assert failed.returncode == 2
    assert failed.stderr.endswith(
        "The course is not set up yet.\nSee above; then run the same command again.\n"
    )
    (course / "broken").unlink()
    assert workbook("start", course).returncode == 0
    assert (course / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize(("words", "says"), [([], "which folder"), (["--help"], "which folder")])
def test_a_start_without_a_folder_says_how(monkeypatch, capsys, words, says):
    monkeypatch.setattr(sys, "argv", ["workbook", "start", *words])
    with pytest.raises(SystemExit) as ended:
        launcher.main()
    assert ended.value.code == 2
    assert says in capsys.readouterr().err


def package(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{NAME}/weeks/a.md", "a")
    return path


def test_what_is_there_already_stays(tmp_path):
    mine = tmp_path / "course"
    mine.mkdir()
    (mine / "weeks").write_text("mine")
    with pytest.raises(launcher.Refused, match="is not empty"):
        launcher.lay(mine, package(tmp_path / "course.zip"))
    assert [path.name for path in mine.iterdir()] == ["weeks"]


def test_a_package_that_is_cut_short_leaves_nothing(tmp_path):
    whole = package(tmp_path / "course.zip").read_bytes()
    (tmp_path / "course.zip").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(launcher.Refused, match=r"package .* is broken"):
        launcher.lay(tmp_path / "to" / "course", tmp_path / "course.zip")
    assert list((tmp_path / "to").iterdir()) == []
