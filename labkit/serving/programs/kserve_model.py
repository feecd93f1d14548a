"""KServe's side: a custom model, asked by V1 (a dict) or V2 (an InferRequest)."""

import argparse
from uuid import uuid4

from kserve import InferOutput, InferResponse, Model, ModelServer, model_server
from kserve.errors import InvalidInput
from serving import MODEL, BadInput, checked, field, load_handler


class ServedModel(Model):
    """The model, as KServe wants it."""

    def load(self) -> bool:
        """Load it; KServe tells by `ready` whether it may be asked."""
        self._handler = load_handler()
        self.ready = True
        return self.ready

    def predict(self, payload, headers=None, response_headers=None):
        """Answer in the protocol of the question."""
        try:
            if isinstance(payload, dict):
                rows = checked(field(payload, "instances"))
                return {"predictions": self._handler.predict(rows).tolist()}
            rows = checked(payload.inputs[0].as_numpy())
        except (BadInput, IndexError) as error:
            raise InvalidInput(str(error)) from error
        answers = self._handler.predict(rows)
        output = InferOutput(name="outputs", shape=list(answers.shape), datatype="FP32")
        output.set_data_from_numpy(answers, binary_data=False)
        return InferResponse(
            response_id=payload.id or str(uuid4()), model_name=self.name, infer_outputs=[output]
        )


if __name__ == "__main__":
    argparse.ArgumentParser(parents=[model_server.parser]).parse_args()
    model = ServedModel(MODEL)
    model.load()
    ModelServer().start([model])
