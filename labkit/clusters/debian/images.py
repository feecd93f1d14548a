"""Images of one layer, made of this machine's own files: what a node needs where no registry is in reach."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def pack(
    archive: Path,
    tag: str,
    files: Mapping[str, Path],
    entrypoint: Sequence[str] = (),
    links: Mapping[str, str] | None = None,
) -> None:
    """Write an image as `docker save` does.

    Args:
        archive: The file to write.
        tag: The image's name.
        files: What it holds: path in the image -> file of this machine.
        entrypoint: What it runs.
        links: Symbolic links in the image: path -> where it points.
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as layer:
        for target, source in files.items():
            layer.add(source.resolve(), target.lstrip("/"))
        for path, target in (links or {}).items():
            link = tarfile.TarInfo(path.lstrip("/"))
            link.type, link.linkname, link.mode = tarfile.SYMTYPE, target, 0o777
            layer.addfile(link)
        for folder in ("tmp", "etc", "proc", "sys", "dev"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755
            layer.addfile(entry)
    data = buffer.getvalue()
    digest = hashlib.sha256(data).hexdigest()
    config = json.dumps(
        {
            "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
            "os": "linux",
            "config": {"Entrypoint": list(entrypoint) or None, "Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        }
    ).encode()
    named = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = [{"Config": named, "RepoTags": [tag], "Layers": [f"{digest}/layer.tar"]}]
    with tarfile.open(archive, "w") as out:
        for name, content in (
            (named, config),
            (f"{digest}/layer.tar", data),
            ("manifest.json", json.dumps(manifest).encode()),
        ):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            out.addfile(info, io.BytesIO(content))


def pack_busybox(archive: Path, tag: str) -> None:
    """An image with a shell and small tools, for pods that show something.

    Args:
        archive: The file to write.
        tag: The image's name.
    """
    listed = subprocess.run(["/bin/busybox", "--list"], capture_output=True, text=True, check=True)
    tools = [tool for tool in listed.stdout.split() if tool != "busybox"]
    links = {f"/bin/{tool}": "busybox" for tool in tools}
    pack(archive, tag, {"/bin/busybox": Path("/bin/busybox")}, links=links)
