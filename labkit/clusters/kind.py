"""A cluster made by kind: Kubernetes' nodes as containers of this machine's Docker."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kubernetes.client
import kubernetes.config
import urllib3.exceptions
import yaml

from labkit import debian
from labkit.clusters.base import Capabilities
from labkit.engines import places
from labkit.errors import Unavailable
from labkit.verdicts import Tier

INSTALL = "Install kind (https://kind.sigs.k8s.io; Debian 13: apt install kind) and Docker."
GPU_LABELS = {"node.kubernetes.io/instance-type": "p3.2xlarge", "nvidia.com/gpu.present": "true"}
"""As the nodes of a cloud's GPU pool are labelled, so that selectors written for one fit here."""
_READY = "180s"
_SECONDS = 900.0


def config() -> dict[str, Any]:
    """The cluster that is asked for: a control plane, a worker, and one labelled as a GPU node."""
    worker = {"role": "worker", "labels": GPU_LABELS}
    return {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "nodes": [{"role": "control-plane"}, {"role": "worker"}, worker],
    }


class KindCluster:
    """A cluster of kind's, made and deleted with its own command.

    Its second worker carries a GPU node's labels and advertises one `nvidia.com/gpu`, which nothing stands
    behind: pods that ask for one are scheduled there, and find no device.

    Args:
        label: The cluster's name among kind's.
        image: The node image; kind's own by default.
        say: Told in a sentence what is done.
    """

    name = "kind"

    def __init__(
        self, label: str = "workbook", image: str = "", say: Callable[[str], None] = debian.say_on_stderr
    ) -> None:
        self.label, self.image, self.say = label, image, say

    @property
    def kubeconfig(self) -> Path:
        """The file that kubectl and the clients take."""
        return places.kept("kind") / f"{self.label}.kubeconfig"

    @property
    def capabilities(self) -> Capabilities:
        """What can be done on it: all but metrics, which need a metrics server."""
        return Capabilities(Tier.LOCAL, containers=True, metrics=False, apply_on_server=True)

    def up(self) -> bool:
        """Create it unless it is there; gives whether it was created.

        Raises:
            Unavailable: There is no kind here, or it failed.
        """
        self.kubeconfig.parent.mkdir(parents=True, exist_ok=True)
        if self._is_there():
            self._run("export", "kubeconfig", "--name", self.label, "--kubeconfig", self.kubeconfig)
            return False
        wanted = self.kubeconfig.with_suffix(".yaml")
        wanted.write_text(yaml.safe_dump(config()))
        self.say("Creating a cluster with kind; the first time it pulls its node image.")
        create: list[str | Path] = ["create", "cluster", "--name", self.label, "--config", wanted]
        create += ["--kubeconfig", self.kubeconfig, "--wait", _READY]
        self._run(*create, *(["--image", self.image] if self.image else []))
        self._advertise()
        return True

    def down(self, *, purge: bool = False) -> bool:
        """Delete it; gives whether there was anything to delete.

        Args:
            purge: Nothing more: a deleted cluster keeps nothing.
        """
        if shutil.which("kind") is None or not self._is_there():
            return False
        self._run("delete", "cluster", "--name", self.label, "--kubeconfig", self.kubeconfig)
        for path in (self.kubeconfig, self.kubeconfig.with_suffix(".yaml")):
            path.unlink(missing_ok=True)
        return True

    def load_image(self, tag: str) -> None:
        """Give its nodes an image of this machine's Docker.

        Raises:
            Unavailable: kind does not take it.
        """
        self._run("load", "docker-image", tag, "--name", self.label)

    def _is_there(self) -> bool:
        return self.label in self._run("get", "clusters").split()

    def _advertise(self) -> None:
        """Have the GPU-labelled node offer a GPU, as a device plugin would."""
        patch = {"status": {"capacity": {"nvidia.com/gpu": "1"}, "allocatable": {"nvidia.com/gpu": "1"}}}
        try:
            client = kubernetes.config.new_client_from_config(str(self.kubeconfig))  # type: ignore[no-untyped-call]
            core = kubernetes.client.CoreV1Api(client)
            for node in core.list_node(label_selector="nvidia.com/gpu.present=true").items:
                if node.metadata is not None and node.metadata.name:
                    core.patch_node_status(node.metadata.name, patch)
        except (kubernetes.client.ApiException, urllib3.exceptions.HTTPError, OSError) as error:
            raise Unavailable(
                "The cluster that kind created does not answer.",
                why=str(error).splitlines()[0][:200],
                next_step="Take it away with: workbook down cluster --backend kind.",
            ) from error

    def _run(self, *arguments: str | Path) -> str:
        command = ["kind", *map(str, arguments)]
        try:
            ran = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
        except FileNotFoundError:
            raise Unavailable("There is no kind on PATH.", next_step=INSTALL) from None
        except subprocess.TimeoutExpired:
            raise Unavailable(f"`kind {arguments[0]}` did not end in {_SECONDS / 60:.0f} minutes.") from None
        if ran.returncode:
            lines = [line for line in ran.stderr.splitlines() if line.strip()]
            raise Unavailable(
                f"`kind {' '.join(map(str, arguments[:2]))}` failed.",
                why=" / ".join(lines[-2:])[-300:],
                next_step="See that Docker runs: docker info.",
            )
        return ran.stdout
