"""Lets the steps of a build use the package indexes and certificates that this machine uses itself.

They are laid into each step's /dev, which is in memory and never part of a layer, and named by variables that
only the step's process gets: nothing of it is in the image, its history or its configuration. The engine's
`runc` is a small script of ours that does it (`RUNC`) and then becomes the real one.
"""

from __future__ import annotations

import configparser
import hashlib
import json
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from labkit.environments.indexes import Indexes, from_pip

INSIDE = "/dev/.workbook"
_VARIABLES = ("PIP_", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
_CONFIGURATIONS = ("/etc/pip.conf", "~/.config/pip/pip.conf", "~/.pip/pip.conf", f"{sys.prefix}/pip.conf")

RUNC = """\
#!{python} -IS
import json, os, sys
arguments = sys.argv[1:]
try:
    bundle = arguments[arguments.index("--bundle") + 1]
    with open({given!r}) as file:
        given = json.load(file)
except (ValueError, IndexError, OSError):
    bundle = ""
if "/buildkit/executor/" in bundle:
    path = os.path.join(bundle, "config.json")
    with open(path) as file:
        spec = json.load(file)
    names = {{entry.partition("=")[0] for entry in spec["process"].get("env", [])}}
    more = [name + "=" + value for name, value in given["variables"].items() if name not in names]
    spec["process"]["env"] = spec["process"].get("env", []) + more
    for inside, outside in given["mounts"].items():
        spec["mounts"].append({{
            "destination": inside, "type": "bind", "source": outside,
            "options": ["rbind", "ro", "nosuid", "nodev"],
        }})
    with open(path, "w") as file:
        json.dump(spec, file)
os.execv({runc!r}, ["runc", *arguments])
"""


def write_runc(folder: Path, given: Path, runc: str) -> Path:
    """Write the script into a folder of its own, which goes first on the engine's PATH; gives the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    script = folder / "runc"
    python = os.path.realpath(sys.executable)
    script.write_text(RUNC.format(python=python, given=str(given / "given.json"), runc=runc))
    script.chmod(0o755)
    return folder


def hand_in(folder: Path, *, proxy: str = "") -> None:
    """Lay this machine's indexes and certificates into the folder that steps see as `INSIDE`.

    Does nothing if they are what they were.

    Args:
        folder: Where they are laid.
        proxy: What steps reach the indexes through, if that is not what this machine uses itself. Those steps
            are not ours, then: no password for an index is handed on to them.
    """
    key = _key() + proxy
    given = folder / "given.json"
    try:
        if json.loads(given.read_text())["key"] == key:
            return
    except (OSError, ValueError, KeyError):
        pass
    folder.mkdir(parents=True, exist_ok=True)
    indexes = from_pip(Path(sys.executable))
    if proxy:
        indexes = _without_passwords(indexes)
    certificates = _certificates(indexes)
    variables, mounts = {}, {INSIDE: str(folder)}
    if certificates is not None:
        shutil.copyfile(certificates, folder / "ca.crt")
        for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT"):
            variables[name] = f"{INSIDE}/ca.crt"
    for number, wheels in enumerate(indexes.wheel_folders()):
        mounts[f"/dev/.workbook-wheels-{number}"] = str(wheels)
    _write_pip_configuration(folder / "pip.conf", indexes, [place for place in mounts if place != INSIDE])
    variables["PIP_CONFIG_FILE"] = f"{INSIDE}/pip.conf"
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        ours = os.environ.get(name) or os.environ.get(name.lower())
        if value := (proxy if name != "NO_PROXY" else "") if proxy else ours:
            variables[name] = variables[name.lower()] = value
    draft = folder / f"given.json.{os.getpid()}"
    draft.write_text(json.dumps({"key": key, "variables": variables, "mounts": mounts}))
    draft.replace(given)


def _without_passwords(indexes: Indexes) -> Indexes:
    def bare(url: str) -> str:
        parts = urlsplit(url)
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))

    return replace(
        indexes,
        index_url=bare(indexes.index_url),
        extra_index_urls=tuple(map(bare, indexes.extra_index_urls)),
        find_links=tuple(place if "://" not in place else bare(place) for place in indexes.find_links),
    )


def _key() -> str:
    """A hash of what `from_pip` reads, so that pip need not be asked again."""
    digest = hashlib.sha256()
    for name in sorted(os.environ):
        if name.upper().startswith(_VARIABLES):
            digest.update(f"{name}={os.environ[name]}\0".encode())
    for name in _CONFIGURATIONS:
        path = Path(name).expanduser()
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _certificates(indexes: Indexes) -> Path | None:
    """The bundle that this machine was told to trust; None where it trusts what everybody does."""
    named = (
        indexes.environment.get("SSL_CERT_FILE"),
        *(os.environ.get(name) for name in ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")),
    )
    return next((Path(name) for name in named if name and Path(name).is_file()), None)


def _write_pip_configuration(path: Path, indexes: Indexes, wheel_folders: list[str]) -> None:
    settings = {
        "index-url": indexes.index_url,
        "extra-index-url": " ".join(u for u in indexes.extra_index_urls if u.startswith(("http:", "https:"))),
        "find-links": " ".join(
            [*wheel_folders, *(p for p in indexes.find_links if p.startswith(("http:", "https:")))]
        ),
        "trusted-host": " ".join(indexes.trusted_hosts),
        "no-index": "true" if indexes.no_index else "",
        "disable-pip-version-check": "true",
    }
    parser = configparser.RawConfigParser()
    parser["global"] = {name: value for name, value in settings.items() if value}
    with path.open("w") as file:
        parser.write(file)
