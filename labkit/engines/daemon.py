"""Debian's dockerd as the workbook runs it: its own data, socket, bridge, cgroup; gone without a trace."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock

from labkit import debian
from labkit.engines import host_indexes, machine, places
from labkit.errors import Unavailable, WorkbookError
from labkit.isolation import cgroups
from labkit.isolation.limits import Limits

READY_SECONDS = 60.0
SUBNETS = tuple(
    f"{family}.0/24"
    for number in range(87, 119)
    for family in (f"172.29.{number}", f"10.187.{number}", f"192.168.{number + 100}")
)
"""One for each engine on this machine."""
MIRROR = "http://127.0.0.1:5187"
"""Where the loopback registry answers, if it is up: asked first for images of Docker Hub's names."""
ULIMITS = ("nofile=4096:4096", "nproc=4096:4096")
"""At or below what any machine allows: without CAP_SYS_RESOURCE a limit can't be raised."""


@dataclass(frozen=True)
class Daemon:
    """One dockerd and all that is its own; several run side by side.

    Attributes:
        run: The folder of its socket, pid and state.
        data: The folder of its images.
        bridge: The name of its bridge.
        group: The name of its cgroup.
        limits: What all its containers and builds together may use; None for as much as there is.
    """

    run: Path = field(default_factory=lambda: places.running("engine"))
    data: Path = field(default_factory=lambda: places.kept("engine"))
    bridge: str = "mlworkbook0"
    group: str = "ml-workbook"
    limits: Limits | None = None

    @classmethod
    def named(cls, name: str, limits: Limits | None = None) -> Daemon:
        """One more on this machine, beside the labs' own: the same name is the same engine.

        Args:
            name: Letters, digits and hyphens; short, because a socket's path has at most a hundred letters.
            limits: See the class.
        """
        number = hashlib.sha256(name.encode()).hexdigest()[:8]
        return cls(
            run=places.running("engines") / name,
            data=places.kept("engines") / name,
            bridge=f"mlwb{number}",
            group=f"ml-workbook-{name}",
            limits=limits,
        )

    @property
    def address(self) -> str:
        """Where it answers."""
        return f"unix://{self.run / 'docker.sock'}"

    @property
    def log(self) -> Path:
        """What it printed since it was started last."""
        return self.data.with_name(f"{self.data.name}.log")

    @property
    def given(self) -> Path:
        """The folder of indexes and certificates that build steps see."""
        return self.run / "given"

    @property
    def state(self) -> dict[str, Any]:
        """What was noted when it was started; empty if it was not."""
        try:
            state: dict[str, Any] = json.loads((self.run / "state.json").read_text())
        except (OSError, ValueError):
            return {}
        return state

    def lock(self) -> FileLock:
        """Held by whoever starts or stops an engine: they share the machine's packet filter."""
        self.run.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        place = places.running("engines.lock")
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return FileLock(place)

    def is_up(self) -> bool:
        """Whether it runs and answers."""
        if not (self.run / "docker.sock").is_socket() or self._process() is None:
            return False
        try:
            with socket.socket(socket.AF_UNIX) as line:
                line.settimeout(5)
                line.connect(str(self.run / "docker.sock"))
                line.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
                return b" 200 " in line.recv(64)
        except OSError:
            return False

    def _process(self) -> psutil.Process | None:
        try:
            process = psutil.Process(int((self.run / "pid").read_text()))
            return process if "dockerd" in process.name() and process.status() != "zombie" else None
        except (OSError, ValueError, psutil.Error):
            return None

    def up(self, say: debian.Say) -> bool:
        """Start it unless it runs; gives whether it was started.

        Raises:
            Unavailable: This machine can't: no root, no packages, or dockerd ended.
        """
        if self.is_up():
            return False
        if why := machine.lacks():
            raise Unavailable("The embedded engine can't run here.", why=why[0], next_step=why[1])
        with self.lock():
            if self.is_up():
                return False
            debian.ensure("engine", say=say)
            self._sweep()
            say("Starting the embedded engine.")
            self._start()
        return True

    def _start(self) -> None:
        networks = machine.can_filter()
        state: dict[str, Any] = {"bridge": networks}
        self.run.mkdir(parents=True, exist_ok=True, mode=0o755)
        self.data.mkdir(parents=True, exist_ok=True)
        machine.note_forwarding()
        if self.limits is not None:
            state["bound"] = sorted(cgroups.bind(self.group, self.limits))
        if networks:
            state["subnet"] = self._make_bridge()
        (self.run / "state.json").write_text(json.dumps(state))
        network = [f"--bridge={self.bridge}"] if networks else ["--bridge=none", "--iptables=false"]
        command, environment = self._prepare(f"--cgroup-parent=/{self.group}", *network)
        with self.log.open("wb") as log:
            subprocess.run(
                ["setsid", "--fork", *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                check=True,
                cwd="/",
                env=environment,
            )
        self._await()

    def _prepare(self, *more: str) -> tuple[list[str], dict[str, str]]:
        """Write what dockerd reads; gives its command line, with `more` at the end, and its variables."""
        (self.run / "daemon.json").write_text(
            json.dumps(
                {
                    "registry-mirrors": [MIRROR],
                    "builder": {"gc": {"enabled": True, "defaultKeepStorage": "8GB"}},
                    "log-opts": {"max-size": "4m", "max-file": "1"},
                }
            )
        )
        runc = shutil.which("runc", path="/usr/sbin:/usr/bin")
        if runc is None:
            raise Unavailable("There is no runc here.", next_step="Install Debian's package runc.")
        first = host_indexes.write_runc(self.run / "bin", self.given, runc)
        self.hand_in()
        command = [
            *("dockerd", f"--config-file={self.run / 'daemon.json'}"),
            *(f"--data-root={self.data}", f"--exec-root={self.run / 'exec'}"),
            *(f"--pidfile={self.run / 'pid'}", f"--host={self.address}"),
            "--exec-opt=native.cgroupdriver=cgroupfs",
            *(f"--default-ulimit={limit}" for limit in ULIMITS),
            *("--shutdown-timeout=3", "--log-level=warn"),
            *more,
        ]
        kept = {name: value for name, value in os.environ.items() if not name.startswith("DOCKER_")}
        return command, {**kept, "PATH": f"{first}:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"}

    def hand_in(self) -> None:
        """Let the steps of builds use this machine's package indexes, as they are now."""
        host_indexes.hand_in(self.given)

    def _await(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not self.is_up():
            if self._has_ended() or time.monotonic() > deadline:
                lines = self.log.read_text(errors="replace").strip().splitlines()
                self._sweep()
                raise Unavailable(
                    "The embedded engine did not start.",
                    why=lines[-1][-300:] if lines else "It said nothing.",
                    next_step=f"All that it said is in {self.log}.",
                )
            time.sleep(0.05)

    def _has_ended(self) -> bool:
        """Whether what was started has ended; while it is about to begin it has no number yet."""
        return (self.run / "pid").exists() and self._process() is None

    def _make_bridge(self) -> str:
        taken = machine.networks()
        for subnet in map(ipaddress.ip_network, SUBNETS):
            if not any(subnet.overlaps(other) for other in taken):
                break
        else:
            raise Unavailable("None of the embedded engine's networks is free.", why=", ".join(SUBNETS))
        address = f"{next(subnet.hosts())}/{subnet.prefixlen}"
        machine.ip("link", "add", "name", self.bridge, "type", "bridge")
        machine.ip("address", "add", address, "dev", self.bridge)
        machine.ip("link", "set", self.bridge, "up")
        return str(subnet)

    def down(self, *, purge: bool = False) -> bool:
        """Stop it with all that it runs, and take away what it laid; gives whether there was anything.

        Args:
            purge: Take its images away, too.

        Raises:
            WorkbookError: Something stayed.
        """
        if not self.run.exists() and not (purge and self.data.exists()):
            return False
        with self.lock():
            self._sweep()
            if purge:
                shutil.rmtree(self.data, ignore_errors=True)
        if left := self.leftovers():
            raise WorkbookError("The embedded engine left something behind.", why="; ".join(left))
        return True

    def _sweep(self) -> None:
        """Stop it and take away all that is its own, whatever state a crash left that in."""
        if not self.run.exists():
            return
        bridges = self._bridges()
        process = self._process()
        if process is not None:
            process.send_signal(signal.SIGTERM)
            psutil.wait_procs([process], timeout=10)
        machine.end(self._family())
        machine.unmount_below(self.run, self.data)
        machine.remove_links(bridges)
        state = self.state
        if state.get("bridge"):
            machine.remove_chains(bridges, state.get("subnet", ""))
            machine.restore_forwarding()
        machine.remove_cgroup(self.group)
        shutil.rmtree(self.run, ignore_errors=True)

    def _family(self) -> list[psutil.Process]:
        """All that belongs to it: its own programs, by their arguments, and containers, by their cgroup."""
        marks = (str(self.run), str(self.data))
        names = ("dockerd", "containerd", "docker-proxy", "runc")
        found = {p.pid: p for p in machine.processes_in_cgroup(self.group)}
        for process in psutil.process_iter(["name", "cmdline"]):
            line = " ".join(process.info["cmdline"] or [])
            if (process.info["name"] or "").startswith(names) and any(mark in line for mark in marks):
                found[process.pid] = process
        found.pop(os.getpid(), None)
        return list(found.values())

    def _bridges(self) -> list[str]:
        """Its bridge, and those of networks that people made with it, which it knows in its own records."""
        try:
            known = (self.data / "network/files/local-kv.db").read_bytes()
        except OSError:
            known = b""
        others = [name for name in machine.links() if name.startswith("br-") and name[3:].encode() in known]
        return [self.bridge, *others]

    def leftovers(self) -> list[str]:
        """What is there of it though it is down; empty if nothing is."""
        left = [f"process {process.pid}" for process in self._family()]
        left += [f"mount {place}" for place in machine.mounts_below(self.run, self.data)]
        left += [f"link {name}" for name in machine.links() if name == self.bridge]
        left += [f"cgroup {folder}" for folder in machine.cgroup_folders(self.group)]
        left += [f"rule {rule}" for rule in machine.rules_of([self.bridge])]
        return left
