"""Becomes nobody: a user of its own, no capabilities, and no way to gain any."""

from __future__ import annotations

import os
import socket

from labkit.isolation import syscalls

FIRST_UID = 1_300_000_000
"""User ids that no account has: the process id is added, so that no two sandboxes at a time share one."""


def own_uid() -> int:
    """The user that this process' sandbox runs as: one of its own if we are root, else ours."""
    return FIRST_UID + os.getpid() if os.geteuid() == 0 else os.geteuid()


def become_root_of_own_namespace(more: int) -> None:
    """Without root: take fresh namespaces in which this process may mount; its user stays the same."""
    uid, gid = os.geteuid(), os.getegid()
    syscalls.unshare(syscalls.NEW_USER | more)
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        _write(f"/proc/self/{name}", text)


def volunteer_for_the_oom_killer() -> None:
    """Be the first to go when memory runs out."""
    _write("/proc/self/oom_score_adj", "1000")


def drop(uid: int, *, change_user: bool) -> None:
    """Become this user for good, without capabilities.

    Args:
        uid: The user and the group.
        change_user: Whether we are another one (root) until now.
    """
    syscalls.drop_bounding_set()
    if change_user:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    syscalls.drop_capabilities()
    syscalls.no_new_privileges()


def is_orphan(line: socket.socket) -> bool:
    """Whether nobody is at the other end of this line: our parent's end may have gone unnoticed."""
    try:
        return line.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False


def _write(path: str, text: str) -> None:
    handle = os.open(path, os.O_WRONLY)
    try:
        os.write(handle, text.encode())
    finally:
        os.close(handle)
