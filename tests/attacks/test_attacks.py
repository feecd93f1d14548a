"""Every attack at once, among honest work: no point forged, nothing hidden read, nothing outside changed."""

from __future__ import annotations

import hashlib
import html.parser
import io
import os
import re
import shutil
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nbformat
import psutil
import pytest
from attacks.catalogue import ATTACKS, LOOT, Attack
from nbgrader.api import Gradebook
from rich.console import Console
from tiny_course import ASSIGNMENT, CELLS, lay_course, use_rubrics

import autograder
from autograder.commands.grading import summary_of
from autograder.nbgrading import Settings, Summary, export, feedback, grade, release
from autograder.nbgrading.job import ISOLATED_RUNNER
from autograder.nbgrading.runner import RunLimits, can_isolate
from autograder.nbgrading.settings import COURSE_ID, Folders
from labkit.course import Course
from labkit.isolation import cgroups
from labkit.isolation.limits import MIB

MARKER = "SECRET-4711"
LIMITS = RunLimits(seconds=4, memory_bytes=700 * MIB, processes=64, disk_bytes=64 * MIB, files=1000)
HONEST = ("aaa_first", "mmm_between", "zzz_last")
SOLUTION = f'Path("{CELLS}/made.txt").write_text("made")'

pytestmark = pytest.mark.skipif(not can_isolate(), reason="there is no sandbox (apt-get install bubblewrap)")


@dataclass
class World:
    """The machine that is attacked, as far as it can be held against what it was.

    Attributes:
        course: The course; its rubrics and answers hold the marker.
        summary: What grading said.
        watched: Folders that must stay as they are.
        before: What was in them.
        listeners: Sockets that nobody may connect to.
        canary: A file that nobody may make.
    """

    course: Course
    watched: list[Path]
    before: dict[str, str]
    listeners: list[socket.socket]
    canary: Path
    processes: set[int]
    groups: set[Path]
    summary: Summary | None = None

    @property
    def folders(self) -> Folders:
        return Folders.of(self.course)

    def record(self, learner: str):
        assert self.summary is not None
        return next(record for record in self.summary.records if record.learner == learner)


def fingerprint(folders: list[Path]) -> dict[str, str]:
    """What each file below these folders is: its kind and rights, and the hash of what it holds."""
    found = {}
    for folder in folders:
        for path in folder.rglob("*"):
            if "__pycache__" not in path.parts:
                plain = path.is_file() and not path.is_symlink()
                content = hashlib.sha256(path.read_bytes()).hexdigest() if plain else ""
                found[str(path)] = f"{path.lstat().st_mode:o} {content}"
    return found


def ours_alive() -> set[int]:
    """Our descendants, and processes in control groups of sandboxes that they made, or that nobody owns now.

    Nothing leaves its control group.
    """
    family = {os.getpid(), *(child.pid for child in psutil.Process().children(recursive=True))}
    found = family - {os.getpid()}
    for pid in psutil.pids():
        try:
            groups = Path(f"/proc/{pid}/cgroup").read_text()
        except OSError:
            continue
        makers = {int(maker) for maker in re.findall(r"/workbook-(\d+)-\d+-\d+", groups)}
        if any(maker in family or not psutil.pid_exists(maker) for maker in makers):
            found.add(pid)
    return found


