"""The S3 of the emulated AWS account, for what is tried on two stores."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

from labkit.clouds.emulated import EmulatedCloud
from labkit.verdicts import Tier


class EmulatedStore:
    """moto's S3; what it holds is in memory alone.

    Args:
        folder: Where its process leaves port, pid and log.
    """

    name = "the emulated S3"
    tier = Tier.SIMULATED

    def __init__(self, folder: Path) -> None:
        self._cloud = EmulatedCloud(folder)

    @property
    def url(self) -> str:
        """Where it answers."""
        return self._cloud.url

    def up(self) -> None:
        """Start it, and return when it answers.

        Raises:
            Unavailable: It did not start.
        """
        self._cloud.up()

    def down(self) -> None:
        """Stop it, and with it all that it holds."""
        self._cloud.down()

    def __enter__(self) -> EmulatedStore:
        """Start it."""
        self.up()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop it."""
        self.down()
