"""BentoML's side: a service with one method."""

import bentoml
import numpy as np
from bentoml.exceptions import BadInput as Refused
from serving import SETTINGS, BadInput, checked, load_handler

BATCHING = (
    {"batchable": True, "max_batch_size": SETTINGS["batch_size"], "max_latency_ms": 10_000}
    if SETTINGS["batch_size"] > 1
    else {}
)


@bentoml.service(workers=SETTINGS["workers"], traffic={"timeout": 30})
class ServedModel:
    """The model, as BentoML wants it."""

    def __init__(self) -> None:
        self._handler = load_handler()

    @bentoml.api(route="/predict", **BATCHING)
    def predict(self, features: np.ndarray) -> np.ndarray:
        """Answer one request, or several that BentoML has put together."""
        try:
            return self._handler.predict(checked(features))
        except BadInput as error:
            raise Refused(str(error)) from error
