"""Running a program of ours inside the namespaces of another process: its files, network and processes.

It ends with them: the first process of a pid namespace takes all others with it.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from labkit.isolation import syscalls
from labkit.isolation.network import ROOT

_BOOT = (
    f"import sys; sys.path.insert(0, {ROOT!r}); from labkit.isolation.inside import become; "
    "become(int(sys.argv[1]), sys.argv[2], sys.argv[3:])"
)
_KINDS = {
    "net": syscalls.NEW_NETWORK,
    "ipc": syscalls.NEW_IPC,
    "pid_for_children": syscalls.NEW_PIDS,
    "mnt": syscalls.NEW_MOUNTS,
}
"""What is entered, files last: from then on other processes are found in another /proc."""


def command(pid: int, command: Sequence[str], *, cwd: Path) -> list[str]:
    """The command line that runs `command` inside, as root of this machine.

    Args:
        pid: The process that has made the namespaces.
        command: The program, as it is seen from inside, and its arguments.
        cwd: The folder to run it in, as it is seen from inside.
    """
    return [sys.executable, "-I", "-S", "-c", _BOOT, str(pid), str(cwd), *command]


def become(pid: int, cwd: str, command: Sequence[str]) -> None:
    """Enter the namespaces and run the command there until it ends."""
    syscalls.die_with_parent()
    handles = {name: os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY | os.O_CLOEXEC) for name in _KINDS}
    for name, kind in _KINDS.items():
        syscalls.enter(handles[name], kind)
    child = os.fork()  # a process enters a pid namespace with its children only
    if child == 0:
        syscalls.die_with_parent()
        os.chdir(cwd)
        os.execvp(command[0], list(command))  # noqa: S606 (that is what it is for)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
    sys.exit(max(0, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])))
