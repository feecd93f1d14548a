"""Reads a notebook that a learner handed in and puts back what nobody but the instructor may change.

Locked cells, points and ids come from the source through nbgrader's own preprocessors; cells that were
deleted come back from the release. Of outputs and metadata only what can't run script in the instructor's
browser is kept.
"""

from __future__ import annotations

import base64
import copy
import html
import io
import json
import logging
import re
import warnings
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from PIL import Image

from autograder.nbgrading.records import Problem, Status
from labkit.errors import WorkbookError

NOTEBOOK_BYTES = 20_000_000
OUTPUT_BYTES = 200_000
IMAGE_BYTES = 2_000_000
IMAGE_PIXELS = 25_000_000
_NBFORMAT = 4
_PLAIN_LINK = r"\s*<?(?:https?://|mailto:|#|[\w./-]+[\s>)])"
_WORD_JOINER = "\u2060"
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_IMAGES = {"image/png": "PNG", "image/jpeg": "JPEG"}
_KEPT_METADATA = ("deletable", "editable", "tags")


class Unreadable(WorkbookError):
    """A handed-in notebook is missing or can't be read; `problem` says which."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(problem.reason)


def read_submitted(path: Path) -> NotebookNode:
    """Read a handed-in notebook.

    Raises:
        Unreadable: It is missing, too big, not JSON, not a notebook, or of another format version.
    """
    if not path.is_file() or path.is_symlink():
        raise Unreadable(
            Problem(status=Status.MISSING, message=f"The notebook {path.name} was not in what was handed in.")
        )
    if path.stat().st_size > NOTEBOOK_BYTES:
        raise _invalid(path, f"it is bigger than {NOTEBOOK_BYTES / 1e6:.0f} MB")
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except RecursionError as error:
        raise _invalid(path, "it is nested too deep") from error
    except ValueError as error:
        raise _invalid(path, "it is not JSON", str(error)) from error
    if not isinstance(raw, dict) or "nbformat" not in raw:
        raise _invalid(path, "it is not a notebook", "there is no nbformat in it")
    if raw["nbformat"] != _NBFORMAT:
        found = str(raw["nbformat"])[:20]
        raise _invalid(path, f"it is in the notebook format {found}; Jupyter writes format {_NBFORMAT} now")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # nbformat warns of what it mends
            notebook = nbformat.v4.to_notebook(raw)
            _, notebook = nbformat.validator.normalize(notebook, strip_invalid_metadata=True)
            nbformat.validate(notebook)
            notebook = nbformat.v4.upgrade(notebook)  # to the minor version whose cells have ids
    except Exception as error:
        raise _invalid(path, "it is not a whole notebook", str(error).splitlines()[0][:200]) from error
    return notebook


def _invalid(path: Path, why: str, detail: str = "") -> Unreadable:
    message = f"The notebook {path.name} could not be read: {why}."
    return Unreadable(Problem(status=Status.INVALID, message=message, detail=detail[:300]))


# ---- what belongs to the instructor ----------------------------------------------------------------------


def sanitise(
    notebook: NotebookNode, released: NotebookNode, *, config: Any
) -> tuple[NotebookNode, list[str]]:
    """Put the instructor's cells back as they were released.

    Args:
        notebook: As it was handed in.
        released: As it was released.
        config: nbgrader's configuration.

    Returns:
        The notebook with every graded cell in it once, locked cells and points restored, and what was
        changed or put back, in words.

    Raises:
        Exception: nbgrader's preprocessors could not make sense of it.
    """
    from nbgrader.preprocessors import CheckCellMetadata, DeduplicateIds

    from autograder.nbgrading.released import OverwriteFromRelease

    owned = {_grade_id(cell): cell for cell in released.cells if _grade_id(cell)}
    _take_over_metadata(notebook, owned)
    told = _Told()
    resources: dict[str, Any] = {}
    if "kernelspec" in released.metadata:
        notebook.metadata["kernelspec"] = copy.deepcopy(released.metadata.kernelspec)
    for step in (DeduplicateIds, OverwriteFromRelease, CheckCellMetadata):
        preprocessor = step(config=config)
        preprocessor.log = told.logger
        if step is OverwriteFromRelease:
            preprocessor.released = owned
        notebook, resources = preprocessor.preprocess(notebook, resources)
        if step is DeduplicateIds:
            for cell in notebook.cells:
                if not cell.metadata.get("nbgrader"):  # it leaves {}, which CheckCellMetadata refuses
                    cell.metadata.pop("nbgrader", None)
            told.changes += _restore_missing(notebook, released)
    for number, cell in enumerate(notebook.cells, start=1):
        name = _grade_id(cell)
        cell["id"] = owned[name].id if name else f"handed-in-{number}"
    return notebook, told.changes


def _grade_id(cell: NotebookNode) -> str:
    marks = cell.metadata.get("nbgrader")
    name = marks.get("grade_id", "") if isinstance(marks, dict) else ""
    return name if isinstance(name, str) else ""


def _take_over_metadata(notebook: NotebookNode, owned: dict[str, NotebookNode]) -> None:
    """Give each known cell the release's metadata, and every other cell none of nbgrader's."""
    for cell in notebook.cells:
        original = owned.get(_grade_id(cell))
        if original is None:
            cell.metadata.pop("nbgrader", None)
        else:
            cell.metadata = copy.deepcopy(original.metadata)


def _restore_missing(notebook: NotebookNode, released: NotebookNode) -> list[str]:
    """Put deleted cells back behind the one that they followed; gives what was put back."""
    present = {_grade_id(cell) for cell in notebook.cells}
    changes = []
    place = 0
    for original in released.cells:
        name = _grade_id(original)
        if not name:
            continue
        if name in present:
            place = 1 + next(at for at, cell in enumerate(notebook.cells) if _grade_id(cell) == name)
        else:
            notebook.cells.insert(place, copy.deepcopy(original))
            changes.append(f"The cell {name} was deleted; it was put back.")
            place += 1
    return changes


class _Told:
    """Collects what nbgrader's preprocessors say of the cells that they changed."""

    def __init__(self) -> None:
        self.changes: list[str] = []
        self.logger = logging.Logger("nbgrader-sanitise", logging.WARNING)
        handler = logging.Handler()
        handler.emit = self._take  # type: ignore[method-assign]
        self.logger.addHandler(handler)

    def _take(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if match := re.match(r"Attribute '(\w+)' for cell (\S+) has changed", text):
            what = {"checksum": "text", "cell_type": "type"}.get(match[1], match[1])
            self.changes.append(f"The {what} of the cell {match[2]} was changed; it was put back.")
        elif match := re.match(r"Cell with id '(.*)' exists multiple times", text):
            self.changes.append(f"The cell {match[1]} was there more than once; the last one counts.")


# ---- what may be shown -----------------------------------------------------------------------------------


def make_harmless(notebook: NotebookNode) -> None:
    """Keep of outputs, metadata and Markdown what can't run script in the page that shows it, in place."""
    notebook.metadata = nbformat.from_dict(
        {key: notebook.metadata[key] for key in ("kernelspec",) if key in notebook.metadata}
    )
    for cell in notebook.cells:
        marks = cell.metadata.get("nbgrader") or {}
        locked = bool(marks) and not marks.get("solution", False)
        kept = {key: cell.metadata[key] for key in (*_KEPT_METADATA, "nbgrader") if key in cell.metadata}
        cell.metadata = nbformat.from_dict(kept)
        cell.pop("attachments", None)
        if cell.cell_type == "code":
            cell.outputs = [safe for output in cell.outputs if (safe := _harmless_output(output))]
        elif not locked:
            cell.source = without_tags(cell.source)


def without_tags(text: str) -> str:
    """Markdown that looks the same and holds no HTML tag, and no link but to the web or a plain file name."""
    while text != (plain := html.unescape(text)):  # a renderer would decode what nothing else here sees
        text = plain
    text = re.sub(rf"(\](?:\(|:))(?!{_PLAIN_LINK})", rf"\1{_WORD_JOINER}", text)
    text = re.sub(r"<(?=[A-Za-z/!?])", f"<{_WORD_JOINER}", text)
    return re.sub(r"(?i)\b(javascript|vbscript|data)(?=\s*:)", rf"\1{_WORD_JOINER}", text)


def _harmless_output(output: NotebookNode) -> NotebookNode | None:
    match output.output_type:
        case "stream":
            name = output.name if output.name in ("stdout", "stderr") else "stdout"
            return nbformat.v4.new_output("stream", name=name, text=_plain(output.text))
        case "error":
            trace = [_plain(line) for line in output.traceback[-30:]]
            return nbformat.v4.new_output(
                "error", ename=_plain(output.ename), evalue=_plain(output.evalue), traceback=trace
            )
        case "display_data" | "execute_result":
            data = {
                kind: image for kind in _IMAGES if (image := _image(kind, output.data.get(kind))) is not None
            }
            if not data and isinstance(output.data.get("text/plain"), str):
                data["text/plain"] = _plain(output.data["text/plain"])
            return nbformat.v4.new_output("display_data", data=data) if data else None
    return None


def _plain(text: str) -> str:
    """Text without colours and other terminal escapes, and not too much of it."""
    text = _CONTROL.sub("", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", str(text)))
    return text if len(text) <= OUTPUT_BYTES else f"{text[:OUTPUT_BYTES]}\n[the rest was left out]"


def _image(kind: str, value: Any) -> str | None:
    """An image as base64 and nothing else; None if it is none, or fills more than a page when unpacked."""
    if not isinstance(value, str) or len(value) > IMAGE_BYTES:
        return None
    encoded = "".join(value.split())
    try:
        content = base64.b64decode(encoded, validate=True)
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # Pillow warns of images that unpack to very much
            with Image.open(io.BytesIO(content), formats=[_IMAGES[kind]]) as image:
                width, height = image.size
    except Exception:  # whatever a forged one brings Pillow to
        return None
    return encoded if width * height <= IMAGE_PIXELS else None
