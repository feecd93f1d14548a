"""The engine that starts by itself where a person names none: Debian's real dockerd, one a machine."""

from __future__ import annotations

from labkit import debian
from labkit.engines.base import About
from labkit.engines.daemon import Daemon
from labkit.engines.docker import DockerEngine


class EmbeddedEngine(DockerEngine):
    """Docker Engine with its own data, socket and bridge; it goes on when the one that started it ends.

    Args:
        daemon: Which; this machine's by default.
        say: Told in a sentence what is done.
    """

    name = "embedded"

    def __init__(self, daemon: Daemon | None = None, *, say: debian.Say = debian.say_on_stderr) -> None:
        self.daemon = daemon or Daemon()
        super().__init__(self.daemon.address, say=say)

    @property
    def bridge(self) -> bool:  # type: ignore[override]
        """Whether its containers have a network of their own."""
        return bool(self.daemon.state.get("bridge", True))

    def up(self) -> bool:
        """Start it unless it runs; gives whether it was started.

        Raises:
            Unavailable: This machine can't run it.
        """
        started = self.daemon.up(self.say)
        if started:
            self._hang_up()
        return started

    def down(self, *, purge: bool = False) -> bool:
        """Stop it with all that it runs; gives whether there was anything to stop."""
        self._hang_up()
        return self.daemon.down(purge=purge)

    def _hang_up(self) -> None:
        """Forget the line to one that has ended."""
        client = self.__dict__.pop("_client", None)
        if client is not None:
            client.close()

    def about(self) -> About:
        """What it is."""
        found = super().about()
        return About(f"embedded {found.name}", found.address, found.builder, found.bridge)

    def _get_ready(self) -> None:
        self.up()
        self.daemon.hand_in()
