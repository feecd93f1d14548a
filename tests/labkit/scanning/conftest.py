"""Small images written by hand, so that scanners are tried without an engine."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile

import pytest

from labkit import scanning
from labkit.errors import Unavailable


@pytest.fixture(scope="session", autouse=True)
def scanners():
    try:
        scanning.ready()
    except Unavailable as lacking:
        pytest.skip(str(lacking))


@pytest.fixture
def image(tmp_path):
    """Writes an image of these layers, each a mapping of paths to contents, as `docker save` does."""

    def write(*layers, environment=()):
        packed = [_tar(layer) for layer in layers]
        configuration = {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Env": list(environment)},
            "rootfs": {
                "type": "layers",
                "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in packed],
            },
            "history": [{"created_by": f"COPY {number}"} for number in range(len(packed))],
        }
        names = [f"{number}/layer.tar" for number in range(len(packed))]
        manifest = [{"Config": "config.json", "RepoTags": ["a:b"], "Layers": names}]
        members = dict(zip(names, packed, strict=True))
        members["config.json"] = json.dumps(configuration).encode()
        members["manifest.json"] = json.dumps(manifest).encode()
        path = tmp_path / "image.tar"
        path.write_bytes(_tar(members))
        return path

    return write


def _tar(files):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()
