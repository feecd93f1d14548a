"""Makes a sandbox's root out of what was staged, in the process that will live there, and moves into it.

What bubblewrap does for a command, for a process that goes on as it is: `labkit.isolation.zygote_process`.
"""

from __future__ import annotations

import os
from typing import Any

from labkit.isolation import stage, syscalls
from labkit.isolation.syscalls import BIND, NO_DEVICES, NO_EXEC, NO_SUID, READ_ONLY, RECURSIVE, REMOUNT

_NEW = f"{stage.PLACE}/root"
_DEVICES = ("null", "zero", "full", "random", "urandom")
_STANDARD = {"fd": "", "stdin": "/0", "stdout": "/1", "stderr": "/2"}
_FLAGS = {
    "nosuid": NO_SUID,
    "nodev": NO_DEVICES,
    "noexec": NO_EXEC,
    "noatime": 1024,
    "nodiratime": 2048,
    "relatime": 1 << 21,
}


def move_in(plan: dict[str, Any]) -> None:
    """Build the root from `plan` (`mounts`, `links`, `etc`, `home`), pivot into it, go to the home."""
    os.mkdir(_NEW)
    syscalls.mount("tmpfs", _NEW, "tmpfs", NO_SUID | NO_DEVICES, "size=1m,nr_inodes=1000,mode=755")
    # What is writable comes first: the interpreter may lie below /tmp.
    for part, target in (("tmp", "/tmp"), ("home", plan["home"])):
        _bind(f"{stage.DISK}/{part}", target)
    _make_devices()
    for name, text in plan["etc"].items():
        _make_file(f"/etc/{name}", text)
    for link, target in plan["links"].items():
        os.symlink(target, _NEW + link)
    for number, (_, target) in enumerate(plan["mounts"]):
        _bind(stage.staged(number), target)
    _make_read_only([target for _, target in plan["mounts"]])
    os.makedirs(f"{_NEW}/proc")
    syscalls.mount("proc", f"{_NEW}/proc", "proc", NO_SUID | NO_DEVICES | NO_EXEC)
    os.mkdir(f"{_NEW}/old")
    syscalls.pivot_root(_NEW, f"{_NEW}/old")
    os.chdir("/")
    syscalls.unmount("/old")
    os.rmdir("/old")
    for place in ("/dev", "/"):
        syscalls.mount(None, place, None, REMOUNT | BIND | READ_ONLY | NO_SUID | NO_DEVICES)
    os.chdir(plan["home"])


def _make_devices() -> None:
    os.mkdir(f"{_NEW}/dev")
    syscalls.mount("tmpfs", f"{_NEW}/dev", "tmpfs", NO_SUID, "size=64k,nr_inodes=100,mode=755")
    for name in _DEVICES:
        _make_file(f"/dev/{name}", "")
        syscalls.mount(f"/dev/{name}", f"{_NEW}/dev/{name}", None, BIND)
    for name, end in _STANDARD.items():
        os.symlink(f"/proc/self/fd{end}", f"{_NEW}/dev/{name}")
    os.mkdir(f"{_NEW}/dev/pts")
    options = "newinstance,ptmxmode=0666,mode=620"
    syscalls.mount("devpts", f"{_NEW}/dev/pts", "devpts", NO_SUID | NO_EXEC, options)
    os.symlink("pts/ptmx", f"{_NEW}/dev/ptmx")
    _bind(f"{stage.DISK}/shm", "/dev/shm")


def _bind(source: str, target: str) -> None:
    if os.path.isdir(source):
        os.makedirs(_NEW + target, exist_ok=True)
    elif not os.path.exists(_NEW + target):
        _make_file(target, "")
    syscalls.mount(source, _NEW + target, None, BIND | RECURSIVE)


def _make_file(target: str, text: str) -> None:
    os.makedirs(os.path.dirname(_NEW + target), exist_ok=True)
    handle = os.open(_NEW + target, os.O_CREAT | os.O_WRONLY, 0o644)
    os.write(handle, text.encode())
    os.close(handle)


def _make_read_only(targets: list[str]) -> None:
    """Each mount and those below it; what else they forbid already has to stay forbidden."""
    tops = tuple(_NEW + target for target in targets)
    with open("/proc/self/mountinfo") as file:
        mounts = [line.split(" ") for line in file]
    for fields in mounts:
        place = fields[4].encode().decode("unicode_escape")  # blanks stand there as \040
        if any(place == top or place.startswith(f"{top}/") for top in tops):
            kept = sum(_FLAGS.get(option, 0) for option in fields[5].split(","))
            flags = REMOUNT | BIND | READ_ONLY | NO_SUID | NO_DEVICES | kept
            syscalls.mount(None, place, None, flags)
