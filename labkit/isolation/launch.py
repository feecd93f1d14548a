"""The process that becomes a sandbox: it prepares the mounts, drops what it may, and turns into bubblewrap.

Started by `labkit.isolation.sandbox` with a socket: a plan comes in, the disk goes out, and after one more
byte the program is started.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from typing import Any

from labkit.isolation import limits, privileges, stage, syscalls


def main(control: int, info: int) -> None:
    """Become the sandbox that the plan describes.

    Args:
        control: A socket: a line of JSON comes, then the disk goes, then a byte comes.
        info: Where bubblewrap says which process is the first inside.
    """
    syscalls.die_with_parent()
    line = socket.socket(fileno=control)
    plan = json.loads(_line(line))
    for file in plan["groups"]:
        handle = os.open(file, os.O_WRONLY)
        os.write(handle, b"0")
        os.close(handle)
    uid = privileges.own_uid()
    disk = stage.prepare(plan, uid, plan["etc"])
    # Pids of our own around bubblewrap's: a killed bubblewrap can leave its child waiting for ever, but the
    # end of the first process of a pid namespace ends all others in it.
    syscalls.unshare(syscalls.NEW_PIDS)
    first = os.fork()
    if first == 0:
        os.close(disk)
        _become_bubblewrap(plan, uid, line, info)
    os.close(info)
    ended = os.pidfd_open(first)
    socket.send_fds(line, [json.dumps({"uid": uid}).encode() + b"\n"], [disk, ended])
    line.close()
    for handle in (disk, ended):
        os.close(handle)
    code = os.waitstatus_to_exitcode(os.waitpid(first, 0)[1])
    os._exit(code if code >= 0 else 128 - code)


def _become_bubblewrap(plan: dict[str, Any], uid: int, line: socket.socket, info: int) -> None:
    """Wait to be let go, drop everything and turn into it."""
    syscalls.die_with_parent()
    if line.recv(1) != b"+":
        os._exit(0)  # whoever started this has thought better of it, or is gone
    privileges.volunteer_for_the_oom_killer()
    limits.set_rlimits(plan["limits"], address_space=None if plan["memory_by_cgroup"] else 0)
    privileges.drop(uid, change_user=os.geteuid() == 0)
    syscalls.die_with_parent()  # the change of the user has forgotten it
    if privileges.is_orphan(line):
        os._exit(0)
    line.close()
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them; what it becomes should not
        signal.signal(number, signal.SIG_DFL)
    arguments = _as_file("\0".join(bubblewrap_arguments(plan)).encode() + b"\0")
    filter_ = _as_file(bytes.fromhex(plan["seccomp"]))
    command = [
        *("bwrap", "--args", str(arguments), "--seccomp", str(filter_), "--info-fd", str(info), "--"),
        *plan["command"],
    ]
    os.execve(plan["bubblewrap"], command, {})  # with our environment gone: the first process inside keeps it


def bubblewrap_arguments(plan: dict[str, Any]) -> list[str]:
    """What bubblewrap is told, but for file descriptors and the command."""
    told = ["--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts"]
    told += ["--unshare-cgroup-try", "--die-with-parent", "--new-session", "--hostname", "sandbox"]
    told += ["--proc", "/proc", "--dev", "/dev"]
    told += ["--bind", f"{stage.DISK}/tmp", "/tmp", "--bind", f"{stage.DISK}/shm", "/dev/shm"]
    for name in plan["etc"]:
        told += ["--ro-bind", f"{stage.PLACE}/etc/{name}", f"/etc/{name}"]
    for link, target in plan["links"].items():
        told += ["--symlink", target, link]
    for number, (_, target) in enumerate(plan["mounts"]):
        told += ["--ro-bind", stage.staged(number), target]
    for target in plan["covered"]:
        told += ["--tmpfs", target, "--remount-ro", target]
    told += ["--bind", f"{stage.DISK}/home", plan["home"], "--remount-ro", "/dev", "--remount-ro", "/"]
    told += ["--chdir", plan["home"]]
    for name, value in plan["environment"].items():
        told += ["--setenv", name, value]
    return told


def _line(line: socket.socket) -> bytes:
    received = b""
    while not received.endswith(b"\n"):
        part = line.recv(65536)
        if not part:
            raise SystemExit(0)
        received += part
    return received


def _as_file(content: bytes) -> int:
    """A file descriptor, handed on to the next program, from which the content can be read."""
    handle = os.memfd_create("plan", 0)
    os.write(handle, content)
    os.lseek(handle, 0, os.SEEK_SET)
    os.set_inheritable(handle, True)
    return handle


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
