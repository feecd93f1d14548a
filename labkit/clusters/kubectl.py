"""kubectl itself, for what a person would do with it; its own words when it refuses."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labkit.errors import Unavailable, WorkFault


@dataclass(frozen=True)
class Kubectl:
    """kubectl for one cluster and one namespace.

    Attributes:
        kubeconfig: The cluster.
        namespace: Where objects go that name none.
    """

    kubeconfig: Path
    namespace: str = "default"

    def __call__(self, *words: str, given: str | None = None, seconds: float = 60) -> str:
        """Run a command; gives what it printed.

        Args:
            words: The command and its options, `get`, `pods`.
            given: What it reads as `-f -`.
            seconds: After which it is ended.

        Raises:
            WorkFault: It refuses, or does not end in time; the message has its last words.
            Unavailable: There is no kubectl here.
        """
        beside = Path(sys.executable).with_name("kubectl")
        program = str(beside) if beside.is_file() else shutil.which("kubectl")
        if program is None:
            raise Unavailable("There is no kubectl here.", next_step="`make setup` brings it.")
        command = [program, f"--kubeconfig={self.kubeconfig}", f"--namespace={self.namespace}", *words]
        environment = {**os.environ, "KUBECACHEDIR": str(self.kubeconfig.parent / "kubectl-cache")}
        shown = f"kubectl {' '.join(words[:3])}"
        try:
            ran = subprocess.run(
                command,
                input=given,
                capture_output=True,
                text=True,
                timeout=seconds,
                check=False,
                env=environment,
            )
        except subprocess.TimeoutExpired as error:
            raise WorkFault(f"`{shown}` did not end within {seconds:.0f} s.") from error
        if ran.returncode:
            said = [line for line in ran.stderr.splitlines() if line.strip()]
            raise WorkFault(f"`{shown}` was refused.", why=" ".join(said[-3:])[:500])
        return ran.stdout

    def apply(self, objects: Sequence[dict[str, Any]]) -> None:
        """Apply objects.

        Raises:
            WorkFault: The cluster refuses one.
        """
        self("apply", "-f", "-", given=_documents(objects))

    def delete(self, objects: Sequence[dict[str, Any]]) -> None:
        """Delete objects, and wait until they are gone; harmless for those that are gone."""
        self("delete", "--ignore-not-found", "-f", "-", given=_documents(objects))

    def get(self, kind: str, name: str = "", *, selector: str = "") -> Any:
        """An object, or the list of all of a kind.

        Raises:
            WorkFault: There is none of that name.
        """
        words = [*([name] if name else []), *([f"--selector={selector}"] if selector else [])]
        found = json.loads(self("get", kind, *words, "-o", "json"))
        return found if name else found["items"]


def _documents(objects: Sequence[dict[str, Any]]) -> str:
    return "\n---\n".join(json.dumps(each) for each in objects)


def wait_until(holds: Callable[[], bool], *, seconds: float, every: float = 0.2) -> bool:
    """Wait until a condition holds; gives whether it did in time."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(every)
    return True
