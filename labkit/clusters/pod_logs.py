"""What a pod says, read while it says it: when it is gone, its log is, too."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from labkit.clusters.kubectl import PROGRAM, Kubectl


class PodLog:
    """Follows a pod's log until the pod ends or it is closed; a context manager.

    Args:
        kubectl: Of its cluster and namespace.
        pod: Its name; its container has started already.
        program: kubectl itself.

    Attributes:
        lines: When each line was written, and the line.
    """

    def __init__(self, kubectl: Kubectl, pod: str, *, program: Path = PROGRAM) -> None:
        self.lines: list[tuple[datetime, str]] = []
        where = [f"--kubeconfig={kubectl.kubeconfig}", "-n", kubectl.namespace]
        self._process = subprocess.Popen(
            [str(program), *where, "logs", "-f", "--timestamps", pod],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
        )
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            moment, _, text = line.rstrip("\n").partition(" ")
            with suppress(ValueError):  # a part of a line, as when the pod was killed while it wrote
                self.lines.append((datetime.fromisoformat(moment), text))

    @property
    def said(self) -> list[dict[str, Any]]:
        """The lines that are objects of JSON."""
        return [one for _, one in self.timed()]

    def timed(self) -> list[tuple[datetime, dict[str, Any]]]:
        """The same with the moment of each."""
        found = []
        for moment, text in list(self.lines):
            with suppress(ValueError, RecursionError):
                said = json.loads(text)
                if isinstance(said, dict):
                    found.append((moment, said))
        return found

    def wait_for(self, step: int, seconds: float) -> bool:
        """Wait until it has said `{"step": N}` with at least that number; says whether it has."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if any(isinstance(one.get("step"), int) and one["step"] >= step for one in self.said):
                return True
            if not self._thread.is_alive():
                return False
            time.sleep(0.1)
        return False

    def close(self, seconds: float = 2.0) -> None:
        """Read what is left, for so long at most, and end."""
        self._thread.join(timeout=seconds)
        self._process.kill()
        self._process.wait()
        self._thread.join(timeout=5)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def __enter__(self) -> PodLog:
        """It follows already."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        self.close()
