"""Collecting from the exchange: nothing behind links, nobody else's work, and one bad name stops nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tiny_course import ASSIGNMENT, FILES, lay_course, use_rubrics

from autograder.nbgrading import collect, grade, release
from autograder.nbgrading.settings import COURSE_ID, Folders, nbgrader_config
from labkit.course import Course

EARLY, LATE = "2026-03-01 10:00:00.000000 UTC", "2026-03-02 10:00:00.000000 UTC"
ADA, EVE = 1, 2  # uids that every Debian has names for: daemon and bin
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can lay folders of other users")


@pytest.fixture
def course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Course]:
    made = lay_course(tmp_path / "course", labs=(FILES,))
    (tmp_path / "exchange" / COURSE_ID / "inbound").mkdir(parents=True)
    (tmp_path / "exchange").chmod(0o777)

    def with_exchange(course: Course):
        config = nbgrader_config(course)
        config.Exchange.root = str(tmp_path / "exchange")
        return config

    monkeypatch.setattr("autograder.nbgrading.settings.nbgrader_config", with_exchange)
    with use_rubrics(made):
        release(ASSIGNMENT, course=made)
        yield made


def submit(course: Course, learner: str, when: str, text: str, *, owner: int) -> Path:
    """Lay a folder into the exchange as `nbgrader submit` does."""
    inbound = course.root.parent / "exchange" / COURSE_ID / "inbound"
    folder = inbound / f"{learner}+{ASSIGNMENT}+{when}"
    shutil.copytree(Folders.of(course).release(ASSIGNMENT), folder)
    (folder / FILES / "answer.txt").write_text(text)
    (folder / "timestamp.txt").write_text(when)
    os.chown(folder, owner, owner)
    return folder


def test_plain_files_of_their_own_owner_alone_are_collected(course: Course) -> None:
    inbound = submit(course, "daemon", EARLY, "right\n", owner=ADA).parent
    submit(course, "daemon", LATE, "wrong\n", owner=EVE)  # in another's name, and newer
    secret = course.root / "secret.txt"
    secret.write_text("SECRET-4711")
    links = submit(course, "bin", EARLY, "right\n", owner=EVE)
    (links / "loot.txt").symlink_to(secret)
    (links / "all").symlink_to(course.root, target_is_directory=True)
    (inbound / f"games+{ASSIGNMENT}+{EARLY}").symlink_to(course.root, target_is_directory=True)
    (inbound / f"nobody+{ASSIGNMENT}+not a time").mkdir()
    (inbound / f"<img src=x>+{ASSIGNMENT}+{EARLY}").mkdir()

    collected = collect(ASSIGNMENT, course=course)
    assert collected.taken == ["bin", "daemon"]
    folders = Folders.of(course)
    assert (folders.submitted("daemon", ASSIGNMENT) / FILES / "answer.txt").read_text() == "right\n"
    found = [path for path in (folders.root / "submitted").rglob("*") if path.is_file()]
    assert not [path for path in found if b"SECRET-4711" in path.read_bytes()]
    assert not [path for path in (folders.root / "submitted").rglob("*") if path.is_symlink()]
    assert sorted(collected.refused) == sorted(
        [
            f"'<img src=x>+{ASSIGNMENT}+{EARLY}': that can't be a learner's name.",
            f"'daemon+{ASSIGNMENT}+{LATE}': it is of bin"
            " (to take it nevertheless: c.ExchangeCollect.check_owner = False).",
            f"'games+{ASSIGNMENT}+{EARLY}': it is not a folder.",
            f"'nobody+{ASSIGNMENT}+not a time': its name holds no learner and time.",
            "bin: all was left out: it is a link.",
            "bin: loot.txt was left out: it is a link.",
        ]
    )
    assert {record.learner: record.points for record in grade(ASSIGNMENT, course=course).records} == {
        "bin": 5.0,
        "daemon": 5.0,
    }

    shutil.rmtree(inbound / f"daemon+{ASSIGNMENT}+{LATE}")
    submit(course, "daemon", LATE, "right\nright\n", owner=ADA)
    again = collect(ASSIGNMENT, course=course)
    assert (again.taken, again.unchanged) == (["daemon"], ["bin"])
    assert (folders.submitted("daemon", ASSIGNMENT) / FILES / "answer.txt").read_text() == "right\nright\n"


def test_too_much_of_one_learner_leaves_the_others_collected(course: Course) -> None:
    many = submit(course, "bin", EARLY, "", owner=EVE)
    for number in range(2_100):
        (many / str(number)).touch()
    submit(course, "daemon", EARLY, "right\n", owner=ADA)
    collected = collect(ASSIGNMENT, course=course)
    assert collected.taken == ["daemon"]
    assert collected.refused == ["bin: It holds more than 2,000 files and folders."]
