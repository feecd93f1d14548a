"""A real image registry on loopback: Debian's docker-registry, with deletion and garbage collection."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
from filelock import FileLock

from labkit import debian
from labkit.engines import places
from labkit.errors import Unavailable, WorkFault

PORT = 5187
READY_SECONDS = 20.0
INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_ACCEPT = ", ".join(
    [INDEX, MANIFEST, "application/vnd.oci.image.index.v1+json", "application/vnd.oci.image.manifest.v1+json"]
)
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
    """One registry: start it, ask it, stop it.

    Attributes:
        port: Where it listens, on 127.0.0.1.
        run: The folder of its pid and configuration.
        data: The folder of what was pushed.
    """

    port: int = PORT
    run: Path = field(default_factory=lambda: places.running("registry"))
    data: Path = field(default_factory=lambda: places.kept("registry"))

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
        with FileLock(self.run.with_name("registry.lock")):
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

    # ---- asking -------------------------------------------------------------------------------------------

    def repositories(self) -> list[str]:
        """What was pushed, by name."""
        return sorted(self._ask("GET", "_catalog?n=1000").json()["repositories"] or [])

    def tags(self, repository: str) -> list[str]:
        """The tags of a repository; none if there is no such repository."""
        answer = self._ask("GET", f"{repository}/tags/list", may_lack=True)
        return sorted(answer.json().get("tags") or []) if answer.status_code == 200 else []

    def digest(self, repository: str, reference: str) -> str:
        """The digest that a tag (or a digest) names, `sha256:...`.

        Raises:
            WorkFault: There is none.
        """
        answer = self._ask("HEAD", f"{repository}/manifests/{reference}", may_lack=True)
        if answer.status_code != 200:
            raise WorkFault(f"The registry has no {repository}:{reference}.")
        return str(answer.headers["docker-content-digest"])

    def manifest(self, repository: str, reference: str) -> dict[str, Any]:
        """The manifest or index as it was pushed.

        Raises:
            WorkFault: There is none.
        """
        answer = self._ask("GET", f"{repository}/manifests/{reference}", may_lack=True)
        if answer.status_code != 200:
            raise WorkFault(f"The registry has no {repository}:{reference}.")
        found: dict[str, Any] = answer.json()
        return found

    def put_index(self, repository: str, tag: str, manifests: dict[str, str]) -> str:
        """Push an index that names a manifest for each platform; gives its digest.

        Args:
            repository: Where the manifests were pushed to.
            tag: The index's tag.
            manifests: The digest for each platform, `{"linux/arm64": "sha256:..."}`.

        Raises:
            WorkFault: A digest is not there, or the registry refused.
        """
        entries = []
        for platform, digest in manifests.items():
            system, _, architecture = platform.partition("/")
            answer = self._ask("GET", f"{repository}/manifests/{digest}", may_lack=True)
            if answer.status_code != 200:
                raise WorkFault(f"The registry has no {repository}@{digest}.", next_step="Push it first.")
            entries.append(
                {
                    "mediaType": answer.headers["content-type"],
                    "size": len(answer.content),
                    "digest": digest,
                    "platform": {"os": system, "architecture": architecture},
                }
            )
        body = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()
        answer = self._ask(
            "PUT", f"{repository}/manifests/{tag}", content=body, headers={"Content-Type": INDEX}
        )
        return str(answer.headers["docker-content-digest"])

    def delete(self, repository: str, digest: str) -> None:
        """Delete a manifest by its digest; its layers stay until they are collected.

        Raises:
            WorkFault: There is none, or it is named by a tag instead of a digest.
        """
        if not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
            raise WorkFault(f"{digest} is no digest.", next_step="A registry deletes by digest only.")
        answer = self._ask("DELETE", f"{repository}/manifests/{digest}", may_lack=True)
        if answer.status_code != 202:
            raise WorkFault(f"The registry has no {repository}@{digest}.")

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

    def _ask(self, method: str, path: str, *, may_lack: bool = False, **more: Any) -> httpx.Response:
        headers = {"Accept": _ACCEPT, **more.pop("headers", {})}
        try:
            answer = httpx.request(
                method, f"{self.url}/v2/{path}", headers=headers, timeout=30, trust_env=False, **more
            )
        except httpx.HTTPError as error:
            raise Unavailable(
                f"The registry at {self.host} does not answer.", next_step="Run `workbook up registry`."
            ) from error
        if answer.is_error and not (may_lack and answer.status_code in (404, 405)):
            raise WorkFault(f"The registry answered {answer.status_code}.", why=answer.text[:200])
        return answer
