"""A machine of a platform: a process in a network of its own, whose one way out leads to its bucket.

It is a guard, so whatever is started through guards (`LearnerFunction`, `ScriptServer`) runs on a machine.
Its link can be cut and restored while it runs: without it, its network holds nothing but loopback.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from labkit.errors import Unavailable
from labkit.isolation import guard as guards
from labkit.isolation.guard import PYTHON, SERVED, Guard, Guarded
from labkit.isolation.isolation import Isolation
from labkit.isolation.limits import Limits
from labkit.isolation.mounts import Shown
from labkit.isolation.network import NO_NETWORK_OF_ITS_OWN, Network, alone, of_its_own
from labkit.processes import Process
from labkit.storage.gateway import Gateway, Link

PORT = 9000
"""Where a machine finds its bucket, on its own loopback."""

_WAIT = "import os, sys; os.read(int(sys.argv[1]), 1); os.execvp(sys.argv[2], sys.argv[2:])"


@dataclass(frozen=True)
class Place:
    """Where a machine stands: the cloud's name and the region's."""

    cloud: str
    region: str


AWS = Place("aws", "us-east-1")
GCP = Place("gcp", "us-central1")


class Machine:
    """One machine; something can be started on it once.

    Args:
        name: Its name in the gateway's notes.
        gateway: The way to its bucket.
        place: Which cloud and region its variables say.
        environment: Further variables of what runs there.
        inner: What keeps it apart otherwise; the guard of this process by default.
        linked: Whether its link is up when it starts.
    """

    def __init__(
        self,
        name: str,
        gateway: Gateway,
        *,
        place: Place = AWS,
        environment: Mapping[str, str] | None = None,
        inner: Guard | None = None,
        linked: bool = True,
    ) -> None:
        self.name = name
        self._linked = linked
        self.place = place
        self._gateway = gateway
        self._environment = dict(environment or {})
        self._inner = inner or guards.current()
        self._link: Link | None = None
        self._started: _OnMachine | None = None
        self._ending = threading.Lock()

    @property
    def isolation(self) -> Isolation:
        """How the guard within keeps it apart."""
        return self._inner.isolation

    @property
    def home(self) -> Path | None:
        """Where its files lie, seen from outside: untrusted; None before it was started."""
        return self._started.home if self._started is not None else None

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
        """Start a command on it, with its link up; see `Guard.start`.

        Raises:
            Unavailable: There is no network of its own on this computer.
        """
        assert self._started is None, "a machine runs one command"
        waiting, go = os.pipe()
        waits = [PYTHON, "-I", "-S", "-c", _WAIT, str(waiting), *command]
        try:
            guarded = self._inner.start(
                waits if self._inner.isolation.sandboxed else alone(waits),
                folder,
                log=log,
                environment={**self._variables(), **(environment or {})},
                limits=limits,
                shown=shown,
                covered=covered,
                pass_fds=(*pass_fds, waiting),
            )
            try:
                network = guarded.network or of_its_own(guarded.process.pid)
                if network is None:
                    raise Unavailable(
                        f"{NO_NETWORK_OF_ITS_OWN}.",
                        why=" ".join(guarded.process.last_lines(1)),
                        next_step="On Linux, as root or with user namespaces open, there can.",
                    )
                self._started = _OnMachine(self, guarded, network)
                if self._linked:
                    self.restore()
            except BaseException:
                guarded.close()
                raise
            with suppress(BrokenPipeError):
                os.write(go, b"+")
        finally:
            os.close(waiting)
            os.close(go)
        return self._started

    def cut(self) -> None:
        """Cut it off: nothing but its own loopback is in its network."""
        if self._link is not None:
            self._link.close()
            self._link = None

    def restore(self) -> None:
        """Give it its link (back)."""
        if self._link is None and self._started is not None:
            listening = self._started.network.listen(PORT)
            self._link = self._gateway.open(listening, self.name)

    def warn(self) -> None:
        """Tell what runs on it that the machine is about to be taken away: SIGTERM."""
        for process in self._programs():
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGTERM)

    def take_away(self) -> None:
        """End all that runs on it from one moment to the next; the files on it stay until it is closed."""
        if self._started is not None:
            with self._ending:  # a drill takes it away from the gateway's thread, and whoever waits, too
                for process in self._started.process.family():
                    with suppress(psutil.NoSuchProcess):
                        process.kill()
                self._started.process.stop()

    def close(self) -> None:
        """End it and forget its files."""
        if self._started is not None:
            self._started.close()

    def _programs(self) -> list[psutil.Process]:
        """What was started on it, without what keeps it apart."""
        assert self._started is not None
        found = []
        for process in self._started.process.family():
            with suppress(psutil.NoSuchProcess):
                if process.name() != "bwrap" and "labkit.isolation.launch" not in " ".join(process.cmdline()):
                    found.append(process)
        return found

    def _variables(self) -> dict[str, str]:
        return {
            "STORE_URL": f"http://127.0.0.1:{PORT}",
            "STORE_BUCKET": self._gateway.bucket,
            "CLOUD": self.place.cloud,
            "REGION": self.place.region,
            "OMP_NUM_THREADS": "1",
            **self._environment,
        }


class _OnMachine:
    """What a machine runs."""

    def __init__(self, machine: Machine, guarded: Guarded, network: Network) -> None:
        self._machine = machine
        self._guarded = guarded
        self.network = network
        self._ours = guarded.network is None

    @property
    def process(self) -> Process:
        return self._guarded.process

    @property
    def home(self) -> Path:
        return self._guarded.home

    def close(self) -> None:
        """Cut its link, end it and forget its files."""
        self._machine.cut()
        self._guarded.close()
        if self._ours:
            self.network.close()
