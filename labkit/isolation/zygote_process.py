"""The process that loads once what all need, and forks one isolated child for each piece of work.

It has one thread, holds nothing that a learner may not read, and never runs a learner's code itself. A child
takes the steps of a fresh sandbox in its own code:

1. control groups, private mounts and a bounded disk (`stage`), then fresh pids, network, ipc and hostname;
2. its child is the first process of the fresh pids: it moves into the new root, and waits to be let go;
3. that one's child becomes a user of its own without capabilities, under the filter, and does the work;
   the first process becomes the same user, reaps, and ends with it: and with it everything else inside.
"""

from __future__ import annotations

import fcntl
import gc
import importlib.util
import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from labkit.isolation import limits, privileges, root, stage, syscalls

Work = Callable[[dict[str, Any], int], None]
"""Does one piece of work: what it is, and a file descriptor that it answers on."""

_REST = (
    syscalls.NEW_IPC | syscalls.NEW_PIDS | syscalls.NEW_NETWORK | syscalls.NEW_HOSTNAME | syscalls.NEW_CGROUP
)


def main(control: int, file: str, modules: list[str]) -> None:
    """Load what a Python file says, and fork for each request until there are no more.

    Args:
        control: A socket; each message brings a byte and four descriptors (line, answers, log, plan).
        file: The Python file; its function `preload(modules)` returns the `Work`.
        modules: What the work is likely to import.
    """
    syscalls.die_with_parent()
    work = _load(file, modules)
    threads = len(list(Path("/proc/self/task").iterdir()))
    if threads != 1:
        raise RuntimeError(f"a process with {threads} threads can't be forked safely")
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # children are not waited for
    line = socket.socket(fileno=control)
    line.send(b"+")
    while True:
        said, handles, _, _ = socket.recv_fds(line, 1, 4)
        if not said:
            return
        if os.fork() == 0:
            line.detach()
            _guarded(partial(_outside, handles, work))
        for handle in handles:
            os.close(handle)


def _load(file: str, modules: list[str]) -> Work:
    spec = importlib.util.spec_from_file_location("_work", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["_work"] = module
    spec.loader.exec_module(module)
    work: Work = module.preload(modules)
    return work


def _guarded(step: Callable[[], None]) -> NoReturn:
    """Do it and end this process, whatever happens."""
    code = 71
    try:
        step()
        code = 0
    except BaseException as error:
        os.write(2, f"{type(error).__name__}: {error}\n".encode(errors="replace"))
    finally:
        os._exit(code)


def _outside(handles: list[int], work: Work) -> None:
    """Step 1, as ourselves."""
    syscalls.die_with_parent()
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    line, answers, log, plan_file = _only(handles)
    with os.fdopen(plan_file, "rb") as file:
        plan = json.loads(file.read())
    for group in plan["groups"]:
        Path(group).write_text("0")
    as_root = os.geteuid() == 0
    uid = privileges.own_uid()
    disk = stage.prepare(plan, uid, {})
    plan["etc"] = {name: text.replace("{uid}", str(uid)) for name, text in plan["etc"].items()}
    syscalls.unshare(_REST)
    first = os.fork()
    if first == 0:
        os.close(disk)
        _guarded(lambda: _first_inside(plan, work, uid, line, answers, as_root=as_root))
    with socket.socket(fileno=line) as said:
        ended = os.pidfd_open(first)
        socket.send_fds(said, [json.dumps({"uid": uid}).encode() + b"\n"], [disk, ended])
    for handle in (disk, ended, answers, log):
        os.close(handle)
    os.waitpid(first, 0)


def _only(handles: list[int]) -> tuple[int, int, int, int]:
    """Keep these descriptors and no others, at 3 and up; the log takes the place of the standard streams."""
    high = [fcntl.fcntl(handle, fcntl.F_DUPFD_CLOEXEC, 100) for handle in handles]
    os.closerange(3, 100)
    for number, source in enumerate((os.open("/dev/null", os.O_RDONLY), high[2], high[2])):
        os.dup2(source, number)
    line, answers, log, plan = (os.dup2(h, n, inheritable=False) for n, h in enumerate(high, start=4))
    os.closerange(8, 65536)
    os.close(3)
    return line, answers, log, plan


def _first_inside(
    plan: dict[str, Any], work: Work, uid: int, line: int, answers: int, *, as_root: bool
) -> None:
    """Step 2: the first process of the fresh pids."""
    syscalls.die_with_parent()
    syscalls.loopback_up()
    socket.sethostname("sandbox")
    root.move_in(plan)
    waiting = socket.socket(fileno=line)
    if waiting.recv(1) != b"+":
        return
    os.closerange(6, 65536)
    worker = os.fork()
    if worker == 0:
        waiting.close()
        _guarded(lambda: _worker(plan, work, uid, answers, as_root=as_root))
    os.close(answers)
    privileges.drop(uid, change_user=as_root)
    syscalls.set_dumpable(False)
    syscalls.die_with_parent()  # the change of the user has forgotten it
    if privileges.is_orphan(waiting):
        return
    while os.wait()[0] != worker:
        pass


def _worker(plan: dict[str, Any], work: Work, uid: int, answers: int, *, as_root: bool) -> None:
    """Step 3: nobody in particular, doing the work."""
    privileges.volunteer_for_the_oom_killer()
    limits.set_rlimits(plan["limits"], address_space=None if plan["memory_by_cgroup"] else _mapped())
    privileges.drop(uid, change_user=as_root)
    syscalls.set_dumpable(True)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_IGN)  # as in any Python
    os.environ.clear()
    os.environ.update(plan["environment"])
    syscalls.filter_calls(bytes.fromhex(plan["seccomp"]))
    gc.enable()
    work(plan["work"], answers)


def _mapped() -> int:
    """The address space that this process has mapped already."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * os.sysconf("SC_PAGE_SIZE")
