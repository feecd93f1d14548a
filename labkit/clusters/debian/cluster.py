"""Kubernetes 1.20.2 on this machine: the real thing where nothing can be pulled."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, cast

from filelock import FileLock

from labkit import debian, engines
from labkit.clusters.base import Capabilities
from labkit.clusters.debian import control, node, remains
from labkit.clusters.debian.build import Builder
from labkit.clusters.debian.layout import Layout
from labkit.clusters.debian.members import Members
from labkit.engines import machine
from labkit.engines.docker import DockerEngine
from labkit.errors import Unavailable, WorkbookError
from labkit.verdicts import Tier


class DebianCluster:
    """A control plane and one node, started from programs that were built here.

    Args:
        say: Told in a sentence what is done.
    """

    name = "debian"

    def __init__(self, say: debian.Say = debian.say_on_stderr) -> None:
        self.layout = Layout()
        self.say = say
        self._members = Members(self.layout)

    @property
    def kubeconfig(self) -> Path:
        """The file that kubectl and the clients take."""
        return self.layout.kubeconfig()

    @property
    def capabilities(self) -> Capabilities:
        """What can be done on it: Kubernetes 1.20 knows server-side apply, and no metrics are served."""
        return Capabilities(Tier.LOCAL, containers=True, metrics=False, apply_on_server=True)

    @property
    def is_up(self) -> bool:
        """Whether all of it runs and the API answers."""
        names = (*control.MEMBERS, *node.MEMBERS)
        return all(map(self._members.find, names)) and control.ask(self.layout, "/readyz") == "ok"

    def up(self) -> bool:
        """Start it unless it runs, having built it if that was not done; gives whether it was started.

        Raises:
            Unavailable: This machine can't.
        """
        if self.is_up:
            return False
        if why := machine.lacks():
            raise Unavailable("A full Kubernetes can't run here.", why=why[0], next_step=_OTHERS)
        debian.ensure("kubernetes", say=self.say)
        Builder(say=self.say).build()
        with self._lock():
            if self.is_up:
                return False
            remains.sweep(self.layout)
            self._refuse_company()
            self.layout.run.mkdir(parents=True, mode=0o711)
            self.layout.kept.mkdir(parents=True, exist_ok=True, mode=0o711)
            remains.note(self.layout)
            try:
                self._start()
            except BaseException:
                remains.sweep(self.layout)
                raise
        return True

    def down(self, *, purge: bool = False) -> bool:
        """Stop it with all that it runs, and take away what it laid; gives whether there was anything.

        Args:
            purge: Delete its objects and images, too; the programs that were built stay.

        Raises:
            WorkbookError: Something stayed.
        """
        if not self.layout.run.exists() and not (purge and self.layout.kept.exists()):
            return False
        with self._lock():
            remains.sweep(self.layout)
            if purge:
                shutil.rmtree(self.layout.kept, ignore_errors=True)
        if left := remains.leftovers(self.layout):
            raise WorkbookError("The cluster left something behind.", why="; ".join(left[:5]))
        return True

    def load_image(self, tag: str) -> None:
        """Give the node an image of this machine's engine.

        Raises:
            Unavailable: There is none of that name, or the node does not take it.
        """
        engine = engines.connect()
        if not isinstance(engine, DockerEngine):
            raise Unavailable(f"The engine {engine.name} can't hand out images.")
        with engine.saved(tag) as archive:
            file = cast(IO[bytes], archive.fileobj)
            file.seek(0)
            node.import_image(self.layout, file)

    def _start(self) -> None:
        self.say("Starting Kubernetes: the control plane.")
        node.start(self.layout, self._members)
        control.start(self.layout, self._members)
        self.say("Starting its node.")
        since = datetime.now(UTC).replace(microsecond=0)
        node.join(self.layout, self._members)
        control.settle(self.layout, self._members)
        node.settle(self.layout, self._members, since)

    def _refuse_company(self) -> None:
        """Two kubelets would fight over the same control group and packet filter.

        Raises:
            Unavailable: Another Kubernetes is on this machine.
        """
        if machine.cgroup_folders(self.layout.group):
            raise Unavailable(
                "Another Kubernetes runs its pods on this machine.",
                why=f"There is a control group {self.layout.group} already.",
                next_step="Use that one through its kubeconfig: workbook up cluster --backend kubeconfig.",
            )

    def _lock(self) -> FileLock:
        self.layout.run.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(self.layout.run.with_name(f"{self.layout.run.name}.lock"))


_OTHERS = "The embedded cluster needs none of that: workbook up cluster."
