"""Reaching a server that has a network of its own: those who ask enter it, the server stays as it is.

A sandbox never gets a socket of this machine's network. It has a loopback of its own, and what measures or
asks is started inside that network, as our own user and with our own files.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import labkit
from labkit.isolation import syscalls

ROOT = str(Path(labkit.__file__).parent.parent)
"""The folder of this package: what starts with -I has no other way to find it."""
_BOOT = (
    f"import sys; sys.path.insert(0, {ROOT!r}); from labkit.isolation.network import become; "
    "become(int(sys.argv[1]), sys.argv[2:])"
)
_BOOT_ALONE = (
    f"import sys; sys.path.insert(0, {ROOT!r}); from labkit.isolation.network import become_alone; "
    "become_alone(sys.argv[1:])"
)
_LISTENING = re.compile(r"^\s*\d+: [0-9A-F]+:([0-9A-F]{4}) [0-9A-F]+:0000 0A ", re.MULTILINE)


@dataclass(frozen=True)
class Network:
    """A sandbox's network.

    Attributes:
        pid: A process in it.
        handle: A file descriptor of its namespace.
    """

    pid: int
    handle: int

    @classmethod
    def of(cls, pid: int) -> Network:
        """The network of a process.

        Raises:
            OSError: There is no such process any more.
        """
        return cls(pid, os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC))

    def command(self, command: Sequence[str]) -> list[str]:
        """The command line that runs `command` in this network; hand `handle` on to it (`pass_fds`)."""
        return [sys.executable, "-I", "-S", "-c", _BOOT, str(self.handle), *command]

    def listening(self) -> set[int]:
        """The TCP ports that something in it listens on."""
        ports = set()
        for table in ("tcp", "tcp6"):
            try:
                text = Path(f"/proc/{self.pid}/net/{table}").read_text()
            except OSError:
                continue
            ports |= {int(port, 16) for port in _LISTENING.findall(text)}
        return ports

    def close(self) -> None:
        """Let go of it."""
        os.close(self.handle)


def alone(command: Sequence[str]) -> list[str]:
    """The command line that runs `command` in a network of its own with nothing but loopback.

    For servers that insist on listening on every address: there, every address is 127.0.0.1.
    """
    return [sys.executable, "-I", "-S", "-c", _BOOT_ALONE, *command]


def become_alone(command: Sequence[str]) -> None:
    """Leave this machine's network and become the command."""
    from labkit.isolation import privileges

    try:
        if os.geteuid() == 0:
            syscalls.unshare(syscalls.NEW_NETWORK)
        else:
            privileges.become_root_of_own_namespace(syscalls.NEW_NETWORK)
        syscalls.loopback_up()
    except OSError as error:
        sys.exit(f"{NO_NETWORK_OF_ITS_OWN} ({error.strerror})")
    os.execvp(command[0], list(command))


def of_its_own(pid: int, seconds: float = 10.0) -> Network | None:
    """The network of a process started by `alone`; None if it ended before it had one."""
    ours = os.stat("/proc/self/ns/net").st_ino
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            network = Network.of(pid)
        except OSError:
            return None
        if os.fstat(network.handle).st_ino != ours:
            return network
        network.close()
        time.sleep(0.02)
    return None


NO_NETWORK_OF_ITS_OWN = "There can be no network of its own here"


def enter(handle: int) -> None:
    """Move this process, which has one thread, into a network.

    Raises:
        OSError: It is neither ours nor are we root.
    """
    try:
        syscalls.enter(handle, syscalls.NEW_NETWORK)
    except PermissionError:
        owner = syscalls.owner_of(handle)
        syscalls.enter(owner, syscalls.NEW_USER)
        os.close(owner)
        syscalls.enter(handle, syscalls.NEW_NETWORK)


def become(handle: int, command: Sequence[str]) -> None:
    """Enter the network and become the command."""
    enter(handle)
    os.close(handle)
    os.execvp(command[0], list(command))
