"""kubectl in one namespace of a cluster; what it refuses is said in its own words."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from labkit.errors import WorkbookError, WorkFault

PROGRAM = Path(sys.executable).with_name("kubectl")
SECONDS = 90
_GONE = ("The connection to the server", "Unable to connect to the server")
"""What kubectl says when nobody answers: no manifest is to blame for that."""


class Kubectl:
    """Runs kubectl: `Kubectl(cluster.kubeconfig, "lab")("get", "pods")`.

    Args:
        kubeconfig: Of the cluster.
        namespace: Where.
    """

    def __init__(self, kubeconfig: Path, namespace: str) -> None:
        self.kubeconfig, self.namespace = kubeconfig, namespace

    def __call__(self, *arguments: str, stdin: str | None = None) -> str:
        """What it prints.

        Raises:
            WorkFault: It refused, or took longer than `SECONDS`.
            WorkbookError: The cluster does not answer.
        """
        command = [str(PROGRAM), f"--kubeconfig={self.kubeconfig}", "-n", self.namespace, *arguments]
        said = " ".join(("kubectl", *arguments[:3]))
        try:
            done = subprocess.run(
                command, input=stdin or "", capture_output=True, text=True, timeout=SECONDS, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise WorkFault(f"{said} did not end within {SECONDS} s.") from error
        if done.returncode and any(words in done.stderr for words in _GONE):
            raise WorkbookError(
                "The cluster does not answer.",
                why=f"{said}: {' '.join(done.stderr.split())[:200]}",
                next_step="`workbook up cluster` starts it; then run this again.",
            )
        if done.returncode:
            raise WorkFault(f"{said}: {' '.join(done.stderr.split())[:400]}")
        return done.stdout.strip()

    def apply(self, manifest: str | dict[str, Any] | list[dict[str, Any]]) -> str:
        """`kubectl apply -f -` with YAML, or with objects."""
        if not isinstance(manifest, str):
            objects = manifest if isinstance(manifest, list) else [manifest]
            manifest = "\n---\n".join(json.dumps(one) for one in objects)
        return self("apply", "-f", "-", stdin=manifest)

    def get(self, *what: str) -> dict[str, Any]:
        """`kubectl get ... -o json`."""
        found: dict[str, Any] = json.loads(self("get", *what, "-o", "json"))
        return found

    def config_map(self, name: str, *files: Path, **texts: str) -> None:
        """A ConfigMap of files and texts, made or replaced."""
        data = {path.name: path.read_text() for path in files} | texts
        self.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})

    def address(self, service: str, port: int = 8080) -> str:
        """Where this machine reaches a Service, `http://10.96.0.5:8080`."""
        spec = self.get("service", service)["spec"]
        return f"http://{spec['clusterIP']}:{port}"
