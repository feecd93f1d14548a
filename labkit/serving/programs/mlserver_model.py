"""MLServer's side: a custom model."""

from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.errors import InferenceError
from mlserver.types import InferenceRequest, InferenceResponse
from serving import BadInput, checked, load_handler


class ServedModel(MLModel):
    """The model, as MLServer wants it."""

    async def load(self) -> bool:
        """Load it."""
        self._handler = load_handler()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Answer one request, or several that MLServer has put together."""
        try:
            rows = checked(NumpyCodec.decode_input(payload.inputs[0]))
        except (BadInput, ValueError, IndexError) as error:
            raise InferenceError(str(error)) from error
        output = NumpyCodec.encode_output("outputs", self._handler.predict(rows))
        return InferenceResponse(model_name=self.name, outputs=[output])
