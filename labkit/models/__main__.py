"""`python -m labkit.models` makes the models that are missing."""

from labkit.models.store import models_folder, prepare

prepare(models_folder() / "digits")
