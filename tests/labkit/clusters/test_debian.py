"""Kubernetes from Debian's source: how it is built with a compiler's stand-in, and, nightly, that it is gone after."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import tarfile
import urllib.request

import pytest

from labkit import debian
from labkit.clusters.debian import build, control, images, node, remains, source
from labkit.clusters.debian.build import PROGRAMS, Builder
from labkit.clusters.debian.cluster import DebianCluster
from labkit.clusters.debian.credentials import make
from labkit.clusters.debian.layout import Layout
from labkit.engines import machine
from labkit.errors import Unavailable
from labkit.processes import listening_ports

GO = """\
#!/bin/sh
# Writes what `go build -o PATH` writes, unless it is told to break.
echo "$@" >> {root}/asked
while [ "$1" != -o ]; do shift; done
[ ! -e {root}/broken ] || {{ echo "# k8s.io/kubernetes/cmd: no space left"; exit 1; }}
printf '#!/bin/sh\\nexit 0\\n' > "$2"; chmod +x "$2"
"""


@pytest.fixture
def builder(tmp_path, monkeypatch):
    """A builder whose source and compiler are stand-ins."""
    (tmp_path / "sdk/bin").mkdir(parents=True)
    tool = tmp_path / "sdk/bin/go"
    tool.write_text(GO.format(root=tmp_path))
    tool.chmod(0o755)
    monkeypatch.setattr(build, "_GO", tmp_path / "sdk")
    monkeypatch.setattr(debian, "ensure", lambda name, say: None)

    def fetch(folder, say):
        tree = folder / "go/src/k8s.io/kubernetes"
        (tree / "pkg/apis/core").mkdir(parents=True, exist_ok=True)
        (tree / "pkg/apis/core/doc.go").write_text("// +k8s:openapi-gen=true\npackage core\n")
        return tree

    monkeypatch.setattr(source, "fetch", fetch)
    said = []
    made = Builder(tmp_path / "cache", said.append)
    made.said = said
    return made


def asked(tmp_path):
    return [line.split()[-1] for line in (tmp_path / "asked").read_text().splitlines()]


def test_it_is_built_once_and_only_the_programs_stay(builder, tmp_path):
    assert builder.build()
    assert builder.done()
    assert asked(tmp_path)[1:] == [f"./cmd/{name}" for name in PROGRAMS]
    assert not builder.work.exists()
    assert not builder.build()


def test_a_build_that_broke_goes_on_where_it_was(builder, tmp_path):
    builder.programs.mkdir(parents=True)
    for name in PROGRAMS[:3]:
        (builder.programs / name).touch()
    (tmp_path / "broken").touch()
    builder.work.mkdir()
    (builder.work / "generated").touch()
    with pytest.raises(Unavailable, match=r"no space left.*the same command goes on from here"):
        builder.build()
    assert not builder.done()
    (tmp_path / "broken").unlink()
    assert builder.build()
    assert asked(tmp_path) == ["./cmd/kubelet", "./cmd/kubelet", "./cmd/kube-proxy"]


def test_too_little_room(builder, monkeypatch):
    monkeypatch.setattr(build, "_NEEDED_BYTES", 1 << 60)
    with pytest.raises(Unavailable, match="too little room"):
        builder.build()


def test_a_source_that_apt_can_t_fetch(tmp_path, monkeypatch):
    tool = tmp_path / "bin/apt-get"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\necho 'E: The repository is not signed.'; exit 100\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:{os.environ['PATH']}")
    with pytest.raises(Unavailable, match="The repository is not signed"):
        source.fetch(tmp_path / "work", lambda line: None)


def test_images_are_packed_as_docker_saves_them(tmp_path):
    (tmp_path / "file").write_text("content")
    images.pack(
        tmp_path / "i.tar", "localhost/x:1", {"/bin/x": tmp_path / "file"}, ["/bin/x"], {"/bin/y": "x"}
    )
    with tarfile.open(tmp_path / "i.tar") as archive:
        (manifest,) = json.load(archive.extractfile("manifest.json"))
        config = json.load(archive.extractfile(manifest["Config"]))
        with tarfile.open(fileobj=archive.extractfile(manifest["Layers"][0])) as layer:
            assert layer.getmember("bin/y").linkname == "x"
            assert layer.extractfile("bin/x").read() == b"content"
    assert manifest["RepoTags"] == ["localhost/x:1"]
    assert config["config"]["Entrypoint"] == ["/bin/x"]


def test_only_their_owner_reads_keys_and_tokens(tmp_path):
    layout = Layout(tmp_path / "bin", tmp_path / "run", tmp_path / "kept")
    make(layout)
    private = [*layout.pki.glob("*.key"), layout.pki / "tokens.csv", *layout.kept.glob("*.kubeconfig")]
    assert len(private) == 10
    assert {path.stat().st_mode & 0o077 for path in private} == {0}
    before = (layout.pki / "tokens.csv").read_text()
    make(layout)
    assert (layout.pki / "tokens.csv").read_text() == before
    said = subprocess.run(
        ["openssl", "verify", "-CAfile", layout.pki / "ca.crt", layout.pki / "apiserver.crt"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.strip().endswith("OK")


def test_rules_with_comments_are_taken_apart_as_words():
    line = '-A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD'
    assert remains._arguments(line)[5] == "kubernetes forwarding rules"


# ---- the real one ------------------------------------------------------------------------------------------


@pytest.mark.nightly
def test_it_comes_up_holds_pods_and_leaves_nothing(tmp_path):
    cluster = DebianCluster(lambda line: None)
    if machine.lacks() or not Builder().done():
        pytest.skip("Kubernetes is not built here: workbook up cluster --backend debian")
    settings = {
        name: (remains._PROC / name).read_text()
        for name in remains._SETTINGS
        if (remains._PROC / name).exists()
    }
    before = set(machine.links())
    cluster.up()
    try:
        assert not cluster.up()
        ours = list(remains._processes(cluster.layout))
        assert {control.MEMBERS[3], node.MEMBERS[1]} <= {process.name() for process in ours}
        assert listening_ports(ours)
        listening = {c.laddr.ip for p in ours for c in p.net_connections(kind="tcp") if c.status == "LISTEN"}
        assert listening == {"127.0.0.1"}
        # Nobody looks into pods, or runs anything in them, without the API server's certificate.
        kubelet = f"https://127.0.0.1:{cluster.layout.kubelet_ports[0]}/pods"
        trusting = ssl._create_unverified_context()
        with pytest.raises(OSError, match="401"):
            urllib.request.urlopen(kubelet, context=trusting, timeout=5)
    finally:
        assert cluster.down()
    assert remains.leftovers(cluster.layout) == []
    assert set(machine.links()) == before
    assert not cluster.layout.run.exists()
    assert {name: (remains._PROC / name).read_text() for name in settings} == settings
