"""The predictor: KServe's model server with a model of our own, asked by V1 and by V2."""

import argparse
from uuid import uuid4

import numpy as np
import trainer
from kserve import InferOutput, InferResponse, Model, ModelServer, model_server
from kserve.errors import InvalidInput


def checked(rows):
    """Rows of six finite numbers."""
    try:
        rows = np.asarray(rows, dtype=float)
    except (TypeError, ValueError):
        raise InvalidInput("the rows are not numbers") from None
    if rows.ndim != 2 or rows.shape[1] != 6 or not len(rows) or not np.isfinite(rows).all():
        raise InvalidInput("rows of six finite numbers are wanted")
    return rows


class Predictor(Model):
    """Scores of the three conditions for rows of six readings."""

    def load(self):
        """Read the model; the server says that it is ready when that is done."""
        self.model = trainer.load("model.npz")
        self.ready = True
        return self.ready

    def predict(self, payload, headers=None, response_headers=None):
        """V1 comes as a dict, V2 as an InferRequest; each is answered in its own form."""
        if True:
            payload = payload if isinstance(payload, dict) else payload.to_rest()
            rows = checked(payload.get("instances"))
            return {"predictions": trainer.scores(self.model, rows).tolist()}
        if not payload.inputs:
            raise InvalidInput("there is no input")
        scores = trainer.scores(self.model, checked(payload.inputs[0].as_numpy())).astype(np.float32)
        output = InferOutput(name="scores", shape=list(scores.shape), datatype="FP32")
        output.set_data_from_numpy(scores, binary_data=False)
        return InferResponse(
            response_id=payload.id or str(uuid4()), model_name=self.name, infer_outputs=[output]
        )


if __name__ == "__main__":
    argparse.ArgumentParser(parents=[model_server.parser]).parse_args()
    model = Predictor("model")
    model.load()
    ModelServer().start([model])
