"""TorchServe's side: it hands over a list of requests and wants a list of answers, in order."""

import json
import os
import sys

import numpy as np

sys.path.insert(0, os.environ["WORKBOOK_FOLDER"])

from serving import BadInput, checked, field, load_handler


class ServedModel:
    """The model, as a TorchServe handler."""

    def initialize(self, context) -> None:
        """Called once in each worker."""
        self._handler = load_handler()

    def handle(self, data, context) -> list:
        """Answer a batch; a request that is wrong spoils no other."""
        rows = [self._rows(each, number, context) for number, each in enumerate(data)]
        good = [each for each in rows if isinstance(each, np.ndarray)]
        answers = iter(
            np.split(
                self._handler.predict(np.concatenate(good)), np.cumsum([len(each) for each in good])[:-1]
            )
            if good
            else []
        )
        return [
            json.dumps({"prediction": next(answers).tolist()}) if isinstance(each, np.ndarray) else each
            for each in rows
        ]

    def _rows(self, request, number: int, context):
        """The rows of a request, or what to answer to a wrong one."""
        body = request.get("body", request.get("data"))
        try:
            if isinstance(body, bytes | bytearray):
                body = json.loads(body)
            return checked(field(body, "features"))
        except (BadInput, ValueError) as error:
            context.set_response_status(code=400, phrase="bad input", idx=number)
            return json.dumps({"detail": str(error)})
