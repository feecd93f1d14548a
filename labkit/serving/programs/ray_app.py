"""Ray Serve's side: a deployment of as many replicas as the deployment has workers."""

import json
import os
import time

import numpy as np
import ray
from ray import serve
from serving import SETTINGS, BadInput, checked, field, load_handler
from starlette.requests import Request
from starlette.responses import JSONResponse


@serve.deployment(
    num_replicas=SETTINGS["workers"],
    max_ongoing_requests=max(100, 2 * SETTINGS["batch_size"]),
    ray_actor_options={"num_cpus": 0.1},
)
class ServedModel:
    """The model, as Ray Serve wants it."""

    def __init__(self) -> None:
        self._handler = load_handler()

    @serve.batch(
        max_batch_size=max(1, SETTINGS["batch_size"]),
        batch_wait_timeout_s=SETTINGS["batch_delay_ms"] / 1000,
    )
    async def _predict(self, rows: list) -> list:
        """Answer the requests that Ray has put together."""
        answers = self._handler.predict(np.concatenate(rows))
        return np.split(answers, np.cumsum([len(each) for each in rows])[:-1])

    async def __call__(self, request: Request) -> JSONResponse:
        """Answer POST /predict."""
        try:
            value = json.loads(await request.body())
        except (ValueError, RecursionError):
            return JSONResponse({"detail": "the body is not JSON"}, 422)
        try:
            rows = checked(field(value, "features"))
        except BadInput as error:
            return JSONResponse({"detail": str(error)}, 422)
        if SETTINGS["batch_size"] > 1:
            answers = await self._predict(rows)
        else:
            answers = self._handler.predict(rows)
        return JSONResponse({"prediction": answers.tolist()})


if __name__ == "__main__":
    ray.init(
        include_dashboard=False,
        num_cpus=os.cpu_count(),
        object_store_memory=80 << 20,
        logging_level="warning",
        log_to_driver=False,
        _node_ip_address="127.0.0.1",
    )
    serve.start(http_options={"host": "127.0.0.1", "port": SETTINGS["port"]})
    serve.run(ServedModel.bind(), route_prefix="/predict")
    while True:
        time.sleep(3600)
