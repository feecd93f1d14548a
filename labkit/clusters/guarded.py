"""The guard for manifests: a cluster of their own for those that nobody vouches for, behind a fence.

Its process runs inside the namespaces of a fenced engine, so that pods, Services, probes and volumes have
nothing of this machine around them, and all of it ends with that engine. Beside its owner, who grades, it has
a guest: manifests are applied in the guest's name, and restrictions hold whatever the guest asks for.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import psutil
import yaml

from labkit.clusters.base import Cluster
from labkit.clusters.choice import connect
from labkit.clusters.embedded import state
from labkit.clusters.embedded.__main__ import IMAGES
from labkit.clusters.embedded.cluster import READY_SECONDS, REPOSITORY, EmbeddedCluster
from labkit.clusters.embedded.users.users import GUESTS
from labkit.engines.base import Engine
from labkit.engines.bases import RECIPES, provide_for
from labkit.engines.guarded import FencedEngine
from labkit.errors import Unavailable
from labkit.isolation import inside
from labkit.isolation.network import Network
from labkit.isolation.relay import Relay
from labkit.processes import Process

OPEN = {GUESTS: "true"}
"""Labels of a namespace that opens it to guests; on other clusters they mean nothing."""


class GuardedCluster(EmbeddedCluster):
    """An embedded cluster on a fenced engine, gone at the end of its context.

    Args:
        engine: The engine that its pods run on, already up or not.
    """

    name = "guarded"

    def __init__(self, engine: FencedEngine) -> None:
        super().__init__(engine.fenced.run.parent / "cluster", engine=engine, guest=True)
        self._fenced = engine
        self._running: Process | None = None
        self._relay: Relay | None = None
        self._images: set[str] = set()

    @property
    def kubeconfig(self) -> Path:
        """The owner's: who has it may do anything."""
        return self.folder / "outside.kubeconfig"

    @property
    def guests_kubeconfig(self) -> Path:
        """The guest's."""
        return self.folder / "outside.guest.kubeconfig"

    @property
    def network(self) -> Network:
        """Where its pods and Services are: loads are sent from inside.

        Raises:
            Unavailable: It is not up.
        """
        return self._fenced.fenced.network

    @property
    def process(self) -> psutil.Process | None:
        """Its process, if it runs."""
        if self._running is None or self._running.exit_code is not None:
            return None
        return psutil.Process(self._running.pid)

    def up(self) -> bool:
        """Start it unless it runs; gives whether it was started.

        Raises:
            Unavailable: There is no fence here, or it did not start.
        """
        if self.process is not None:
            return False
        address = self._fenced.about().address
        volumes = self._fenced.fenced.data / "volumes"  # on the engine's disk, whose size bounds them
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self._note_images()
        program = [sys.executable, "-m", "labkit.clusters.embedded", str(self.folder)]
        program += [f"--engine={address}", f"--volumes={volumes}", "--guest"]
        self._running = Process(
            inside.command(self.network.pid, program, cwd=REPOSITORY),
            cwd=REPOSITORY,
            log=self.folder / "log",
        )
        try:
            self._await_ready(self._running)
            self._relay = Relay(self.network, int(state.read(self.folder)["port"]), tcp=True)
            for inner, outer in (
                ("kubeconfig", self.kubeconfig),
                ("guest.kubeconfig", self.guests_kubeconfig),
            ):
                config = yaml.safe_load((self.folder / inner).read_text())
                config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{self._relay.port}"
                state.private(outer, yaml.safe_dump(config))
        except BaseException:
            self.down()
            raise
        return True

    def _await_ready(self, running: Process) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not (self.folder / "pid").exists():
            if running.exit_code is not None or time.monotonic() > deadline:
                said = " / ".join(running.last_lines(2))
                raise Unavailable(
                    "The cluster for grading did not start.", why=said[-300:] or "It said nothing."
                )
            time.sleep(0.02)

    def down(self, *, purge: bool = True) -> bool:
        """Stop it; gives whether there was anything to stop. Its files go with its engine."""
        if self._relay is not None:
            self._relay.close()
        if self._running is not None:
            self._running.stop()
        there = self._running is not None
        self._relay = self._running = None
        (self.folder / "pid").unlink(missing_ok=True)
        return there

    def load_image(self, tag: str) -> None:
        """Let the guest's pods run an image of its engine; a base that the workbook knows is provided.

        Raises:
            WorkFault: There is none of that name.
        """
        provide_for(self._fenced, tag) if tag in RECIPES else self._fenced.inspect(tag)
        self._images.add(tag)
        self._note_images()

    def _note_images(self) -> None:
        state.private(self.folder / IMAGES, "\n".join(sorted(self._images)))

    def __enter__(self) -> GuardedCluster:
        """Start it."""
        self.up()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        self.down()


@contextmanager
def cluster_for_work(engine: Engine, name: str = "auto") -> Iterator[Cluster]:
    """The cluster that a learner's manifests are applied to: behind the fence of their engine, if it has one.

    Args:
        engine: What `labkit.engines.guarded.engine_for_work` gave.
        name: The cluster to take where nothing has to be kept apart.

    Raises:
        Unavailable: There is none.
    """
    if not isinstance(engine, FencedEngine):
        yield connect(name)
        return
    with GuardedCluster(engine) as cluster:
        yield cluster


def kubeconfig_for_work(cluster: Cluster) -> Path:
    """In whose name a learner's manifests are applied: the guest's, where the cluster has one."""
    if isinstance(cluster, EmbeddedCluster) and cluster.guest:
        return cluster.guests_kubeconfig
    return cluster.kubeconfig


def network_of(cluster: Cluster) -> Network | None:
    """The network to enter to reach its pods and Services; None for this machine's own."""
    return cluster.network if isinstance(cluster, GuardedCluster) else None
