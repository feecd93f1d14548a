"""Seldon Core 1's side; it looks for a class with the name of the module."""  # noqa: N999

from seldon_core.flask_utils import SeldonMicroserviceException
from serving import BadInput, checked, load_handler


class ServedModel:
    """The model, as Seldon Core wants it."""

    def load(self) -> None:
        """Called once in each worker, before the first request."""
        self._handler = load_handler()

    def predict(self, rows, names, meta=None):
        """Answer one request."""
        try:
            return self._handler.predict(checked(rows))
        except BadInput as error:
            raise SeldonMicroserviceException(str(error), status_code=400) from error
