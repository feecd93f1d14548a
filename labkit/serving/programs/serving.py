"""What every program here starts with: the deployment's settings, the model's handler, and what it takes."""

import json
import os
import sys
from pathlib import Path

import numpy as np

SETTINGS = json.loads(os.environ["SERVING"])
"""Those of the deployment, and `port`, `grpc_port`, `width`, `dtype` and `most_rows`."""

FOLDER = Path(os.environ["WORKBOOK_FOLDER"])
MODEL = "model"


class BadInput(ValueError):
    """The request holds no rows that the model takes; the message says why."""


def load_handler():
    """The handler that lies beside the model, ready to predict."""
    sys.path.insert(0, str(FOLDER / MODEL))
    from handler import Handler

    return Handler(FOLDER / MODEL, threads=SETTINGS["threads"])


def checked(rows) -> np.ndarray:
    """The rows of a request as an array `(n, width)`.

    Raises:
        BadInput: They are none, or too many, or not numbers.
    """
    try:
        array = np.array(rows)
        if array.dtype.kind not in "iuf":
            raise BadInput("rows hold numbers")
        array = array.astype(SETTINGS["dtype"], copy=False)
    except BadInput:
        raise
    except (ValueError, TypeError, OverflowError) as error:
        raise BadInput("rows of numbers, all of the same length, are expected") from error
    if array.ndim != 2 or array.shape[1] != SETTINGS["width"]:
        raise BadInput(f"rows of {SETTINGS['width']} numbers are expected, not the shape {array.shape}")
    if not 1 <= len(array) <= SETTINGS["most_rows"]:
        raise BadInput(f"a request holds 1 to {SETTINGS['most_rows']} rows, not {len(array)}")
    if not np.isfinite(array).all():
        raise BadInput("every number has to be finite")
    return array


def field(value, name: str):
    """A field of a JSON object.

    Raises:
        BadInput: It is no object, or has no such field.
    """
    if not isinstance(value, dict) or name not in value:
        raise BadInput(f'an object with "{name}" is expected')
    return value[name]
