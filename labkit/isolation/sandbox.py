"""A command in a fresh sandbox: bubblewrap, as a user of its own, on a bounded disk, without a network.

Used like any `labkit.processes.Process`. What the command leaves in its home can be read from outside, also
when it has ended, until `close`; it may be anything, so take plain files alone.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

from labkit.errors import Unavailable, WorkFault
from labkit.isolation import janitor, mounts, seccomp
from labkit.isolation.cgroups import Group
from labkit.isolation.isolation import Isolation, require
from labkit.isolation.limits import Limits
from labkit.isolation.mounts import Shown
from labkit.isolation.network import ROOT, Network
from labkit.processes import Process

_START_SECONDS = 20.0
# Without `site` and without our environment: this has to start fast, and imports nothing of the learner's.
_BOOT = (
    f"import sys; sys.path.insert(0, {ROOT!r}); from labkit.isolation.launch import main; "
    "main(int(sys.argv[1]), int(sys.argv[2]))"
)


class Sandbox(Process):
    """A command that runs in a sandbox of its own.

    Start it from a thread that lives as long as it should: the kernel ends it with that thread.

    Args:
        command: The program, as it is found inside, and its arguments.
        folder: What to copy into its home, where it starts; plain files alone are copied.
        log: Where its output goes, both streams, as far as `limits.output_bytes`.
        environment: Variables to set; none of ours are.
        limits: What it may use.
        shown: What it sees besides Debian's programs and this Python.
        covered: Folders of those that look empty.
        pass_fds: File descriptors to hand on: pipes, never a socket of this machine's network.

    Raises:
        Unavailable: There is no sandbox here.
        WorkFault: The files don't fit on its disk.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        folder: Path | None = None,
        environment: Mapping[str, str] | None = None,
        limits: Limits | None = None,
        shown: Iterable[Shown] = (),
        covered: Iterable[str] = (),
        pass_fds: Sequence[int] = (),
    ) -> None:
        bubblewrap = require()
        janitor.run_once()
        self.limits = limits or Limits()
        self.group = Group.make(self.limits)
        self.network: Network | None = None
        self._memory_ran_out = False
        self._disk: int | None = None
        self._first: int | None = None
        ours, theirs = socket.socketpair()
        reading, writing = os.pipe()
        try:
            super().__init__(
                [sys.executable, "-I", "-S", "-c", _BOOT, str(theirs.fileno()), str(writing)],
                cwd=Path("/"),
                log=log,
                log_bytes=self.limits.output_bytes,
                pass_fds=(theirs.fileno(), writing, *pass_fds),
            )
        except BaseException:
            ours.close()
            os.close(reading)
            self.group.remove()
            raise
        finally:
            theirs.close()
            os.close(writing)
        plan = {
            "bubblewrap": str(bubblewrap),
            "command": list(command),
            "covered": [*covered, *mounts.installed_copies("autograder")],
            "environment": mounts.environment(dict(environment or {})),
            "groups": self.group.joining,
            "home": mounts.HOME,
            "limits": vars(self.limits),
            "links": mounts.links(),
            "memory_by_cgroup": "memory" in self.group.folders,
            "mounts": mounts.as_plan([*mounts.system(), *mounts.interpreter(), *shown]),
            "etc": mounts.etc(_uid(self.pid)),
            "seccomp": seccomp.program().hex(),
        }
        try:
            with ours:
                self._hand_over(ours, plan, folder)
                self._wait_until_inside(reading)
        except BaseException:
            self.close()
            raise
        finally:
            os.close(reading)

    @property
    def isolation(self) -> Isolation:
        """How it is isolated."""
        return Isolation(sandboxed=True, own_user=os.geteuid() == 0, bound=dict(self.group.versions))

    @property
    def home(self) -> Path:
        """Its home, seen from outside; untrusted, and gone after `close`."""
        assert self._disk is not None
        return Path(f"/proc/self/fd/{self._disk}/home")

    @property
    def scratch(self) -> Path:
        """Its /tmp, seen from outside; as `home`."""
        return self.home.parent / "tmp"

    @property
    def memory_ran_out(self) -> bool:
        """Whether something inside was killed because memory ran out; known where a cgroup binds it."""
        return self._memory_ran_out or self.group.memory_ran_out

    def wait(self, seconds: float) -> bool:
        """Wait until it has ended, at most this long; says whether it has."""
        if self._first is not None and not _readable(self._first, seconds):
            return False
        self._popen.wait()  # it only passes the exit code on
        return True

    def stop(self, grace: float = 0.0) -> None:
        """End all processes inside, at once and for sure; what they wrote stays until `close`."""
        if self._first is not None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._first, signal.SIGKILL)
        self._popen.kill()
        self._popen.wait()
        if self._first is not None:
            _readable(self._first, 30.0)  # the first of a pid namespace is gone only when all others are
            os.close(self._first)
            self._first = None
        self._drain.join(timeout=5)
        self._memory_ran_out = self.memory_ran_out
        self.group.remove()
        if self.network is not None:
            self.network.close()
            self.network = None

    def close(self) -> None:
        """Stop it and let go of its disk."""
        self.stop()
        if self._disk is not None:
            os.close(self._disk)
            self._disk = None

    def __enter__(self) -> Sandbox:
        """It runs already."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop it and forget it."""
        self.close()

    def _hand_over(self, line: socket.socket, plan: dict[str, Any], folder: Path | None) -> None:
        """Give it its plan, take its disk, lay the files on it and let it go."""
        line.settimeout(_START_SECONDS)
        try:
            line.sendall(json.dumps(plan).encode() + b"\n")
            said, handles, _, _ = socket.recv_fds(line, 4096, 2)
        except OSError:
            said, handles = b"", []
        if len(handles) != 2:
            raise self._did_not_start()
        self._disk, self._first = handles
        if folder is not None:
            put(folder, self.home, json.loads(said)["uid"], self.limits)
        line.sendall(b"+")

    def _wait_until_inside(self, info: int) -> None:
        """Wait until bubblewrap has made its namespaces, and learn where the network is."""
        said = b""
        deadline = time.monotonic() + _START_SECONDS
        while _readable(info, max(0.0, deadline - time.monotonic())):
            part = os.read(info, 65536)
            if not part:
                break
            said += part
        if b"child-pid" not in said:
            raise self._did_not_start()
        for process in self.family():
            with suppress(OSError, psutil.NoSuchProcess):
                # Bubblewrap's child; its pid is said as bubblewrap sees it, in pids of its own.
                if len(_pids(process.pid)) == len(_pids(os.getpid())) + 2:
                    self.network = Network.of(process.pid)
                    return

    def _did_not_start(self) -> Unavailable:
        self._popen.kill()
        self._popen.wait()
        last = " ".join(self.last_lines(2))[-300:] or "it said nothing"
        return Unavailable(
            "The sandbox could not be started.",
            why=f"{last.rstrip('.')}.",
            next_step="`workbook doctor` says what a sandbox needs.",
        )


