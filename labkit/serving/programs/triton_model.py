"""Triton's side, for its Python backend: it hands over the requests of a batch."""

import os
import sys

import numpy as np
import triton_python_backend_utils as pb_utils

sys.path.insert(0, os.environ["WORKBOOK_FOLDER"])

from serving import BadInput, checked, load_handler


class TritonPythonModel:
    """The model, as Triton's Python backend wants it."""

    def initialize(self, args) -> None:
        """Called once in each instance."""
        self._handler = load_handler()

    def execute(self, requests) -> list:
        """Answer a batch; a request that is wrong spoils no other."""
        rows, responses = [], []
        for request in requests:
            try:
                rows.append(checked(pb_utils.get_input_tensor_by_name(request, "inputs").as_numpy()))
                responses.append(None)
            except BadInput as error:
                wrong = pb_utils.TritonError(str(error), pb_utils.TritonError.INVALID_ARG)
                responses.append(pb_utils.InferenceResponse(error=wrong))
        if rows:
            answers = self._handler.predict(np.concatenate(rows))
            parts = iter(np.split(answers, np.cumsum([len(each) for each in rows])[:-1]))
        return [
            pb_utils.InferenceResponse([pb_utils.Tensor("outputs", next(parts))]) if each is None else each
            for each in responses
        ]
