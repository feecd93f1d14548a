"""A real image registry on loopback: Debian's docker-registry, with deletion and garbage collection."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import httpx
import psutil
from filelock import FileLock

from labkit import debian
from labkit.engines import places
from labkit.engines.registry_client import RegistryClient
from labkit.errors import Unavailable

PORT = 5187
READY_SECONDS = 20.0
_CONFIGURATION = """\
version: 0.1
log: {{level: warn}}
storage:
  filesystem: {{rootdirectory: "{data}"}}
  delete: {{enabled: true}}
http: {{addr: "127.0.0.1:{port}"}}
"""


@dataclass(frozen=True)
class Registry:
    """One registry: start it, stop it, collect its garbage; `client` asks it and pushes to it.

    Attributes:
        port: Where it listens, on 127.0.0.1.
        run: The folder of its pid and configuration.
        data: The folder of what was pushed.
    """

    port: int = PORT
    run: Path = field(default_factory=lambda: places.running("registry"))
    data: Path = field(default_factory=lambda: places.kept("registry"))

    @classmethod
    def named(cls, name: str) -> Registry:
        """One more, beside the one that holds the bases: the same name is the same registry."""
        number = int(hashlib.sha256(name.encode()).hexdigest()[:8], 16)
        return cls(
            port=PORT + 1 + number % 500,
            run=places.running("registries") / name,
            data=places.kept("registries") / name,
        )

    @property
    def host(self) -> str:
        """What tags begin with, `127.0.0.1:5187`."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """Its base address."""
        return f"http://{self.host}"

    @property
    def _log(self) -> Path:
        return self.data.with_name(f"{self.data.name}.log")

    # ---- starting and stopping ----------------------------------------------------------------------------

    def is_up(self) -> bool:
        """Whether it runs and answers."""
        if self._process() is None:
            return False
        try:
            return httpx.get(f"{self.url}/v2/", timeout=2, trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    def _process(self) -> psutil.Process | None:
        try:
            process = psutil.Process(int((self.run / "pid").read_text()))
            ours = str(self.run / "config.yml") in process.cmdline()
            return process if ours and process.status() != "zombie" else None
        except (OSError, ValueError, psutil.Error):
            return None

    def up(self, say: debian.Say = debian.say_on_stderr) -> bool:
        """Start it unless it runs; gives whether it was started.

        Raises:
            Unavailable: Its package can't be had, or it did not start.
        """
        if self.is_up():
            return False
        self.run.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with FileLock(self.run.with_name(f"{self.run.name}.lock")):
            if self.is_up():
                return False
            debian.ensure("registry", say=say)
            self._stop()
            self.run.mkdir(parents=True, exist_ok=True)
            self.data.mkdir(parents=True, exist_ok=True)
            self._refuse_taken_port()
            config = self.run / "config.yml"
            config.write_text(_CONFIGURATION.format(data=self.data, port=self.port))
            with self._log.open("wb") as log:
                # A session of its own and no parent: it outlives a notebook that is killed.
                subprocess.run(
                    [
                        "setsid",
                        "--fork",
                        "sh",
                        "-c",
                        'echo $$ > "$0"; exec docker-registry serve "$1"',
                        self.run / "pid",
                        config,
                    ],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    check=True,
                    cwd="/",
                )
            self._await()
        return True

    def _refuse_taken_port(self) -> None:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", self.port))
            except OSError as error:
                raise Unavailable(
                    "The registry did not start.",
                    why=f"Another program listens on port {self.port} of 127.0.0.1.",
                    next_step="Stop that program, then try again.",
                ) from error

    def _await(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not self.is_up():
            if time.monotonic() > deadline or ((self.run / "pid").exists() and self._ended()):
                said = self._log.read_text(errors="replace").strip().splitlines()
                self._stop()
                raise Unavailable(
                    "The registry did not start.", why=said[-1][-200:] if said else "It said nothing."
                )
            time.sleep(0.03)

    def _ended(self) -> bool:
        text = (self.run / "pid").read_text().strip()
        return bool(text) and not psutil.pid_exists(int(text))

    def down(self, *, purge: bool = False) -> bool:
        """Stop it; gives whether there was anything to stop.

        Args:
            purge: Take away what was pushed, too.
        """
        there = self.run.exists()
        self._stop()
        if purge:
            shutil.rmtree(self.data, ignore_errors=True)
        return there

    def _stop(self) -> None:
        process = self._process()
        if process is not None:
            process.send_signal(signal.SIGTERM)
            _, alive = psutil.wait_procs([process], timeout=5)
            for stubborn in alive:
                stubborn.kill()
        shutil.rmtree(self.run, ignore_errors=True)

    # ---- what it holds ------------------------------------------------------------------------------------

    @cached_property
    def client(self) -> RegistryClient:
        """Asks it and pushes to it."""
        return RegistryClient(self.url)

    def bytes(self) -> int:
        """What lies on disk."""
        return sum(file.stat().st_size for file in self.data.rglob("*") if file.is_file())

    def collect(self) -> int:
        """Remove the layers that no manifest names any more; gives the bytes that were freed.

        The registry is stopped meanwhile, as its makers ask: a push at the same time could lose a layer.
        """
        before = self.bytes()
        running = self.is_up()
        config = self.run / "config.yml"
        text = (
            config.read_text() if config.is_file() else _CONFIGURATION.format(data=self.data, port=self.port)
        )
        self._stop()
        draft = self.data.with_name(f"collect-{os.getpid()}.yml")
        draft.write_text(text)
        try:
            ran = subprocess.run(
                ["docker-registry", "garbage-collect", "--delete-untagged=false", str(draft)],
                capture_output=True,
                text=True,
                check=False,
            )
        finally:
            draft.unlink()
            if running:
                self.up()
        if ran.returncode:
            raise Unavailable("The registry's garbage was not collected.", why=ran.stderr.strip()[-200:])
        return before - self.bytes()
