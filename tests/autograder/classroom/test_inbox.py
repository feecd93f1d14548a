"""Zips from a learning platform: whose they are, and what of them is unpacked."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest

from autograder.classroom.inbox import Unusable, read_inbox, unpack
from autograder.classroom.roster import Learner
from autograder.nbgrading.files import Limits

WEEK = "week99_tiny"
ROSTER = [
    Learner("ada", "Ada", "Lovelace", "ada@example.org"),
    Learner("ada2", "Ada", "Byron"),
    Learner("zoe", "Zoë", "Muñoz"),
]


def zipped(path: Path, content: dict[str, bytes], *, at: float = 0.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    if at:
        os.utime(path, (at, at))
    return path


@pytest.mark.parametrize(
    ("name", "whose"),
    [
        ("ada.zip", "ada"),
        ("ada2_week99_tiny.zip", "ada2"),
        ("ada@example.org.zip", "ada"),
        ("Ada Lovelace_4711_assignsubmission_file/week99_tiny.zip", "ada"),
        ("Munoz Zoe - late/homework.zip", "zoe"),
        ("zoe/week99_tiny_2026-01-01.zip", "zoe"),
    ],
)
def test_the_learner_is_found_by_the_platform_s_names(tmp_path, name, whose):
    zipped(tmp_path / name, {})
    assert [handed.learner for handed in read_inbox(tmp_path, ROSTER).newest] == [whose]


@pytest.mark.parametrize("name", ["mallory.zip", "homework.zip", "adam.zip"])
def test_a_stranger_s_zip_is_named_and_left(tmp_path, name):
    zipped(tmp_path / name, {})
    inbox = read_inbox(tmp_path, ROSTER)
    assert not inbox.newest
    assert "no learner of the roster" in inbox.refused[0]


def test_what_a_zip_says_of_its_owner_does_not_count(tmp_path):
    zipped(tmp_path / "ada.zip", {f"{WEEK}/learner.txt": b"zoe", "zoe/x": b""})
    assert [handed.learner for handed in read_inbox(tmp_path, ROSTER).newest] == ["ada"]


def test_the_last_of_two_counts(tmp_path):
    zipped(tmp_path / "ada_first.zip", {}, at=2_000_000_000)
    zipped(tmp_path / "ada_again.zip", {}, at=2_000_000_001)
    inbox = read_inbox(tmp_path, ROSTER)
    assert [handed.zip.name for handed in inbox.newest] == ["ada_again.zip"]
    assert [handed.zip.name for handed in inbox.older] == ["ada_first.zip"]


def test_files_of_the_assignment_alone_are_unpacked(tmp_path):
    path = zipped(
        tmp_path / "ada.zip",
        {
            f"around/{WEEK}/01_lab/serve.py": b"one",
            f"around/{WEEK}/workbook.json": b"{}",
            f"around/{WEEK}/__pycache__/x.pyc": b"no",
            "around/week98_other/serve.py": b"no",
        },
    )
    assert unpack(path, WEEK, tmp_path / "out") == []
    found = {p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*") if p.is_file()}
    assert found == {"01_lab/serve.py"}


@pytest.mark.parametrize(
    "name",
    [f"{WEEK}/../../escaped", f"{WEEK}/..\\escaped", f"{WEEK}/a/../../../escaped", f"{WEEK}/bell\x07"],
)
def test_paths_that_lead_elsewhere_are_left_out_and_named(tmp_path, name):
    path = zipped(tmp_path / "in/ada.zip", {name: b"evil", f"{WEEK}/fine": b"good"})
    assert len(unpack(path, WEEK, tmp_path / "in/out")) == 1
    assert {p.name for p in tmp_path.rglob("*") if p.is_file()} == {"ada.zip", "fine"}


def test_links_are_left_out(tmp_path):
    path = tmp_path / "ada.zip"
    link = zipfile.ZipInfo(f"{WEEK}/link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(link, "/etc/passwd")
        archive.writestr(f"{WEEK}/fine", "good")
    assert "not a plain file" in unpack(path, WEEK, tmp_path / "out")[0]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["fine"]


def test_two_files_of_one_name(tmp_path):
    path = tmp_path / "ada.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{WEEK}/serve.py", "first")
        archive.writestr(f"{WEEK}/Serve.py", "second")
    assert "a file of that name came before" in unpack(path, WEEK, tmp_path / "out")[0]
    assert (tmp_path / "out/serve.py").read_text() == "first"


def bomb(path: Path) -> Path:
    return zipped(path, {f"{WEEK}/zeros": bytes(50_000_000)})


def another_week(path: Path) -> Path:
    return zipped(path, {"week98_other/serve.py": b""})


def half(path: Path) -> Path:
    zipped(path, {f"{WEEK}/serve.py": os.urandom(10_000)})
    path.write_bytes(path.read_bytes()[:5_000])
    return path


def no_zip(path: Path) -> Path:
    path.write_text("not a zip")
    return path


def many(path: Path) -> Path:
    return zipped(path, {f"{WEEK}/{number}": b"" for number in range(30)})


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (bomb, "unpacks to"),
        (another_week, f"holds no folder {WEEK}, but 'week98_other'"),
        (half, "not a whole zip"),
        (no_zip, "not a whole zip"),
        (many, "more than 20 files"),
    ],
)
def test_what_can_not_be_used_is_said(tmp_path, made, says):
    with pytest.raises(Unusable, match=says):
        unpack(made(tmp_path / "ada.zip"), WEEK, tmp_path / "out", Limits(files=20))
