"""The one interface through which code that a learner made is run: every artifact is code.

A `Guard` starts a command on a copy of some files and keeps it apart, or says that it does not. What is built
on it (`labkit.serving.ScriptServer`, `functions.LearnerFunction`, `tensors.read_tensors`) does not know which
it has. A guard for another kind of artifact (an image, a manifest, a Terraform configuration) has the same
shape: something is started within limits, it is reached from outside, plain data comes back, all of it ends.

Self-paced checks run a person's own code on their own machine, unguarded; grading sets the guard of its
process once (`use`), before any check runs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import labkit
from labkit.isolation.isolation import NOT_ISOLATED, Isolation, isolation_here
from labkit.isolation.limits import MIB, Limits
from labkit.isolation.mounts import HOME, Shown
from labkit.isolation.network import Network
from labkit.isolation.sandbox import Sandbox
from labkit.processes import Process

PACKAGES = "/workbook"
"""Where `labkit` lies in a sandbox."""

FOLDER = "WORKBOOK_FOLDER"
"""The variable that holds the folder of what runs, as it sees it itself."""

SERVED = Limits(
    seconds=600.0,
    memory_bytes=3072 * MIB,
    processes=512,
    cores=float(os.cpu_count() or 1),  # measured as on the learner's own machine: with all cores
    disk_bytes=512 * MIB,
)
"""What a server, a function or a model file may use."""


class Guarded(Protocol):
    """Something that a guard has started.

    Attributes:
        process: The process, its log and its family; to stop it leaves its files.
        home: Where its files lie, seen from outside: untrusted.
        network: The network that it is in; None if that is the machine's.
    """

    @property
    def process(self) -> Process: ...  # noqa: D102
    @property
    def home(self) -> Path: ...  # noqa: D102
    @property
    def network(self) -> Network | None: ...  # noqa: D102

    def close(self) -> None:
        """End all of it and forget its files."""
        ...


class Guard(Protocol):
    """Starts what a learner made."""

    @property
    def isolation(self) -> Isolation:
        """How it keeps it apart."""
        ...

    def start(
        self,
        command: Sequence[str],
        folder: Path,
        *,
        log: Path,
        environment: Mapping[str, str] | None = None,
        limits: Limits = SERVED,
        shown: Iterable[Shown] = (),
        covered: Iterable[str] = (),
        pass_fds: Sequence[int] = (),
    ) -> Guarded:
        """Start a command with the folder's files as its own.

        Args:
            command: A program and its arguments.
            folder: The files; what runs may change them, or a copy of them.
            log: Where its output goes.
            environment: Variables to add.
            limits: What it may use, as far as the guard can bind it.
            shown: Further files that it reads, ours.
            covered: Folders of the machine that look empty, as far as the guard can cover them.
            pass_fds: File descriptors to hand on: pipes, never a socket.

        Raises:
            Unavailable: It can't be kept apart here.
            WorkFault: The files are too many or too big.
        """
        ...


class Unguarded:
    """No guard: a person's own code on their own machine, in its own folder, as themselves."""

    isolation = NOT_ISOLATED

    def start(
        self,
        command: Sequence[str],
        folder: Path,
        *,
        log: Path,
        environment: Mapping[str, str] | None = None,
        limits: Limits = SERVED,
        shown: Iterable[Shown] = (),
        covered: Iterable[str] = (),
        pass_fds: Sequence[int] = (),
    ) -> Guarded:
        """Start it in the folder itself, without limits."""
        variables = {FOLDER: str(folder), **(environment or {})}
        return _Plain(Process(command, cwd=folder, log=log, environment=variables, pass_fds=pass_fds), folder)


class _Plain:
    """A process of ours in a folder of the machine."""

    network = None

    def __init__(self, process: Process, home: Path) -> None:
        self.process = process
        self.home = home

    def close(self) -> None:
        """End its family."""
        self.process.stop()


class Sandboxed:
    """A sandbox for each thing that is started, with `labkit` in reach and a network of its own."""

    def __init__(self) -> None:
        self.isolation = isolation_here()

    def start(
        self,
        command: Sequence[str],
        folder: Path,
        *,
        log: Path,
        environment: Mapping[str, str] | None = None,
        limits: Limits = SERVED,
        shown: Iterable[Shown] = (),
        covered: Iterable[str] = (),
        pass_fds: Sequence[int] = (),
    ) -> Guarded:
        """Start it on a copy of the folder."""
        ours = Shown(Path(labkit.__file__).parent, f"{PACKAGES}/labkit")
        return _InSandbox(
            Sandbox(
                command,
                log=log,
                folder=folder,
                environment={**_VARIABLES, **(environment or {})},
                limits=limits,
                shown=[ours, *shown],
                covered=covered,
                pass_fds=pass_fds,
            )
        )


_VARIABLES = {FOLDER: HOME, "PYTHONPATH": PACKAGES, "PYTHONDONTWRITEBYTECODE": "1"}


class _InSandbox:
    """A sandbox as something guarded."""

    def __init__(self, process: Sandbox) -> None:
        self.process = process

    @property
    def home(self) -> Path:
        return self.process.home

    @property
    def network(self) -> Network | None:
        return self.process.network

    def close(self) -> None:
        """End it and forget its files."""
        self.process.close()


PYTHON = sys.executable
"""The interpreter, which lies in the same place inside a sandbox."""

_guard: Guard = Unguarded()


def current() -> Guard:
    """The guard of this process: none, until `use`."""
    return _guard


def use(guard: Guard) -> None:
    """Run what learners made under this guard from now on, in the whole process."""
    global _guard
    _guard = guard
