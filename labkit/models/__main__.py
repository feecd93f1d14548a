"""`python -m labkit.models` makes the models that are missing."""

from labkit.models import reader
from labkit.models.store import models_folder, prepare

prepare(models_folder() / "digits")
reader.prepare(models_folder() / "reader")
