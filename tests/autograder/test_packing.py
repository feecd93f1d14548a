"""Folders as bytes: what comes out is judged as what went in."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from autograder.nbgrading.files import Limits, TooMuch, copy_plain
from autograder.nbgrading.packing import pack, unpack


def test_a_folder_comes_back_as_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "handed_in"
    (folder / "lab" / "empty").mkdir(parents=True)
    (folder / "lab" / "two\nlines").write_bytes(b"\x00\xff")
    (folder / "lab" / "link").symlink_to("/etc/passwd")
    (folder / "up").symlink_to("..")
    (folder / "__pycache__").mkdir()
    os.mkfifo(folder / "pipe")
    unpack(pack(folder), tmp_path / "there")
    there = {
        str(path.relative_to(tmp_path / "there")): path for path in sorted((tmp_path / "there").rglob("*"))
    }
    assert set(there) == {"lab", "lab/empty", "lab/two\nlines", "lab/link", "up", "pipe"}
    assert there["lab/two\nlines"].read_bytes() == b"\x00\xff"
    assert str(there["lab/link"].readlink()) == "/etc/passwd"
    here, far = copy_plain(folder, tmp_path / "a"), copy_plain(tmp_path / "there", tmp_path / "b")
    assert (here.files, here.left_out) == (far.files, far.left_out)


def test_nothing_is_packed_as_nothing(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    assert pack(tmp_path / "missing") == pack(tmp_path / "link") == b""
    unpack(b"", tmp_path / "there")
    assert not (tmp_path / "there").exists()


@pytest.mark.parametrize("limits", [Limits(files=3), Limits(total_bytes=25)])
def test_too_much_is_too_much_there_as_well(tmp_path: Path, limits: Limits) -> None:
    folder = tmp_path / "handed_in"
    folder.mkdir()
    for number in range(6):
        (folder / f"file-{number}").write_bytes(bytes(10))
    packed = pack(folder, limits)
    unpack(packed, tmp_path / "there")
    said = []
    for source in (folder, tmp_path / "there"):
        with pytest.raises(TooMuch) as raised:
            copy_plain(source, tmp_path / "copy", limits)
        said.append(str(raised.value))
    assert said[0] == said[1]


@pytest.mark.parametrize("names", [["../out"], ["/etc/out"], ["link", "link/out"]])
def test_no_name_leads_out(tmp_path: Path, names: list[str]) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name in names:
            member = tarfile.TarInfo(name)
            if name == "link":
                member.type, member.linkname = tarfile.SYMTYPE, str(tmp_path)
            archive.addfile(member)
    with pytest.raises(ValueError, match=r"leads out|behind a link"):
        unpack(packed.getvalue(), tmp_path / "there")
    assert not (tmp_path / "out").exists()
