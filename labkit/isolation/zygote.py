"""Sandboxes that are forked from a process which has loaded everything already: a tenth of a second each.

They isolate as `sandbox.Sandbox` does, by the same steps, with one difference: what runs is not a fresh
program but the continuation of the loaded one, so its memory begins as that one's. Nothing that a learner
may not read is ever loaded there.
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
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from labkit.errors import Unavailable
from labkit.isolation import janitor, mounts, seccomp
from labkit.isolation.cgroups import Group
from labkit.isolation.isolation import Isolation, require
from labkit.isolation.limits import Limits
from labkit.isolation.mounts import Shown
from labkit.isolation.network import ROOT
from labkit.isolation.sandbox import put
from labkit.processes import Process

_LOAD_SECONDS = 120.0
_START_SECONDS = 20.0
_BOOT = (
    f"import sys; sys.path.insert(0, {ROOT!r}); from labkit.isolation.zygote_process import main; "
    "main(int(sys.argv[1]), sys.argv[2], sys.argv[3:])"
)
# One thread, or it could not be forked.
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class Zygote:
    """The loaded process.

    Args:
        file: A Python file whose function `preload(modules)` loads what is needed and returns the work: a
            function of what to do (JSON) and a file descriptor to answer on.
        modules: What the work is likely to import.
    """

    def __init__(self, file: Path, modules: Iterable[str] = ()) -> None:
        require()
        janitor.run_once()
        scratch = tempfile.mkdtemp(prefix=janitor.prefix("zygote"))
        self._lock = threading.Lock()
        self._line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = Process(
                # Without our environment: what it is forked from can be read inside (/proc/self/environ).
                [
                    *("/usr/bin/env", "-i", *(f"{name}={value}" for name, value in _ONE_THREAD.items())),
                    *(f"HOME={scratch}", "LANG=C.UTF-8"),
                    *(sys.executable, "-I", "-c", _BOOT, str(theirs.fileno()), str(file)),
                    *modules,
                ],
                cwd=Path("/"),
                log=Path(scratch) / "log",
                pass_fds=(theirs.fileno(),),
            )
        self._end = weakref.finalize(self, _end, self._line, self._process, scratch)
        self._line.settimeout(_LOAD_SECONDS)
        try:
            ready = self._line.recv(1)
        except OSError:
            ready = b""
        if not ready:
            last = " ".join(self._process.last_lines(2))[-300:]
            self.close()
            raise Unavailable("The process that forks sandboxes did not start.", why=last)

    @property
    def lives(self) -> bool:
        """Whether it can fork."""
        return self._process.exit_code is None

    def fork(
        self,
        work: Mapping[str, Any],
        *,
        folder: Path,
        limits: Limits,
        shown: Iterable[Shown] = (),
        environment: Mapping[str, str] | None = None,
    ) -> Forked:
        """Start a piece of work in a sandbox of its own.

        Args:
            work: What the work is told, as JSON values.
            folder: What is copied into its home.
            limits: What it may use.
            shown: What it sees besides Debian's programs and this Python.
            environment: Variables to set; none of ours are.

        Raises:
            Unavailable: It could not be started.
            WorkFault: The files don't fit on its disk.
        """
        group = Group.make(limits)
        plan = {
            "environment": mounts.environment({**_ONE_THREAD, **(environment or {})}),
            "etc": mounts.etc("{uid}"),
            "groups": group.joining,
            "home": mounts.HOME,
            "limits": vars(limits),
            "links": mounts.links(),
            "memory_by_cgroup": "memory" in group.folders,
            "mounts": mounts.as_plan([*mounts.system(), *mounts.interpreter(), *shown]),
            "seccomp": seccomp.program().hex(),
            "work": dict(work),
        }
        ours, theirs = socket.socketpair()
        answers, answering = os.pipe()
        log, logging = os.pipe()
        plan_file = os.memfd_create("plan")
        try:
            with os.fdopen(os.dup(plan_file), "wb") as file:
                file.write(json.dumps(plan).encode())
            os.lseek(plan_file, 0, os.SEEK_SET)
            with self._lock:
                socket.send_fds(self._line, [b"+"], [theirs.fileno(), answering, logging, plan_file])
        except OSError as error:
            ours.close()
            os.close(answers)
            os.close(log)
            group.remove()
            raise Unavailable("The process that forks sandboxes is gone.", why=str(error)) from error
        finally:
            theirs.close()
            for handle in (answering, logging, plan_file):
                os.close(handle)
        forked = Forked(group, limits, answers, log)
        forked.let_go(ours, folder)
        return forked

    def close(self) -> None:
        """End it, and with it all that it forked."""
        self._end()

    def __enter__(self) -> Zygote:
        """It is loaded already."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it."""
        self.close()


