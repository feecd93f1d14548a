"""Reaching a server that has a network of its own: those who ask enter it, the server stays as it is.

A sandbox never gets a socket of this machine's network. It has a loopback of its own, and what measures or
asks is started inside that network, as our own user and with our own files.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
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
_BOOT_LISTENING = (
    f"import sys; sys.path.insert(0, {ROOT!r}); from labkit.isolation.network import listen_inside; "
    "listen_inside(*map(int, sys.argv[1:]))"
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

    def listen(self, port: int) -> socket.socket:
        """A socket of ours that listens in it, on its loopback: what runs there reaches us, and nobody else.

        Raises:
            OSError: The port is taken there, or the network is gone.
        """
        ours, theirs = socket.socketpair()
        with ours, theirs:
            command = [
                *(sys.executable, "-I", "-S", "-c", _BOOT_LISTENING),
                *(str(self.handle), str(theirs.fileno()), str(port)),
            ]
            made = subprocess.run(
                command, pass_fds=(self.handle, theirs.fileno()), capture_output=True, check=False, timeout=20
            )
            if made.returncode != 0:
                said = made.stderr.decode(errors="replace").strip().splitlines()
                raise OSError(f"nothing can listen on port {port} there: {said[-1] if said else 'no reason'}")
            _, handles, _, _ = socket.recv_fds(ours, 1, 1)
        return socket.socket(fileno=handles[0])

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


def listen_inside(handle: int, line: int, port: int) -> None:
    """Enter the network, listen there, and hand the socket out through `line`: it stays of that network."""
    enter(handle)
    with socket.socket() as listening, socket.socket(fileno=line) as out:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", port))
        listening.listen(256)
        socket.send_fds(out, [b"+"], [listening.fileno()])
