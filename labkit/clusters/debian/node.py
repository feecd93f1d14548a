"""The node: containerd, kubelet and kube-proxy; pods are containers in a network of their own."""

from __future__ import annotations

import json
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from labkit.clusters.debian import control, images
from labkit.clusters.debian.layout import Layout
from labkit.clusters.debian.members import Members
from labkit.errors import Unavailable

MEMBERS = ("kube-proxy", "kubelet", "containerd")
"""In the order in which they are ended."""
PAUSE = "localhost/pause:1"
_SECONDS = 90.0


def start(layout: Layout, members: Members) -> None:
    """Start the container runtime and have it know the image that every pod begins with.

    Raises:
        Unavailable: It did not start.
    """
    settings = layout.kept / "node"
    (settings / "cni").mkdir(parents=True, exist_ok=True)
    (settings / "containerd.toml").write_text(_containerd(layout, settings))
    (settings / "kubelet.yaml").write_text(yaml.safe_dump(_kubelet(layout)))
    (settings / "cni/workbook.conflist").write_text(json.dumps(_network(layout)))
    members.start("containerd", ["containerd", "-c", settings / "containerd.toml"])
    members.until(30, "its answer", "containerd", lambda: ctr(layout, "version").returncode == 0)
    if PAUSE not in ctr(layout, "images", "ls", "-q").stdout.split():
        archive = layout.run / "pause.tar"
        images.pack(archive, PAUSE, {"/catatonit": Path("/usr/bin/catatonit")}, ["/catatonit", "-P"])
        import_image(layout, archive)
        archive.unlink()


def join(layout: Layout, members: Members) -> None:
    """Start what connects the node with the control plane."""
    settings = layout.kept / "node"
    members.start(
        "kubelet",
        [
            *(layout.programs / "kubelet", f"--kubeconfig={layout.kubeconfig('kubelet')}"),
            *(f"--config={settings / 'kubelet.yaml'}", "--container-runtime=remote"),
            *(f"--container-runtime-endpoint=unix://{layout.socket}", f"--root-dir={layout.run / 'kubelet'}"),
            *(f"--cert-dir={layout.pki / 'kubelet'}", f"--hostname-override={layout.node}"),
            *("--register-node=true", f"--pod-infra-container-image={PAUSE}"),
        ],
    )
    members.start(
        "kube-proxy",
        [
            *(layout.programs / "kube-proxy", f"--kubeconfig={layout.kubeconfig('proxy')}"),
            *("--proxy-mode=iptables", f"--hostname-override={layout.node}", "--oom-score-adj=0"),
            *(f"--cluster-cidr={layout.pods}", "--nodeport-addresses=127.0.0.0/8"),
            *("--conntrack-max-per-core=0", "--conntrack-tcp-timeout-established=0"),
            "--conntrack-tcp-timeout-close-wait=0",
            f"--metrics-bind-address=127.0.0.1:{layout.proxy_ports[0]}",
            f"--healthz-bind-address=127.0.0.1:{layout.proxy_ports[1]}",
        ],
    )


def settle(layout: Layout, members: Members, since: datetime) -> None:
    """Wait until the node takes pods.

    Args:
        layout: The cluster's places.
        members: Its programs.
        since: When it was started: what the API knows from an earlier life does not count.

    Raises:
        Unavailable: It did not become ready.
    """

    def is_ready() -> bool:
        status = (control.ask(layout, f"/api/v1/nodes/{layout.node}") or {}).get("status", {})
        ready = next((one for one in status.get("conditions") or () if one["type"] == "Ready"), None)
        if ready is None or ready["status"] != "True":
            return False
        return datetime.fromisoformat(ready["lastHeartbeatTime"].replace("Z", "+00:00")) >= since

    members.until(_SECONDS, "its node", "kubelet", is_ready)


def ctr(layout: Layout, *arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run containerd's own client in the namespace that holds the pods."""
    command = ["ctr", "-a", str(layout.socket), "-n", "k8s.io", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, **more)


def import_image(layout: Layout, archive: Any) -> None:
    """Give the node an image, from a path or an open file.

    Raises:
        Unavailable: It is not taken.
    """
    if isinstance(archive, Path):
        ran = ctr(layout, "images", "import", str(archive))
    else:
        ran = ctr(layout, "images", "import", "-", stdin=archive)
    if ran.returncode:
        raise Unavailable("The node did not take the image.", why=ran.stderr.strip()[-300:])


def _containerd(layout: Layout, settings: Path) -> str:
    unused = ", ".join(
        f'"io.containerd.snapshotter.v1.{name}"' for name in ("btrfs", "zfs", "devmapper", "aufs")
    )
    return f"""\
version = 2
root = "{layout.images}"
state = "{layout.run / "containerd"}"
# At or below what any machine allows: without CAP_SYS_RESOURCE it can't be lowered.
oom_score = 0
disabled_plugins = [{unused}]
[grpc]
  address = "{layout.socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{settings / "cni"}"
"""


def _kubelet(layout: Layout) -> dict[str, Any]:
    port, health = layout.kubelet_ports
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        **{"address": "127.0.0.1", "port": port, "readOnlyPort": 0},
        **{"healthzBindAddress": "127.0.0.1", "healthzPort": health},
        # Whoever is on this machine but has no certificate can't run anything in a pod.
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": False},
            "x509": {"clientCAFile": str(layout.pki / "ca.crt")},
        },
        "authorization": {"mode": "AlwaysAllow"},
        **{"cgroupDriver": "cgroupfs", "failSwapOn": False, "oomScoreAdj": 0, "maxOpenFiles": 4096},
        **{"makeIPTablesUtilChains": False, "resolvConf": "/etc/resolv.conf", "clusterDNS": []},
        **{"evictionHard": {"memory.available": "100Mi"}, "imageGCHighThresholdPercent": 100},
    }


def _network(layout: Layout) -> dict[str, Any]:
    ranges = [[{"subnet": layout.pods}]]
    addresses = {"type": "host-local", "dataDir": str(layout.run / "addresses"), "ranges": ranges}
    bridge = {
        **{
            "type": "bridge",
            "bridge": layout.bridge,
            "isGateway": True,
            "ipMasq": False,
            "hairpinMode": True,
        },
        "ipam": {**addresses, "routes": [{"dst": "0.0.0.0/0"}]},
    }
    return {"cniVersion": "0.3.1", "name": "workbook", "plugins": [bridge]}