@cache
def probe() -> Isolation:
    """Start a sandbox with this Python in it, once in the life of this process; gives how it isolates.

    What can't be found by reading shows here: a container that forbids namespaces, a Python that others
    can't read.

    Raises:
        Unavailable: There is none, or it does not work here.
    """
    with tempfile.TemporaryDirectory(prefix="workbook-probe-") as scratch:
        log = Path(scratch) / "log"
        with Sandbox([sys.executable, "-I", "-c", "pass"], log=log) as sandbox:
            ended = sandbox.wait(_START_SECONDS)
            if not ended or sandbox.exit_code != 0:
                raise sandbox._did_not_start()
            return sandbox.isolation


def put(folder: Path, home: Path, uid: int, limits: Limits) -> None:
    """Copy the plain files of a folder into a sandbox's home before anything runs there.

    Raises:
        WorkFault: They don't fit.
    """
    root = os.geteuid() == 0
    try:
        for base, folders, files in os.walk(folder):
            target = home / Path(base).relative_to(folder)
            for name in (*folders, *files):
                source, copy = Path(base) / name, target / name
                if source.is_symlink():
                    continue
                if name in folders:
                    copy.mkdir()
                elif source.is_file():
                    shutil.copyfile(source, copy)
                    copy.chmod(0o755 if os.access(source, os.X_OK) and not root else 0o644)
                else:
                    continue
                if root:
                    os.chown(copy, uid, uid)
            folders[:] = [name for name in folders if not (Path(base) / name).is_symlink()]
    except OSError as error:
        raise WorkFault(
            f"The files of {folder.name} don't fit into the sandbox ({error.strerror}).",
            why=f"It holds {limits.files} files of {limits.disk_bytes >> 20} MiB together.",
            next_step="Move what does not belong to the lab elsewhere.",
        ) from error


def _uid(pid: int) -> int:
    from labkit.isolation.privileges import FIRST_UID

    return FIRST_UID + pid if os.geteuid() == 0 else os.geteuid()


def _pids(pid: int) -> list[str]:
    """A process' number in each pid namespace that it is in, from ours to its own."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:"))


def _readable(handle: int, seconds: float) -> bool:
    """Whether there is something to read within that many seconds; of a pidfd, whether it has ended."""
    poller = select.poll()
    poller.register(handle, select.POLLIN)
    return bool(poller.poll(seconds * 1000))
