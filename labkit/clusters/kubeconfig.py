"""Any cluster that a kubeconfig names: EKS, GKE, minikube, kind; used as it is, never started or stopped."""

from __future__ import annotations

import os
from pathlib import Path

import kubernetes.client
import kubernetes.config
import urllib3.exceptions

from labkit.clusters.base import Capabilities
from labkit.errors import Unavailable
from labkit.verdicts import Tier

ANSWER_SECONDS = 10


class KubeconfigCluster:
    """The cluster of a kubeconfig's current context.

    Args:
        path: The file; by default what KUBECONFIG names, else ~/.kube/config.
    """

    name = "kubeconfig"

    def __init__(self, path: Path | None = None) -> None:
        named = os.environ.get("KUBECONFIG", "").split(os.pathsep)[0]
        self._path = path or (Path(named) if named else Path.home() / ".kube" / "config")

    @property
    def kubeconfig(self) -> Path:
        """The file that kubectl and the clients take."""
        return self._path

    @property
    def capabilities(self) -> Capabilities:
        """What can be done on it."""
        return Capabilities(Tier.REAL, containers=True, metrics=False, apply_on_server=True)

    def up(self) -> bool:
        """See that it answers.

        Raises:
            Unavailable: It does not.
        """
        if not self._path.is_file():
            raise Unavailable(
                f"There is no kubeconfig at {self._path}.",
                next_step="Name one with KUBECONFIG, or use the embedded cluster: workbook up cluster.",
            )
        try:
            client = kubernetes.config.new_client_from_config(str(self._path))  # type: ignore[no-untyped-call]
            kubernetes.client.VersionApi(client).get_code(_request_timeout=ANSWER_SECONDS)
        except (
            kubernetes.config.ConfigException,
            kubernetes.client.ApiException,
            urllib3.exceptions.HTTPError,
            OSError,
            ValueError,
        ) as error:
            raise Unavailable(
                f"The cluster of {self._path} does not answer.",
                why=str(error).splitlines()[0][:300] if str(error) else "",
                next_step="Check it with: kubectl cluster-info.",
            ) from error
        return False

    def down(self, *, purge: bool = False) -> bool:
        """Leave it as it is: it is somebody's own."""
        return False

    def load_image(self, tag: str) -> None:
        """Not possible: such a cluster pulls from a registry.

        Raises:
            Unavailable: Always.
        """
        raise Unavailable(
            f"{tag} can't be handed to this cluster.",
            why="It takes images from a registry.",
            next_step="Push the image to a registry that it reads, and name it so in the manifest.",
        )
