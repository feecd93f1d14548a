"""The handler that serves `model.onnx` where a deployment brings none of its own."""

from pathlib import Path

import numpy as np
import onnxruntime


class Handler:
    """The network, run by ONNX Runtime.

    Args:
        folder: Holds `model.onnx`.
        threads: With which one prediction is computed.
    """

    def __init__(self, folder: Path, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Threads that wait spinning would take the cores from the server itself.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            folder / "model.onnx", options, providers=["CPUExecutionProvider"]
        )
        self._input = self._session.get_inputs()[0].name

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """The answers `(n, outputs)` to rows `(n, width)`."""
        return self._session.run(None, {self._input: rows})[0]
