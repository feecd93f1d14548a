"""Answers that a notebook works out and hands over as plain numbers and texts."""

from __future__ import annotations

import json
import os
from pathlib import Path

from labkit.errors import WorkbookError

Plain = bool | int | float | str | None


def record(lab_folder: str | Path, **answers: Plain) -> None:
    """Write answers into `answers.json` in the lab's folder, beside those that are there.

    Args:
        lab_folder: The lab's folder beside the notebook, `01_fastapi_server`.
        answers: Plain values by name.

    Raises:
        WorkbookError: There is no such folder here, or a value is not plain.
    """
    folder = Path(lab_folder)
    if not folder.is_dir():
        raise WorkbookError(
            f"There is no folder {folder} here.",
            why=f"This notebook runs in {Path.cwd()}.",
            next_step="Open the notebook from the workbook's own folder and run the cell again.",
        )
    file = folder / "answers.json"
    try:
        known = json.loads(file.read_text())
    except (OSError, ValueError):
        known = {}
    for name, value in answers.items():
        if not isinstance(value, Plain):
            raise WorkbookError(
                f"{name} is a {type(value).__name__}.",
                next_step="Record a number, a text, True, False or None.",
            )
        known[name] = value
    fresh = file.with_name(f"answers.json.{os.getpid()}")
    fresh.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n")
    fresh.replace(file)
