"""A dockerd that is fenced in: namespaces, a control group and a disk of its own, and no way out but indexes.

It is for images that nobody vouches for. It belongs to the process that starts it and ends with it; what a
killed process leaves are empty control groups and folders, which the next one takes away.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from labkit import debian
from labkit.engines import host_indexes, index_proxy, machine, places
from labkit.engines.daemon import Daemon
from labkit.environments.indexes import from_pip
from labkit.errors import Unavailable
from labkit.isolation import cgroups
from labkit.isolation.engine_process import USER
from labkit.isolation.index_proxy_process import PORT
from labkit.isolation.limits import MIB, Limits
from labkit.isolation.network import ROOT, Network
from labkit.processes import Process

LIMITS = Limits(
    memory_bytes=3072 * MIB,
    processes=1024,
    cores=float(os.cpu_count() or 1),  # a build is as quick as on the learner's own machine
    disk_bytes=10240 * MIB,
)
"""What all builds and containers of one engine may use together."""
_OWN_BYTES = 1024 * MIB
"""For dockerd itself, so that it is not the one to go when containers take all of theirs."""
SUBNET = "10.201.0"
PROXY = f"http://{SUBNET}.1:{PORT}"
_BOOT = (
    f"import sys; sys.path.insert(0, {ROOT!r}); from labkit.isolation.engine_process import main; "
    "main(sys.argv[1])"
)
_PATH_LETTERS = 34
_NAME = re.compile(r"images-(\d+)-(\d+)-.+")


@dataclass
class _Running:
    """What runs of an engine that is up."""

    process: Process | None = None
    network: Network | None = None
    proxy: index_proxy.IndexProxy | None = None


@dataclass(frozen=True)
class FencedDaemon(Daemon):
    """One dockerd within a fence; see the module.

    Attributes:
        disk: The file that holds all its images; its size bounds them.
    """

    disk: Path = Path()
    _running: _Running = field(default_factory=_Running, compare=False, repr=False)

    @classmethod
    def beside(cls, folder: Path | None = None, limits: Limits = LIMITS) -> FencedDaemon:
        """A new one, in a folder that is its own.

        Args:
            folder: Where the folder goes: on a disk with room for the images.
            limits: What its builds and containers may use together.

        Raises:
            Unavailable: The folder's path is too long.
        """
        folder = folder or places.kept("grading")
        if len(str(folder)) > _PATH_LETTERS:
            raise Unavailable(
                f"The engine for grading can't be in {folder}.",
                why="A socket's path has at most 107 letters.",
                next_step=f"Take a folder of at most {_PATH_LETTERS} letters.",
            )
        folder.mkdir(parents=True, exist_ok=True, mode=0o711)
        started = int(psutil.Process().create_time())
        place = Path(tempfile.mkdtemp(prefix=f"images-{os.getpid()}-{started}-", dir=folder))
        place.chmod(0o711)
        return cls(
            run=place / "run",
            data=place / "data",
            bridge="docker0",
            group=f"ml-workbook-{place.name}",
            limits=limits,
            disk=place / "disk.ext4",
        )

    @property
    def network(self) -> Network:
        """The network that it is in.

        Raises:
            Unavailable: It is not up.
        """
        if self._running.network is None:
            raise Unavailable("The engine for grading is not running.")
        return self._running.network

    def pid_of(self, container: str) -> int:
        """A process of a container as this machine numbers it; 0 if there is none."""
        found = machine.processes_in_cgroup(f"{self.group}/containers/{container}")
        return min((process.pid for process in found), default=0)

    def _process(self) -> psutil.Process | None:
        process = self._running.process
        if process is None or process.exit_code is not None:
            return None
        with suppress(psutil.NoSuchProcess):
            return psutil.Process(process.pid)
        return None

    def _has_ended(self) -> bool:
        return self._process() is None

    def up(self, say: debian.Say) -> bool:
        """Start it on its disk unless it runs; gives whether it was started.

        Raises:
            Unavailable: This machine can't.
        """
        if self.is_up():
            return False
        if why := lacks():
            raise why
        try:
            self._sweep()
            self._start()
        except BaseException:
            self.down()
            raise
        return True

    def _start(self) -> None:
        shutil.rmtree(self.run, ignore_errors=True)  # of one that ended by itself
        for folder in (self.run, self.data, self.run / "etc"):
            folder.mkdir(parents=True, exist_ok=True)
        command, environment = self._prepare(
            f"--cgroup-parent=/{self.group}/containers",
            *(f"--userns-remap={USER}", "--no-new-privileges", f"--bip={SUBNET}.1/24", "--ip-forward=false"),
        )
        plan = {
            "groups": self._make_groups(),
            "disk": str(self.disk),
            "data": str(self.data),
            "etc": str(self.run / "etc"),
            "command": command,
        }
        (self.run / "plan.json").write_text(json.dumps(plan))
        self._running.process = Process(
            [sys.executable, "-I", "-S", "-c", _BOOT, self.run / "plan.json"],
            cwd=Path("/"),
            log=self.log,
            environment=environment,
        )
        self._await()
        self._running.network = Network.of(self._running.process.pid)
        self._running.proxy = index_proxy.IndexProxy(
            self.network,
            index_proxy.hosts_of(from_pip(Path(sys.executable))),
            upstream=os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy") or "",
            log=self.run / "proxy.log",
        )

    def _make_groups(self) -> list[str]:
        """A group for all, one in it for dockerd and one for what it runs; gives the files to join by.

        Raises:
            Unavailable: Memory or the number of processes can't be bound here.
        """
        limits = self.limits or LIMITS
        whole = Limits(
            memory_bytes=limits.memory_bytes + _OWN_BYTES,
            processes=limits.processes + 512,
            cores=limits.cores,
        )
        cgroups.bind(self.group, whole)
        tops = [cgroups.Place(p.controller, p.version, p.folder / self.group) for p in cgroups.top_places()]
        bound = cgroups.bind("containers", limits, tops)
        if lacking := {"memory", "pids"} - set(bound):
            raise Unavailable(
                "There is no guard for images here.",
                why=f"No control group binds {' and '.join(sorted(lacking))}.",
                next_step=_ELSEWHERE,
            )
        own = cgroups.bind("engine", whole, tops)
        return sorted({str(folder / "cgroup.procs") for folder in own.values()})

    def hand_in(self) -> None:
        """Let the steps of builds reach this machine's package indexes through the proxy."""
        host_indexes.hand_in(self.given, proxy=PROXY)

    def _sweep(self) -> None:
        """End all of it at once: nothing in it is worth an orderly end."""
        running = self._running
        if running.proxy is not None:
            running.proxy.close()
        if running.network is not None:
            running.network.close()
        if running.process is not None:
            running.process.stop(grace=0.0)
        running.process = running.network = running.proxy = None
        machine.end(machine.processes_in_cgroup(self.group))
        machine.remove_cgroup(self.group)

    def stop_in_order(self, seconds: float = 20.0) -> None:
        """Let dockerd write all that it knows and let go of its disk, which can then be used again.

        Raises:
            Unavailable: It does not end.
        """
        process = self._running.process
        if process is None:
            return
        psutil.Process(process.pid).terminate()
        try:
            psutil.Process(process.pid).wait(timeout=seconds)
        except psutil.NoSuchProcess:
            return
        except psutil.TimeoutExpired as error:
            raise Unavailable("The engine for grading did not end.") from error

    def down(self, *, purge: bool = True) -> bool:
        """End it with all that it runs, and take its folder away; gives whether there was anything."""
        there = self.run.parent.exists()
        self._sweep()
        shutil.rmtree(self.run.parent, ignore_errors=True)
        return there

    def leftovers(self) -> list[str]:
        """What is there of it though it is down; empty if nothing is."""
        left = [f"process {process.pid}" for process in machine.processes_in_cgroup(self.group)]
        left += [f"cgroup {folder}" for folder in machine.cgroup_folders(self.group)]
        left += [f"mount {place}" for place in machine.mounts_below(self.run.parent)]
        left += [f"folder {self.run.parent}"] if self.run.parent.exists() else []
        return left + [f"loop device {device}" for device in _loops(self.disk)]


