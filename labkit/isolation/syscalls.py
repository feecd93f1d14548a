"""The Linux calls that Python 3.11 has no function for, as thin wrappers that raise OSError."""

from __future__ import annotations

import ctypes
import fcntl
import os
import platform
import socket
import struct

# Namespaces, as `unshare` and `setns` take them.
NEW_MOUNTS = 0x00020000
NEW_CGROUP = 0x02000000
NEW_HOSTNAME = 0x04000000
NEW_IPC = 0x08000000
NEW_USER = 0x10000000
NEW_PIDS = 0x20000000
NEW_NETWORK = 0x40000000

READ_ONLY, NO_SUID, NO_DEVICES, NO_EXEC = 1, 2, 4, 8
REMOUNT, BIND, RECURSIVE, PRIVATE = 32, 4096, 16384, 1 << 18
_DETACH = 2

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_CAPBSET_DROP = 1, 4, 22, 24
_PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 38, 47, 4
_SECCOMP_MODE_FILTER = 2
_CAPABILITY_VERSION_3 = 0x20080522
_SIGKILL = 9
_NUMBERS = {  # of the calls that the C library has no function for
    "x86_64": {"pivot_root": 155, "capset": 126},
    "aarch64": {"pivot_root": 41, "capset": 91},
}
_NS_GET_USERNS = 0xB701
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 0x1

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def _number(name: str) -> int:
    machine = platform.machine()
    if machine not in _NUMBERS:
        raise OSError(38, f"{name} has no known number on {machine}")
    return _NUMBERS[machine][name]


def unshare(namespaces: int) -> None:
    """Leave these namespaces for fresh ones (new pids begin with the next child)."""
    _checked(_libc.unshare(namespaces), "unshare")


def enter(namespace: int, kind: int) -> None:
    """Enter the namespace that a file descriptor stands for."""
    _checked(_libc.setns(namespace, kind), "setns")


def owner_of(namespace: int) -> int:
    """A file descriptor of the user namespace that owns this namespace."""
    return fcntl.ioctl(namespace, _NS_GET_USERNS)


def mount(
    source: str | None, target: str, kind: str | None = None, flags: int = 0, options: str | None = None
) -> None:
    """Put a file system, or a folder of another one, into the tree."""
    encoded = [part.encode() if part is not None else None for part in (source, target, kind, options)]
    _checked(
        _libc.mount(encoded[0], encoded[1], encoded[2], ctypes.c_ulong(flags), encoded[3]), f"mount {target}"
    )


def unmount(target: str) -> None:
    """Take a mount away now; it ends when nobody uses it any more."""
    _checked(_libc.umount2(target.encode(), _DETACH), f"umount {target}")


def pivot_root(new: str, old: str) -> None:
    """Make `new` the root and put the former one at `old`, a folder below it."""
    _checked(_libc.syscall(_number("pivot_root"), new.encode(), old.encode()), "pivot_root")


def die_with_parent() -> None:
    """Be killed when the parent's thread ends; a change of the user forgets it."""
    _checked(_libc.prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0), "prctl")


def set_dumpable(dumpable: bool) -> None:
    """Whether others of the same user may read this process' memory."""
    _checked(_libc.prctl(_PR_SET_DUMPABLE, int(dumpable), 0, 0, 0), "prctl")


def drop_bounding_set() -> None:
    """Let no program that this process starts get any capability."""
    last = int(open("/proc/sys/kernel/cap_last_cap").read())  # noqa: PTH123, SIM115 (fast start)
    for capability in range(last + 1):
        _checked(_libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0), "prctl")


def drop_capabilities() -> None:
    """Give up all capabilities of this process."""
    _checked(_libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0), "prctl")
    header = struct.pack("Ii", _CAPABILITY_VERSION_3, 0)
    _checked(_libc.syscall(_number("capset"), header, bytes(24)), "capset")


def no_new_privileges() -> None:
    """Let no program that this process starts gain privileges by its file."""
    _checked(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl")


def filter_calls(program: bytes) -> None:
    """Put this process and all that it starts under a seccomp filter (BPF)."""
    buffer = ctypes.create_string_buffer(program, len(program))
    filter_ = struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(buffer))
    _checked(_libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, filter_, 0, 0), "seccomp")


def loopback_up() -> None:
    """Bring up `lo` in this network namespace."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(any_socket, _SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | _IFF_UP))
