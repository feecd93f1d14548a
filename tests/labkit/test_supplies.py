"""What labs fetch: known for every environment, chosen by week or name, measured, and removed with care."""

import json
import os

import pytest
from typer.testing import CliRunner

from autograder.cli import command_line
from labkit.course import Course, find_course
from labkit.environments import Environment
from labkit.errors import WorkbookError
from labkit.supplies import ENVIRONMENTS, Supply, folder_bytes, removable_environments, select, supplies

OUR_OWN_WORK = {"core", "uv", "bench", "docs", "fuzz", "minilm", "otter", "schemas"}


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A course in which nothing was made yet."""
    (tmp_path / "weeks" / "week11_serving" / "source").mkdir(parents=True)
    (tmp_path / "weeks" / "week11_serving" / "source" / "01_one.md").write_text("# One\n")
    (tmp_path / "build").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("autograder.commands.supplies.find_course", lambda: Course(tmp_path))
    return tmp_path


def environment(root, name, **stamp):
    made = Environment(name, root)
    made.path.mkdir(parents=True)
    (made.path / "big").write_bytes(b"x" * 8192)
    if stamp:
        made.write_stamp(stamp)
    return made


def run(*arguments):
    return CliRunner().invoke(command_line(["prefetch", "clean"]), arguments)


def test_every_environment_is_a_labs_or_our_own():
    pinned = {path.stem for path in (find_course().root / "environments").glob("*.txt")}
    assert pinned <= set(ENVIRONMENTS) | OUR_OWN_WORK
    assert not OUR_OWN_WORK & set(ENVIRONMENTS)


def test_a_week_a_project_or_a_name_chooses():
    offered = supplies(find_course().root)
    assert {"scan", "python:3.11-slim"} <= {s.name for s in select(offered, ["week09"])}
    assert [s.name for s in select(offered, ["triton"])] == ["triton"]
    assert select(offered, []) == offered
    with pytest.raises(WorkbookError, match="called 'week99'"):
        select(offered, ["week99"])


def test_a_file_with_two_names_counts_once(tmp_path):
    (tmp_path / "one").write_bytes(os.urandom(40_000))
    once = folder_bytes(tmp_path)
    (tmp_path / "two").hardlink_to(tmp_path / "one")
    assert folder_bytes(tmp_path) == once >= 40_000


def test_what_is_missing_is_fetched_and_a_failure_stops_nothing(course, monkeypatch):
    here = {"there": 5_000_000}

    def bring(name):
        def fetch(say):
            say(f"bringing {name}")
            if name == "broken":
                raise WorkbookError("The index is not in reach.")
            here[name] = 2_000_000_000

        return Supply(name, ("week11",), lambda: here.get(name), fetch)

    offered = [bring("there"), bring("broken"), bring("far")]
    monkeypatch.setattr("autograder.commands.supplies.supplies", lambda root: offered)
    listed = run("prefetch", "--list", "--json")
    assert [row["bytes"] for row in json.loads(listed.stdout)] == [5_000_000, None, None]
    done = run("prefetch")
    assert done.exit_code == 1
    assert "bringing there" not in done.output
    assert "2.0 GB" in done.output
    assert "broken did not come. The index is not in reach." in done.output
    assert here["far"]


def test_clean_keeps_grades_work_and_what_others_made(course):
    (course / "build" / "nbgrader").mkdir()
    (course / "build" / "nbgrader" / "gradebook.db").write_text("grades")
    (course / "build" / "run").mkdir()
    (course / "build" / "run" / "one.ipynb").write_text("{}")
    (course / "learn").mkdir()
    ours, others = environment(course, "triton", finished=True), environment(course, "mine")
    assert [e.name for e in removable_environments(course)] == ["triton"]
    assert run("clean").exit_code == 0
    assert not (course / "build" / "run").exists()
    assert (course / "build" / "nbgrader" / "gradebook.db").read_text() == "grades"
    assert ours.path.exists()
    said = run("clean", "--environments").output
    assert "triton: 0.0 MB" in said
    assert not ours.path.exists()
    assert others.path.exists()
    assert (course / "learn").is_dir()