def _end(line: socket.socket, process: Process, scratch: str) -> None:
    line.close()  # it ends by itself when there is nobody to ask it
    process.stop(grace=1.0)
    shutil.rmtree(scratch, ignore_errors=True)


class Forked:
    """A sandbox that a zygote forked; what it leaves can be read until `close`."""

    def __init__(self, group: Group, limits: Limits, answers: int, log: int) -> None:
        self.group = group
        self.limits = limits
        self.log = bytearray()
        self._bound = dict(group.versions)
        self._memory_ran_out = False
        self._answers: int | None = answers
        self._log: int | None = log
        self._disk: int | None = None
        self._first: int | None = None
        self._line: socket.socket | None = (
            None  # held open as long as it lives: its end says that we are gone
        )

    @property
    def isolation(self) -> Isolation:
        """How it is isolated."""
        return Isolation(sandboxed=True, own_user=os.geteuid() == 0, bound=self._bound)

    @property
    def home(self) -> Path:
        """Its home, seen from outside; untrusted."""
        assert self._disk is not None
        return Path(f"/proc/self/fd/{self._disk}/home")

    @property
    def memory_ran_out(self) -> bool:
        """Whether something inside was killed because memory ran out; known where a cgroup binds it."""
        return self._memory_ran_out or self.group.memory_ran_out

    def let_go(self, line: socket.socket, folder: Path) -> None:
        """Take its disk, lay the files on it and let it begin.

        Raises:
            Unavailable: It could not be started.
            WorkFault: The files don't fit.
        """
        self._line = line
        line.settimeout(_START_SECONDS)
        try:
            said, handles, _, _ = socket.recv_fds(line, 4096, 2)
            if len(handles) != 2:
                raise OSError("it ended")
            self._disk, self._first = handles
            put(folder, self.home, json.loads(said)["uid"], self.limits)
            line.sendall(b"+")
        except OSError as error:
            self._drain(0.5, lambda part: None)
            why = self.log.decode(errors="replace").strip()[-300:] or str(error)
            self.close()
            raise Unavailable("A sandbox could not be forked.", why=why) from error
        except BaseException:
            self.close()
            raise

    def read(self, seconds: float, take: Callable[[bytes], None]) -> bool:
        """Take what it answers until it has ended; says whether that was within these seconds.

        Args:
            seconds: How long at most; it is stopped then.
            take: Gets the answers' bytes as they come. They may be anything.
        """
        in_time = self._drain(seconds, take)
        self.stop()
        self._drain(0.0, take)
        return in_time

    def _drain(self, seconds: float, take: Callable[[bytes], None]) -> bool:
        """Read both pipes and wait for the end; the log is kept up to its limit, the rest read away."""
        deadline = time.monotonic() + seconds
        poller = select.poll()
        for handle in (self._answers, self._log, self._first):
            if handle is not None:
                poller.register(handle, select.POLLIN)
        while True:
            left = deadline - time.monotonic()
            ready = [handle for handle, _ in poller.poll(max(0.0, left) * 1000)]
            for handle in ready:
                if handle == self._first:
                    continue
                part = os.read(handle, 1 << 16)
                if not part:
                    poller.unregister(handle)
                elif handle == self._answers:
                    take(part)
                else:
                    self.log += part[: max(0, self.limits.output_bytes - len(self.log))]
            if ready == [self._first]:
                return True  # all have ended, and nothing is left to read
            if not ready or left <= 0:
                return False

    def stop(self) -> None:
        """End all processes inside, at once and for sure; what they wrote stays until `close`."""
        if self._line is not None:
            self._line.close()
        if self._first is not None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._first, signal.SIGKILL)
            ended = select.poll()
            ended.register(self._first, select.POLLIN)
            ended.poll(30_000)  # the first inside is gone only when all others are
            os.close(self._first)
            self._first = None
        self._memory_ran_out = self.memory_ran_out
        self.group.remove()

    def close(self) -> None:
        """Stop it and let go of its disk."""
        self.stop()
        for handle in (self._answers, self._log, self._disk):
            if handle is not None:
                os.close(handle)
        self._answers = self._log = self._disk = None

    def __enter__(self) -> Forked:
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
