"""What a sandbox sees of this machine's files: an allow-list, read-only; all else is not there."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

HOME = "/home/learner"
_TMP = "/tmp"  # noqa: S108 (the sandbox's own)
_SYSTEM = ("/usr",)
_ETC = ("alternatives", "ld.so.cache", "ssl/certs", "fonts", "localtime", "mime.types", "debian_version")
_LINKED = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")


@dataclass(frozen=True)
class Shown:
    """A file or folder that is shown, read-only.

    Attributes:
        source: Where it lies here.
        target: Where it lies inside; the same place by default.
    """

    source: Path
    target: str = ""

    @property
    def inside(self) -> str:
        """Where it lies inside."""
        return self.target or str(self.source)


def system() -> list[Shown]:
    """Debian's programs and libraries, and of /etc what those can't do without."""
    paths = [*map(Path, _SYSTEM), *(Path("/etc") / name for name in _ETC)]
    own = [Path(path) for path in _LINKED if Path(path).is_dir() and not Path(path).is_symlink()]
    return [Shown(path) for path in (*paths, *own) if path.exists()]


def links() -> dict[str, str]:
    """/bin, /lib and their like, where they are links into /usr; by their name, where they lead."""
    return {path: str(Path(path).readlink()) for path in _LINKED if Path(path).is_symlink()}


def interpreter() -> list[Shown]:
    """The running Python with its packages, where they don't lie below /usr."""
    places = {Path(sys.prefix), Path(sys.base_prefix), Path(sys.executable).resolve().parent.parent}
    outside = sorted(place for place in places if not place.is_relative_to("/usr") and place != Path("/"))
    return [Shown(place) for place in outside if not any(p in place.parents for p in outside)]


def installed_copies(package: str) -> list[str]:
    """Where a package lies in the folders of this interpreter: what must not be seen is covered there."""
    return [
        str(found)
        for place in sys.path
        if place and (found := Path(place) / package).is_dir() and found.is_relative_to(sys.prefix)
    ]


def as_plan(shown: Iterable[Shown]) -> list[list[str]]:
    """Source and target, a parent before what lies in it."""
    return sorted(([str(each.source), each.inside] for each in shown), key=lambda pair: pair[1])


def etc(uid: int | str) -> dict[str, str]:
    """The files of /etc that are made for a sandbox, by name."""
    return {
        "passwd": f"learner:x:{uid}:{uid}::{HOME}:/bin/sh\n",
        "group": f"learner:x:{uid}:\n",
        "hosts": "127.0.0.1 localhost\n::1 localhost\n",
        "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
    }


def environment(more: dict[str, str]) -> dict[str, str]:
    """The variables inside: none of ours."""
    programs = os.pathsep.join([str(Path(sys.executable).parent), "/usr/local/bin", "/usr/bin", "/bin"])
    # What programs keep for themselves does not belong among the learner's files.
    return {"PATH": programs, "HOME": _TMP, "LANG": "C.UTF-8", "PYTHONUNBUFFERED": "1", **more}