_ELSEWHERE = "Grade it on Linux as root, on a machine of your own, or by hand with `workbook check`."


def lacks() -> Unavailable | None:
    """Why images can't be kept apart here; None if nothing speaks against it."""
    what = "There is no guard for images here."
    if why := machine.lacks():
        return Unavailable(what, why=why[0], next_step=_ELSEWHERE)
    if missing := debian.missing("engine"):
        install = "As root: `python -m labkit.debian engine`."
        return Unavailable(what, why=f"Missing: {', '.join(missing)}.", next_step=install)
    return None


def clear(folder: Path | None = None) -> int:
    """Take away what killed processes left of their fenced engines; gives how many there were."""
    removed = 0
    for place in _abandoned(folder or places.kept("grading")):
        group = f"ml-workbook-{place.name}"
        machine.end(machine.processes_in_cgroup(group))
        machine.remove_cgroup(group)
        shutil.rmtree(place, ignore_errors=True)
        removed += 1
    return removed


def _abandoned(folder: Path) -> Iterator[Path]:
    for place in folder.glob("images-*"):
        match = _NAME.fullmatch(place.name)
        if match and not cgroups.lives(int(match[1]), int(match[2])):
            yield place


def _loops(disk: Path) -> list[str]:
    """The loop devices that hold a file."""
    tool = shutil.which("losetup", path="/usr/sbin:/sbin")
    if tool is None:
        return []
    with suppress(OSError, ValueError):
        said = subprocess.run([tool, "--json"], capture_output=True, text=True, check=False).stdout
        return [
            d["name"] for d in json.loads(said or "{}").get("loopdevices", []) if d["back-file"] == str(disk)
        ]
    return []
