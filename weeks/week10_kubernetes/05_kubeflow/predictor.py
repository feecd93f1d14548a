"""The predictor: KServe's model server with a model of our own, asked by V1 and by V2."""

import argparse

import trainer
from kserve import InferOutput, InferResponse, Model, ModelServer, model_server  # noqa: F401 (you need them)
from kserve.errors import InvalidInput  # noqa: F401


class Predictor(Model):
    """Scores of the three conditions for rows of six readings."""

    def load(self):
        """Read the model; the server says that it is ready when that is done."""
        self.model = trainer.load("model.npz")
        self.ready = True
        return self.ready

    def predict(self, payload, headers=None, response_headers=None):
        """V1 comes as a dict, V2 as an InferRequest; each is answered in its own form.

        trainer.scores(self.model, rows) gives the scores. Raise InvalidInput for what the asker did wrong.
        """
        raise NotImplementedError


if __name__ == "__main__":
    argparse.ArgumentParser(parents=[model_server.parser]).parse_args()
    model = Predictor("model")
    model.load()
    ModelServer().start([model])
