"""The cluster that starts by itself where a person names none: a process of its own on loopback."""

from __future__ import annotations

import contextlib
import shutil
import ssl
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psutil
import yaml
from filelock import FileLock

from labkit.clusters.base import Capabilities
from labkit.clusters.embedded import state
from labkit.clusters.embedded.local import clear, engine_for_pods
from labkit.engines import places
from labkit.engines.base import Engine
from labkit.engines.bases import RECIPES, provide_for
from labkit.errors import Unavailable, WorkbookError
from labkit.processes import end
from labkit.verdicts import Tier

READY_SECONDS = 20.0
REPOSITORY = Path(__file__).resolve().parents[3]


class EmbeddedCluster:
    """A small Kubernetes API with controllers, a scheduler and nodes.

    Its first node runs pods as containers of this machine's engine; where there is none it only pretends to.

    Args:
        folder: Its state, kubeconfig, certificates and log; each folder is a cluster of its own.
        containers: Whether pods are to be containers, if this machine can.
        engine: The engine for them; this machine's own by default.
        guest: Whether it has a guest beside its owner: manifests that nobody vouches for are applied in the
            guest's name, whom restrictions hold.
    """

    name = "embedded"

    def __init__(
        self,
        folder: Path | None = None,
        *,
        containers: bool = True,
        engine: Engine | None = None,
        guest: bool = False,
    ) -> None:
        self.folder = (folder or places.kept("cluster")).absolute()
        self.guest = guest
        self._containers, self._engine = containers, engine

    @property
    def kubeconfig(self) -> Path:
        """The file that kubectl and the clients take."""
        return self.folder / "kubeconfig"

    @property
    def guests_kubeconfig(self) -> Path:
        """The guest's, if it has one: what that may do is in `users/restrictions.toml`."""
        return self.folder / "guest.kubeconfig"

    @property
    def capabilities(self) -> Capabilities:
        """What can be done on it."""
        real = bool(self.engine)
        tier = Tier.LOCAL if real else Tier.SIMULATED
        return Capabilities(tier, containers=real, metrics=True, apply_on_server=False)

    @property
    def engine(self) -> str:
        """The address of the engine that its pods run on; empty if they only pretend to run."""
        return str(state.read(self.folder).get("engine", ""))

    @property
    def why_simulated(self) -> str:
        """Why its pods are no containers; empty if they are."""
        return str(state.read(self.folder).get("why", ""))

    @property
    def process(self) -> psutil.Process | None:
        """Its process, if it runs."""
        try:
            process = psutil.Process(int((self.folder / "pid").read_text()))
            ours = str(self.folder) in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE
        except (OSError, ValueError, psutil.Error):
            return None
        return process if ours else None

    def up(self) -> bool:
        """Start it unless it runs; gives whether it was started.

        Raises:
            Unavailable: It did not start.
        """
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._lock():
            if self.process is not None and self._answers():
                return False
            (self.folder / "pid").unlink(missing_ok=True)
            with (self.folder / "log").open("wb") as log:
                started = subprocess.Popen(
                    [sys.executable, "-m", "labkit.clusters.embedded", str(self.folder), *self._how()],
                    cwd=REPOSITORY,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            self._await(started)
            # The process goes on by itself; nobody here waits for its end.
            started.returncode = 0
        return True

    def _how(self) -> list[str]:
        """What its process is told of the engine; one that is running already is taken as it is."""
        guest = ["--guest"] if self.guest else []
        if not self._containers:
            return ["--why=Nothing else was asked for.", *guest]
        try:
            self._engine = self._engine or engine_for_pods()
            return [f"--engine={self._engine.about().address}", *guest]
        except WorkbookError as error:
            return [f"--why={error}", *guest]

    def down(self, *, purge: bool = False) -> bool:
        """Stop it; gives whether there was anything to stop.

        Args:
            purge: Delete its state, too.
        """
        if not self.folder.exists():
            return False
        with self._lock():
            process = self.process
            if process is not None:
                end([process], 5)
            clear(state.read(self.folder))
            (self.folder / "pid").unlink(missing_ok=True)
            if purge:
                shutil.rmtree(self.folder)
        if purge:
            self._lock_path.unlink(missing_ok=True)
        return process is not None

    def load_image(self, tag: str) -> None:
        """See that its engine has an image; simulated nodes need none.

        Raises:
            WorkFault: There is none of that name.
        """
        if self.capabilities.containers:
            self._engine = self._engine or engine_for_pods()
            provide_for(self._engine, tag) if tag in RECIPES else self._engine.inspect(tag)

    @property
    def _lock_path(self) -> Path:
        return self.folder.with_name(f"{self.folder.name}.lock")

    def _lock(self) -> FileLock:
        return FileLock(self._lock_path)

    def _answers(self) -> bool:
        try:
            server = yaml.safe_load(self.kubeconfig.read_text())["clusters"][0]["cluster"]["server"]
            context = ssl.create_default_context(cafile=str(self.folder / "ca.crt"))
            with contextlib.closing(
                urllib.request.urlopen(f"{server}/readyz", timeout=2, context=context)  # noqa: S310 - our own
            ) as answer:
                return bool(answer.status == 200)
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def _await(self, started: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not ((self.folder / "pid").exists() and self._answers()):
            if started.poll() is not None or time.monotonic() > deadline:
                lines = (self.folder / "log").read_text(errors="replace").strip().splitlines()
                if started.poll() is None:
                    started.kill()
                    started.wait()
                raise Unavailable(
                    "The embedded cluster did not start.",
                    why=lines[-1][-300:] if lines else "It said nothing.",
                    next_step=f"All that it said is in {self.folder / 'log'}.",
                )
            time.sleep(0.02)