def lay_world(root: Path, attacks: dict[str, Attack]) -> World:
    course = lay_course(root / "course", labs=(CELLS,))
    folders = Folders.of(course)
    rubrics = course.root / "rubrics" / ASSIGNMENT
    rubric = rubrics / f"test_{CELLS}.py"
    rubric.write_text(f"# {MARKER}\n{rubric.read_text()}")
    (rubrics / "answers" / "answer.txt").write_text(MARKER)
    public = root / "everyone"
    public.mkdir(mode=0o777)
    public.chmod(0o777)
    (public / "private").write_text(MARKER)
    (public / "private").chmod(0o600)
    with use_rubrics(course):
        release(ASSIGNMENT, course=course)
    listeners = [socket.socket(socket.AF_INET), socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)]
    addresses = [("127.0.0.1", 0), str(public / "socket"), f"\0workbook-{os.getpid()}"]
    for listener, address in zip(listeners, addresses, strict=True):
        listener.bind(address)
        listener.listen()
        listener.setblocking(False)
    (public / "socket").chmod(0o777)
    honest = folders.submitted(HONEST[0], ASSIGNMENT)
    known = {
        "abstract": f"workbook-{os.getpid()}",
        "canary": str(public / "canary"),
        "cells": CELLS,
        "gradebook": str(folders.root / "gradebook.db"),
        "grader": os.getpid(),
        "marker": MARKER,
        "other": str(honest / CELLS),
        "places": [
            *map(str, (rubric, rubrics, folders.root / "gradebook.db", honest, course.root, public)),
            *map(
                str,
                (public / "private", Path(autograder.__file__), Path(autograder.__file__).parent / "rubrics"),
            ),
            *("/etc/shadow", "/root", str(Path.home()), "/var/log", "/run", "/sys/fs/cgroup", "/dev/mem"),
        ],
        "port": listeners[0].getsockname()[1],
        "rubric": str(rubric),
        "socket": str(public / "socket"),
        "venv": sys.prefix,
    }
    for learner in HONEST:
        hand_in(folders, learner, Attack(SOLUTION), {})
        (folders.submitted(learner, ASSIGNMENT) / CELLS / "private.txt").write_text(MARKER)
    for name, attack in attacks.items():
        hand_in(folders, name, attack, known)
    watched = [course.root / "rubrics", course.root / "weeks", folders.root / "submitted", public]
    watched.append(Path(autograder.__file__).parent)
    return World(
        course, watched, fingerprint(watched), listeners, public / "canary", ours_alive(), groups_left()
    )


def hand_in(folders: Folders, learner: str, attack: Attack, known: dict[str, object]) -> None:
    folder = folders.submitted(learner, ASSIGNMENT)
    shutil.copytree(folders.release(ASSIGNMENT), folder)
    path = folder / f"{CELLS}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.metadata.get("nbgrader", {}).get("grade_id", "").endswith("exercise-1"):
            cell.source = fill_in(attack.code, known) if known else attack.code
    nbformat.write(notebook, path)
    if attack.tamper is not None:
        attack.tamper(folder)


def fill_in(code: str, known: dict[str, object]) -> str:
    """Put the known places in; `{{` and `}}` are braces where anything is to be put in."""
    if not any(f"{{{name}" in code for name in known) and "{{" not in code:
        return code
    prelude, rest = code.split("return None\n", 1)
    return f"{prelude}return None\n{rest.format(**known)}"


def groups_left() -> set[Path]:
    """The cgroups of processes that have ended."""
    groups = {folder for place in cgroups.places() for folder in place.folder.glob("workbook-*-*")}
    return {folder for folder in groups if not psutil.pid_exists(int(folder.name.split("-")[1]))}


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(ISOLATED_RUNNER, id="forked"),
        pytest.param("autograder.nbgrading.runner:SandboxRunner", id="fresh", marks=pytest.mark.nightly),
    ],
)
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """All attacks and three honest learners, graded in one run."""
    made = lay_world(tmp_path_factory.mktemp("attacked"), ATTACKS)
    with use_rubrics(made.course), pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBOOK_TEST_SECRET", MARKER)
        made.processes, made.groups = ours_alive(), groups_left()
        settings = Settings(runner=request.param, run_limits=LIMITS, fenced=True)
        made.summary = grade(ASSIGNMENT, course=made.course, settings=settings, jobs=2)
        yield made
    for listener in made.listeners:
        listener.close()


