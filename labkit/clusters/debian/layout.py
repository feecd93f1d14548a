"""Where the cluster keeps what is its own, and the addresses that it uses: one cluster a machine."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from labkit.engines import places


@dataclass(frozen=True)
class Layout:
    """The cluster's places.

    Attributes:
        programs: The folder of Kubernetes' programs.
        run: What is gone when the cluster is down: sockets, pids, pods' volumes.
        kept: What stays: objects, images, certificates, logs.
    """

    programs: Path = field(default_factory=lambda: places.cache("kubernetes") / "bin")
    run: Path = field(default_factory=lambda: places.running("kubernetes"))
    kept: Path = field(default_factory=lambda: places.kept("kubernetes"))

    # Below the ports that systems give out for connections, where anybody may sit.
    api_port = 16443
    etcd_ports = (16379, 16380)
    controller_port = 16257
    scheduler_port = 16259
    kubelet_ports = (16250, 16248)
    proxy_ports = (16249, 16256)
    services = "10.232.0.0/24"
    first_service = "10.232.0.1"
    pods = "10.231.0.0/24"
    bridge = "mlworkbook1"
    group = "kubepods"
    node = "localhost"

    @property
    def server(self) -> str:
        """Where the API answers."""
        return f"https://127.0.0.1:{self.api_port}"

    @property
    def pki(self) -> Path:
        """The folder of certificates and tokens."""
        return self.kept / "pki"

    @property
    def logs(self) -> Path:
        """The folder of what the programs print."""
        return self.kept / "logs"

    @property
    def images(self) -> Path:
        """The folder that is containerd's own."""
        return self.kept / "containerd"

    @property
    def socket(self) -> Path:
        """Where containerd answers."""
        return self.run / "containerd.sock"

    def kubeconfig(self, who: str = "admin") -> Path:
        """The kubeconfig of a person or a program."""
        return self.kept / f"{who}.kubeconfig"
