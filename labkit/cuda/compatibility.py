"""The tables: torch's builds per CUDA version, and the drivers that each CUDA family needs."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from packaging.version import Version


@dataclass(frozen=True)
class Driver:
    """What a family of CUDA versions needs of the driver.

    Attributes:
        family: `11`, for all of CUDA 11.
        minimum: The oldest major version of the driver, on Linux, that runs programs built with it.
    """

    family: int
    minimum: int


@dataclass(frozen=True)
class Compatibility:
    """What goes together, as it was known on a day.

    Attributes:
        date: That day; later releases are not in the tables.
        builds: The builds of each torch release, `{"2.7.1": ("cpu", "cu118", "cu126", "cu128")}`.
        builds_source: Where that stands.
        drivers: What each CUDA family needs.
        drivers_source: Where that stands.
    """

    date: str
    builds: dict[str, tuple[str, ...]]
    builds_source: str
    drivers: tuple[Driver, ...]
    drivers_source: str

    def releases(self, variant: str) -> list[str]:
        """The torch releases that were built so, the newest first.

        Args:
            variant: `cpu`, or `cu118` for CUDA 11.8.
        """
        found = [release for release, variants in self.builds.items() if variant in variants]
        return sorted(found, key=Version, reverse=True)

    def minimum_driver(self, cuda: str) -> int:
        """The oldest driver for a CUDA version.

        Args:
            cuda: `11.8`.

        Raises:
            KeyError: The tables don't know that family.
        """
        family = int(cuda.partition(".")[0])
        return {driver.family: driver.minimum for driver in self.drivers}[family]


@lru_cache(maxsize=1)
def compatibility() -> Compatibility:
    """The tables beside this module."""
    data = tomllib.loads((files("labkit.cuda") / "compatibility.toml").read_text())
    return Compatibility(
        date=str(data["date"]),
        builds={release: tuple(variants) for release, variants in data["torch"]["builds"].items()},
        builds_source=data["torch"]["source"],
        drivers=tuple(Driver(int(family), minimum) for family, minimum in data["drivers"]["minimum"].items()),
        drivers_source=data["drivers"]["source"],
    )
