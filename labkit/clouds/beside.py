"""An emulated account of its own for one shell: it lives in the shell's network, and ends with the shell."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from contextlib import suppress

from labkit.clouds import provider
from labkit.clouds.emulated import READY_SECONDS, Session, command
from labkit.environments import REPOSITORY, ensure
from labkit.errors import Unavailable
from labkit.isolation.mounts import Shown
from labkit.isolation.relay import Relay
from labkit.serving.script import free_port
from labkit.terraform.shell import Shell
from labkit.verdicts import Tier

PORT_INSIDE = 4566


class AccountBeside:
    """An emulated AWS account that only the shell's commands reach, and we, through a relay.

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
        """What a sandbox has to show of this machine for the account to run in it."""
        return [Shown(ensure("cloud").path)]

    def up(self) -> bool:
        """Start it.

        Raises:
            Unavailable: It did not start.
        """
        if self._url:
            return False
        # In a sandbox `labkit` is in reach already; elsewhere the environment `cloud` has to be told.
        more = {"PYTHONPATH": str(REPOSITORY)} if self.shell.network is None else {}
        self.shell.start(command(str(self.shell.scratch), self.port), environment=more)
        deadline = time.monotonic() + READY_SECONDS
        while not self._listens():
            if time.monotonic() > deadline:
                raise Unavailable(
                    "The emulated cloud did not start.", next_step="Try `workbook up cloud`: it says why."
                )
            time.sleep(0.05)
        if self.shell.network is None:
            self._url = self._inside
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
        """The variables that lead the shell's commands to it."""
        return provider.environment(self._inside)

    def provider_override(self) -> str:
        """Terraform's provider settings that lead to it."""
        return provider.override(self._inside)

    def session(self) -> Session:
        """What makes boto3 clients of it, here."""
        return Session(self._url)

    def agree_to_cost(self, what: str) -> None:
        """Nothing here costs anything."""

    @property
    def _inside(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _listens(self) -> bool:
        if self.shell.network is not None:
            return self.port in self.shell.network.listening()
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=0.5):
            return True
        return False
