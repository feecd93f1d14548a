"""Kubernetes' source as Debian signed it: fetched and verified by apt, unpacked, and mended."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from labkit.debian import Say
from labkit.errors import Unavailable

VERSION = "1.20.5+really1.20.2-1.1+deb12u1"
"""Debian 12's version of the package kubernetes; its programs are those of Kubernetes 1.20.2."""
KUBERNETES = "v1.20.2"
_KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"
_REFLECT2 = Path("/usr/share/gocode/src/github.com/modern-go/reflect2")


def fetch(folder: Path, say: Say) -> Path:
    """Have the unpacked source in a folder; what an interrupted call left is taken up again.

    Args:
        folder: Where downloads are kept and the source is unpacked, as a Go workspace.
        say: Told in a sentence what is done.

    Returns:
        The source's root, `FOLDER/go/src/k8s.io/kubernetes`.

    Raises:
        Unavailable: apt can't fetch it, or its signature does not hold.
    """
    tree = folder / "go/src/k8s.io/kubernetes"
    if tree.is_dir():
        return tree
    say("Fetching Kubernetes' source package.")
    archive = _download(folder / "downloads", folder / "apt")
    say("Unpacking it.")
    draft = tree.with_name("kubernetes.part")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    subprocess.run(["tar", "-xf", archive, "-C", draft, "--strip-components=1"], check=True)
    _mend(draft)
    draft.rename(tree)
    return tree


def _download(folder: Path, state: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    if found := next(folder.glob("kubernetes_*.orig.tar.*[!c]"), None):
        return found
    (state / "lists/partial").mkdir(parents=True, exist_ok=True)
    listed = state / "sources.list"
    listed.write_text(f"deb-src [signed-by={_KEYS}] {_mirror()} bookworm main\n")
    # Its own lists: the machine's may leave sources out, and stay as they are.
    apt = [
        *("apt-get", "-q", "-o", f"Dir::Etc::sourcelist={listed}", "-o", "Dir::Etc::sourceparts=/dev/null"),
        *("-o", f"Dir::State::lists={state / 'lists'}", "-o", f"Dir::Cache={state}"),
        *("-o", "APT::Sandbox::User=root"),
    ]
    _apt([*apt, "update"], folder)
    _apt([*apt, "source", "--download-only", f"kubernetes={VERSION}"], folder)
    archive = next(folder.glob("kubernetes_*.orig.tar.*[!c]"), None)
    if archive is None:
        raise Unavailable(f"apt-get fetched no source of kubernetes {VERSION}.")
    return archive


def _apt(command: list[str], folder: Path) -> None:
    """Run apt-get, which checks signatures and checksums itself and resumes a download that was cut off."""
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
    try:
        ran = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        raise Unavailable("There is no apt-get here.", why="The source is a package of Debian's.") from None
    if ran.returncode:
        lines = [line for line in ran.stdout.splitlines() if line.startswith(("E:", "W:", "Err"))]
        raise Unavailable(
            f"Kubernetes' source package ({VERSION}) could not be fetched.",
            why=f"apt-get said: {' / '.join(lines[-3:])}" if lines else "",
            next_step="When that is mended, the same command goes on from here.",
        )


def _mirror() -> str:
    """Where this machine gets Debian's packages from."""
    asked = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(SUITE) $(CODENAME)"]
    try:
        said = subprocess.run(asked, capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        said = ""
    found = re.search(r"^(\S+/debian/?) .*\bbookworm$", said, re.MULTILINE)
    return found[1] if found else "http://deb.debian.org/debian"


def _mend(tree: Path) -> None:
    """Put Debian's reflect2 1.0.2 in the place of the vendored 1.0.1.

    Built with Go 1.18 or later, the old one crashes the API server on custom resources.
    """
    if not _REFLECT2.is_dir():
        raise Unavailable(
            "Debian's package golang-github-modern-go-reflect2-dev is missing.",
            next_step="Install it with: .venv/bin/python -m labkit.debian kubernetes.",
        )
    vendored = tree / "vendor/github.com/modern-go/reflect2"
    shutil.rmtree(vendored)
    shutil.copytree(_REFLECT2, vendored)
