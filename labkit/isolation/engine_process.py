"""Becomes a fenced engine: `main(PLAN)`, in a process of our own, takes namespaces and runs dockerd in them.

The first process of the new pid namespace ends everything in it when it ends, and it ends with its parent: no
process, mount, link or packet-filter rule is ever left, however the one who started it came to an end.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import Any

from labkit.isolation import syscalls
from labkit.isolation.syscalls import BIND, NO_DEVICES, NO_EXEC, NO_SUID, PRIVATE, RECURSIVE

USER = "workbook-images"
FIRST_UID = 1_800_000_000
"""Root of the containers is this user of the machine, whom no account has."""
UIDS = 65536


def main(path: str) -> None:
    """Take namespaces, run the engine in them, and end with it.

    Args:
        path: A JSON file: `groups` to join, `disk`, `data` (where that is mounted), `etc` (a folder), and
            `command`.
    """
    syscalls.die_with_parent()
    with open(path) as file:
        plan = json.load(file)
    for group in plan["groups"]:
        with open(group, "w") as members:
            members.write("0")
    syscalls.unshare(
        syscalls.NEW_MOUNTS
        | syscalls.NEW_NETWORK
        | syscalls.NEW_PIDS
        | syscalls.NEW_IPC
        | syscalls.NEW_HOSTNAME
    )
    first = os.fork()
    if first == 0:
        syscalls.die_with_parent()
        os._exit(_inside(plan))
    signal.signal(signal.SIGTERM, lambda *_: os.kill(first, signal.SIGTERM))
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(first, 0)[1]))


def _inside(plan: dict[str, Any]) -> int:
    syscalls.mount(None, "/", None, RECURSIVE | PRIVATE)
    syscalls.mount("proc", "/proc", "proc", NO_SUID | NO_DEVICES | NO_EXEC)
    syscalls.loopback_up()
    options = "loop,nosuid,nodev,noatime"
    subprocess.run(["mount", "-t", "ext4", "-o", options, plan["disk"], plan["data"]], check=True)
    for name, line in {
        "passwd": f"{USER}:x:{FIRST_UID}:{FIRST_UID}::/:/usr/sbin/nologin\n",
        "group": f"{USER}:x:{FIRST_UID}:\n",
        "subuid": f"{USER}:{FIRST_UID}:{UIDS}\n",
        "subgid": f"{USER}:{FIRST_UID}:{UIDS}\n",
    }.items():
        _in_etc(plan["etc"], name, line)
    engine = subprocess.Popen(plan["command"])
    signal.signal(signal.SIGTERM, lambda *_: engine.terminate())
    while True:
        pid, status = os.wait()  # also of what lost its parent
        if pid == engine.pid:
            break
    subprocess.run(["umount", plan["data"]], check=False)
    return max(0, os.waitstatus_to_exitcode(status))


def _in_etc(folder: str, name: str, line: str) -> None:
    """Add a line to a file of /etc as this namespace alone sees it."""
    with open(f"/etc/{name}") as file:
        text = file.read()
    copy = f"{folder}/{name}"
    with open(copy, "w") as file:
        file.write(text + line)
    syscalls.mount(copy, f"/etc/{name}", None, BIND)
