"""The first step of every sandbox, in the process that becomes it: private mounts and a bounded disk.

The mounts lie in a mount namespace of that process alone. Nobody else sees them, and they end with it,
however it ends: there is nothing to clear away. Whoever started it gets a file descriptor of the disk.
"""

from __future__ import annotations

import os
from typing import Any

from labkit.isolation import privileges, syscalls
from labkit.isolation.syscalls import BIND, NO_DEVICES, NO_SUID, PRIVATE, RECURSIVE

PLACE = "/tmp"
DISK = f"{PLACE}/disk"
PARTS = ("home", "tmp", "shm")
"""The writable folders, which share the disk's size."""


def prepare(plan: dict[str, Any], uid: int, etc: dict[str, str]) -> int:
    """Take private mounts and lay out under `PLACE` what the sandbox will see.

    Args:
        plan: `mounts` (source and target) and `limits`.
        uid: Whose the disk is.
        etc: Files to make, by name.

    Returns:
        A file descriptor of the disk, which holds the folders `PARTS`.
    """
    if os.geteuid() == 0:
        syscalls.unshare(syscalls.NEW_MOUNTS)
    else:
        privileges.become_root_of_own_namespace(syscalls.NEW_MOUNTS)
    syscalls.mount(None, "/", None, RECURSIVE | PRIVATE)
    # Opened before anything is mounted over them: they may lie below PLACE.
    sources = [os.open(source, os.O_PATH | os.O_CLOEXEC) for source, _ in plan["mounts"]]
    syscalls.mount("tmpfs", PLACE, "tmpfs", NO_SUID | NO_DEVICES, "size=1m,nr_inodes=1000,mode=755")
    for number, source in enumerate(sources):
        place = staged(number)
        if os.path.isdir(f"/proc/self/fd/{source}"):
            os.mkdir(place)
        else:
            os.close(os.open(place, os.O_CREAT | os.O_WRONLY))
        syscalls.mount(f"/proc/self/fd/{source}", place, None, BIND | RECURSIVE)
        os.close(source)
    os.mkdir(f"{PLACE}/etc")
    for name, text in etc.items():
        handle = os.open(f"{PLACE}/etc/{name}", os.O_CREAT | os.O_WRONLY, 0o644)
        os.write(handle, text.encode())
        os.close(handle)
    limits = plan["limits"]
    os.mkdir(DISK)
    size = f"size={int(limits['disk_bytes'])},nr_inodes={int(limits['files']) + len(PARTS) + 1}"
    syscalls.mount(
        "tmpfs", DISK, "tmpfs", NO_SUID | NO_DEVICES, f"{size},mode=700,uid={uid},gid={_group(uid)}"
    )
    for part in PARTS:
        os.mkdir(f"{DISK}/{part}", 0o700)
        if os.geteuid() == 0:
            os.chown(f"{DISK}/{part}", uid, uid)
    return os.open(DISK, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def staged(number: int) -> str:
    """Where the mount of that number lies."""
    return f"{PLACE}/{number}"


def _group(uid: int) -> int:
    return uid if os.geteuid() == 0 else os.getegid()