@pytest.mark.parametrize("name", ATTACKS)
def test_the_attack_ends_in_a_status_without_points_or_loot(world: World, name: str) -> None:
    record = world.record(name)
    assert record.status in ATTACKS[name].ends, record.reason
    assert record.points == 0
    assert record.status == "graded" or record.reason
    kept = world.folders.autograded(name, ASSIGNMENT)
    taken = (kept / CELLS / LOOT).read_text(errors="replace") if (kept / CELLS / LOOT).is_file() else ""
    assert MARKER not in taken
    assert "uid=0" not in taken
    assert not [
        path for path in kept.rglob("*") if path.is_symlink() or not (path.is_file() or path.is_dir())
    ]
    assert not [path for path in kept.rglob("*") if path.stat().st_mode & 0o7000]
    if record.status != "invalid" and record.status != "missing":
        assert record.labs[0].isolation.startswith("sandbox: ")


def test_the_honest_are_graded_as_ever(world: World) -> None:
    assert {learner: world.record(learner).points for learner in HONEST} == dict.fromkeys(HONEST, 5.0)
    assert {world.record(learner).status for learner in HONEST} == {"graded"}
    assert world.summary is not None
    assert world.summary.own_errors == []


def test_nobody_has_points_in_the_gradebook_but_the_honest(world: World) -> None:
    gradebook = Gradebook(world.folders.gradebook_url, COURSE_ID)
    with gradebook:
        scores = {s.student.id: s.score for s in gradebook.assignment_submissions(ASSIGNMENT)}
    gradebook.engine.dispose()
    assert {learner for learner, score in scores.items() if score} == set(HONEST)


def test_nothing_outside_was_changed(world: World) -> None:
    now = fingerprint(world.watched)
    assert {path for path in {*now, *world.before} if now.get(path) != world.before.get(path)} == set()
    assert not world.canary.exists()
    assert not (Path(autograder.__file__).parent / "forged").exists()


def test_nobody_connected(world: World) -> None:
    for listener in world.listeners:
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_nothing_is_left_running_mounted_or_grouped(world: World) -> None:
    assert ours_alive() - world.processes == set()
    mounts = Path("/proc/self/mounts").read_text()
    assert "/tmp/disk" not in mounts
    assert groups_left() - world.groups == set()


class Pages(html.parser.HTMLParser):
    """Finds what would run: scripts, handlers, links that run script."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._in_script = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in_script = tag == "script"
        for name, value in attrs:
            said = re.sub(r"[\x00-\x20]", "", value or "").lower()
            if name.startswith("on") and "steal" in said:
                self.found.append(f"{tag} {name}={value}")
            if said.startswith(("javascript:", "vbscript:", "data:text/html")):
                self.found.append(f"{tag} {name}={value}")

    def handle_endtag(self, tag: str) -> None:
        self._in_script = False

    def handle_data(self, data: str) -> None:
        if self._in_script and "steal" in data:
            self.found.append(f"script {data[:80]}")


def test_no_feedback_page_runs_script_of_learners(world: World) -> None:
    pages = {page.parent.parent.name: page for page in feedback(ASSIGNMENT, course=world.course)}
    assert set(pages) == {*ATTACKS, *HONEST}
    for name, page in pages.items():
        text = page.read_text()
        parser = Pages()
        parser.feed(text)
        assert parser.found == [], name
        assert "\x1b" not in text, name


def test_nothing_moves_the_instructor_s_cursor_or_spreadsheet(world: World) -> None:
    assert world.summary is not None
    console = Console(file=io.StringIO(), width=200)
    console.print(summary_of(world.summary))
    shown = console.file.getvalue()
    assert "Not graded as usual" in shown
    exported = export(ASSIGNMENT, course=world.course).read_text()
    for text in (shown, exported):
        assert not [char for char in text if not char.isprintable() and char not in "\r\n"]
    assert not re.search(r"(^|,)\"?[=+@\t]", exported, re.MULTILINE)
