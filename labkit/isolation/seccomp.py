"""The system calls that sandboxed code may not make, as a BPF program (written by libseccomp)."""

from __future__ import annotations

import errno
import tempfile
from functools import cache

from labkit.errors import Unavailable

# What reaches other processes, mounts, namespaces, the kernel's own settings and its widest interfaces.
DENIED = (
    *("ptrace", "process_vm_readv", "process_vm_writev", "kcmp", "pidfd_getfd"),
    *("mount", "umount2", "move_mount", "open_tree", "fsopen", "fsconfig", "fsmount", "fspick"),
    *("mount_setattr", "pivot_root", "chroot", "unshare", "setns", "swapon", "swapoff", "quotactl"),
    *("keyctl", "add_key", "request_key", "bpf", "perf_event_open", "userfaultfd", "vmsplice"),
    *("io_uring_setup", "io_uring_enter", "io_uring_register", "fanotify_init"),
    *("init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot"),
    *("open_by_handle_at", "name_to_handle_at", "acct", "syslog", "iopl", "ioperm", "modify_ldt"),
    *("personality", "vhangup", "lookup_dcookie", "nfsservctl", "migrate_pages", "move_pages"),
    *("clock_settime", "clock_adjtime", "settimeofday", "adjtimex", "sethostname", "setdomainname"),
)
_NAMESPACE_BITS = (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000)
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C  # both put characters into a terminal's input
_AF_NETLINK = 16
_LOW_32_BITS = 0xFFFFFFFF


@cache
def program() -> bytes:
    """The filter: what is named is refused (EPERM), clone3 is said not to exist, all else is allowed.

    Raises:
        Unavailable: libseccomp is not there.
    """
    try:
        import pyseccomp as seccomp
    except (ImportError, OSError, RuntimeError) as error:
        raise Unavailable(
            "System calls can't be filtered.",
            why=f"libseccomp can't be loaded ({error}).",
            next_step="Install it: apt-get install libseccomp2.",
        ) from error

    rules = seccomp.SyscallFilter(seccomp.ALLOW)
    for name in DENIED:
        try:
            rules.add_rule(seccomp.ERRNO(errno.EPERM), name)
        except OSError:
            continue  # this processor or this libseccomp has no such call
    for bit in _NAMESPACE_BITS:
        rules.add_rule(seccomp.ERRNO(errno.EPERM), "clone", seccomp.Arg(0, seccomp.MASKED_EQ, bit, bit))
    # A filter can't read clone3's flags, which lie in memory: without it the C library uses clone.
    rules.add_rule(seccomp.ERRNO(errno.ENOSYS), "clone3")
    for request in (_TIOCSTI, _TIOCLINUX):
        compared = seccomp.Arg(1, seccomp.MASKED_EQ, _LOW_32_BITS, request)
        rules.add_rule(seccomp.ERRNO(errno.EPERM), "ioctl", compared)
    rules.add_rule(seccomp.ERRNO(errno.EAFNOSUPPORT), "socket", seccomp.Arg(0, seccomp.GT, _AF_NETLINK))
    with tempfile.TemporaryFile() as file:
        rules.export_bpf(file)
        file.seek(0)
        return file.read()
