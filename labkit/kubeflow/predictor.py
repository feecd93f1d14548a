"""A learner's predictor.py, served by KServe's model server on this machine."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from labkit.errors import WorkFault
from labkit.processes import Process
from labkit.serving.backends.kserve import KServeServer
from labkit.serving.base import Endpoint
from labkit.serving.caller import Caller
from labkit.serving.deployment import Signature
from labkit.serving.framework import Place, listens, reason
from labkit.serving.protocols import DIALECTS

SIGNATURE = Signature(width=6, outputs=3)
_TAKEN = (".py", ".npz")


class Predictor(KServeServer):
    """KServe with the learner's own model class; both protocols, whatever it does with them.

    `start(folder)` takes the folder that holds `predictor.py` and the files that it reads.
    """

    def __init__(self, *, log: Path | None = None, patience: float = 90.0) -> None:
        super().__init__(signature=SIGNATURE, log=log, patience=patience)

    def command(self, place: Place) -> Sequence[str | Path]:
        """The learner's program gets KServe's own arguments."""
        return [place.python, "predictor.py", *super().command(place)[2:]]

    def ask(self, endpoint: Endpoint, protocol: str) -> Caller:
        """A client for single requests in one protocol, `v1` or `v2`."""
        return Caller(endpoint, DIALECTS[protocol], self.signature)

    def _has_model(self, model: Path) -> None:
        if not (model / "predictor.py").is_file():
            raise WorkFault(f"There is no predictor.py in {model.name}.", next_step="Put the file back.")

    def _lay(self, place: Place, model: Path) -> None:
        place.folder.mkdir(parents=True)
        for path in model.iterdir():
            if path.suffix in _TAKEN and path.is_file() and not path.is_symlink():
                shutil.copyfile(path, place.folder / path.name)

    def _wait_for_an_answer(self, process: Process, endpoint: Endpoint) -> None:
        """Wait until it listens: whether it answers rightly is what is to be found out."""
        while process.seconds < self.patience:
            if process.exit_code is not None:
                raise WorkFault(
                    f"predictor.py did not start: it ended with exit code {process.exit_code} "
                    f"after {process.seconds:.1f} s{reason(process)}."
                )
            if listens(endpoint):
                return
            time.sleep(0.05)
        raise WorkFault(f"predictor.py did not listen within {self.patience:.0f} s{reason(process)}.")
