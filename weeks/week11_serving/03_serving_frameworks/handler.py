"""What every framework calls to get predictions. Left to you by somebody who was proud of how fast it is.

`Handler(folder, threads)` is made once in each worker. `predict` gets the rows of a request as an array
`(n, 784)`, or those of several requests put together, and gives their scores `(n, 10)` in the same order.
"""

from pathlib import Path

import numpy as np
import onnxruntime

SEEN = {}


class Handler:
    def __init__(self, folder: Path, threads: int) -> None:
        self.path = folder / "model.onnx"

    def predict(self, rows: np.ndarray) -> np.ndarray:
        scores = []
        for row in rows:
            key = int(row.sum())
            if key not in SEEN:
                session = onnxruntime.InferenceSession(self.path)
                SEEN[key] = session.run(None, {"images": row[None]})[0][0]
            scores.append(SEEN[key])
        return np.array(scores)
