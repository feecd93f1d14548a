"""Where packages come from: pip's configuration, handed on to uv, and torch's own ways."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from labkit.environments import interpreters

TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu/torch/"
TORCH_PYPI_SIZE = "2.7 GB"
"""PyPI's sizes, added up, of torch 2.13.0 and the CUDA packages it requires (Linux x86-64, CPython 3.11)."""


@dataclass(frozen=True)
class Indexes:
    """pip's configuration as far as it says where packages come from.

    Attributes:
        index_url: Instead of PyPI; empty for PyPI.
        extra_index_urls: Beside it, as pip takes them: the best version of any index wins.
        find_links: Folders (those that exist) and pages with wheels.
        no_index: Only find_links are looked at.
        trusted_hosts: Hosts whose certificates are not checked.
        environment: The rest, as the variables that uv reads (certificate, proxy, time-out).
    """

    index_url: str = ""
    extra_index_urls: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    no_index: bool = False
    trusted_hosts: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)

    def uv_arguments(self) -> list[str]:
        """These indexes as arguments of `uv pip install` and `uv pip compile`."""
        arguments: list[str] = ["--no-index"] if self.no_index else []
        if self.index_url:
            arguments += ["--default-index", self.index_url]
        for url in self.extra_index_urls:
            arguments += ["--index", url]
        for place in self.find_links:
            arguments += ["--find-links", place]
        for host in self.trusted_hosts:
            arguments += ["--allow-insecure-host", host]
        # As pip does; uv's own default would take a package from the first index that has any version of it.
        return [*arguments, "--index-strategy", "unsafe-best-match"]

    def wheel_folders(self) -> list[Path]:
        """Those of find_links that are folders on this machine."""
        return [folder for place in self.find_links if (folder := _as_folder(place)) is not None]


def from_pip(python: Path) -> Indexes:
    """This interpreter's pip configuration: its files and PIP_* variables, merged as pip merges them."""
    listing = subprocess.run(
        [str(python), "-I", "-m", "pip", "config", "list"],
        capture_output=True,
        text=True,
        check=False,
        env=interpreters.clean_environment(),
    )
    return parse(listing.stdout, os.environ)


def parse(listing: str, environ: os._Environ[str] | dict[str, str]) -> Indexes:
    """Reads `pip config list`; `environ` says which of uv's own variables are set already."""
    settings: dict[str, str] = {}
    ranks: dict[str, int] = {}
    order = {"global": 0, "install": 1, ":env:": 2}
    for line in listing.splitlines():
        match = re.fullmatch(r"([^.=]+)\.([\w-]+)=(.*)", line)
        if not match or match[1] not in order:
            continue
        section, name, value = match.groups()
        if order[section] >= ranks.get(name, -1):
            ranks[name] = order[section]
            settings[name] = str(ast.literal_eval(value))
    environment = {}
    for name, variables in {
        "cert": ("SSL_CERT_FILE",),
        "proxy": ("HTTP_PROXY", "HTTPS_PROXY"),
        "timeout": ("UV_HTTP_TIMEOUT",),
        "default-timeout": ("UV_HTTP_TIMEOUT",),
    }.items():
        for variable in variables:
            if settings.get(name) and not environ.get(variable) and not environ.get(variable.lower()):
                environment[variable] = settings[name]
    return Indexes(
        index_url=settings.get("index-url", ""),
        extra_index_urls=tuple(settings.get("extra-index-url", "").split()),
        find_links=tuple(_existing(settings.get("find-links", "").split())),
        no_index=settings.get("no-index", "").lower() in ("1", "true", "yes", "on"),
        trusted_hosts=tuple(settings.get("trusted-host", "").split()),
        environment=environment,
    )


def _existing(places: list[str]) -> list[str]:
    """Without the folders that are not there: pip passes over them, uv would stop."""
    return [place for place in places if urlsplit(place).scheme in ("http", "https") or _as_folder(place)]


def _as_folder(place: str) -> Path | None:
    parts = urlsplit(place)
    if parts.scheme in ("http", "https"):
        return None
    folder = Path(unquote(parts.path) if parts.scheme == "file" else place).expanduser()
    return folder.absolute() if folder.is_dir() else None


@dataclass(frozen=True)
class TorchSource:
    """Where torch comes from.

    Attributes:
        words: What is said before it is installed.
        arguments: What uv must be told.
    """

    words: str
    arguments: tuple[str, ...] = ()


def torch_source(requirements: str, indexes: Indexes) -> TorchSource | None:
    """Chooses where torch comes from; None if the requirements hold no torch.

    A wheel in a local folder goes first, then (where there is no NVIDIA driver) the index of CPU builds, then
    PyPI, whose Linux build brings the CUDA libraries along.
    """
    match = re.search(r"^torch==([\w.]+)", requirements, re.MULTILINE)
    if not match:
        return None
    version = match[1]
    for folder in indexes.wheel_folders():
        wheels = [*folder.glob(f"torch-{version}-*.whl"), *folder.glob(f"torch-{version}+*.whl")]
        if wheels:
            return TorchSource(f"torch {version} from {wheels[0].name} in {folder}")
    if sys.platform != "linux":
        return TorchSource(f"torch {version} from PyPI")
    if not has_nvidia_driver() and cpu_index_in_reach(indexes):
        return TorchSource(f"torch {version} from PyTorch's index of CPU builds", ("--torch-backend", "cpu"))
    return TorchSource(f"torch {version} from PyPI: a download of {TORCH_PYPI_SIZE} with its CUDA libraries")


def has_nvidia_driver() -> bool:
    """Whether an NVIDIA driver is loaded."""
    return Path("/proc/driver/nvidia/version").exists()


def cpu_index_in_reach(indexes: Indexes, *, seconds: float = 5) -> bool:
    """Whether PyTorch's index of CPU builds answers."""
    if indexes.no_index:
        return False
    request = urllib.request.Request(TORCH_CPU_INDEX, method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=seconds) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError, ValueError):
        return False
