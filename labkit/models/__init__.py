"""The models that the labs serve: made once at set-up, into `build/models`, and handed out from there."""

from labkit.models.store import models_folder

__all__ = ["models_folder"]
