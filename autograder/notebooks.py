"""Makes the notebooks: MyST Markdown in, `.ipynb` with nbgrader's metadata out, points from the rubric.

The same source and rubric always give the same bytes, and a cell keeps its id when others change, so that a
notebook's diff shows what its source's diff shows::

    python -m autograder.notebooks            # write them
    python -m autograder.notebooks --check    # say which differ from their source
    python -m autograder.notebooks --tree     # and lay nbgrader's source folder
"""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from autograder.files import write_atomically
from autograder.loading import CheckSpec, Rubric, load_rubric
from autograder.sources import Cell, Role, Source, nearest, parse_check, read_source
from labkit.course import Course, Lab, find_course
from labkit.errors import WorkbookError

ANSWER_STUB = "*Write your answer here.*"
_LONGEST_ID = 64


def derive(lab: Lab) -> NotebookNode:
    """The notebook of a lab, from its source and its rubric.

    Raises:
        WorkbookError: The source can't be read, or it and the rubric don't fit together.
    """
    source = read_source(lab)
    rubric = load_rubric(lab)
    _check_against(source, rubric)
    cells: list[NotebookNode] = []
    seen: Counter[str] = Counter()
    for cell in source.cells:
        cells.extend(_derive_cell(lab, cell, rubric, seen))
    return nbformat.v4.new_notebook(
        cells=cells,
        metadata={
            "kernelspec": source.kernelspec,
            "language_info": {"name": source.kernelspec["language"]},
            "workbook": {"lab": lab.id, **source.header.model_dump(mode="json")},
        },
    )


def render(lab: Lab) -> str:
    """The notebook of a lab as its file holds it."""
    text: str = nbformat.writes(derive(lab))
    return text.rstrip("\n") + "\n"


def generate(course: Course) -> list[Path]:
    """Write each lab's notebook, and say which were not yet so."""
    _refuse_namesakes(course)
    written = []
    for lab in course.labs:
        text = render(lab)
        if not _holds(lab.notebook, text):
            write_atomically(lab.notebook, text.encode())
            written.append(lab.notebook)
    return written


def differences(course: Course) -> list[tuple[Path, str]]:
    """The notebooks that are not what their sources give, each with how."""
    _refuse_namesakes(course)
    found = []
    for lab in course.labs:
        if not lab.notebook.is_file():
            found.append((lab.notebook, "is missing"))
        elif not _holds(lab.notebook, render(lab)):
            found.append((lab.notebook, "differs from its source"))
    return found + [(path, "has no source") for path in orphans(course)]


def orphans(course: Course) -> list[Path]:
    """Notebooks that no source gives (the source was renamed, or the notebook was put there by hand)."""
    made = {lab.notebook for lab in course.labs}
    lying = {
        path for pattern in ("weeks/*/*.ipynb", "projects/*/*.ipynb") for path in course.root.glob(pattern)
    }
    return sorted(lying - made)


def _holds(path: Path, text: str) -> bool:
    return path.is_file() and path.read_bytes() == text.encode()


def _refuse_namesakes(course: Course) -> None:
    ids = Counter(lab.id for lab in course.labs)
    for lab in course.labs:
        if ids[lab.id] > 1:
            raise WorkbookError(
                f"Two sources are the lab {lab.id!r}.",
                why=", ".join(
                    str(twin.source.relative_to(course.root)) for twin in course.labs if twin.id == lab.id
                ),
                next_step="Rename one of them.",
            )


# ---- one cell ---------------------------------------------------------------------------------------------


def grade_id(lab: Lab, name: str) -> str:
    """The id that nbgrader knows a check, a reading or an exercise by: `week11-fastapi_server-latency`."""
    return "-".join(part for part in (lab.id.replace("/", "-"), name) if part)


def _derive_cell(lab: Lab, cell: Cell, rubric: Rubric, seen: Counter[str]) -> list[NotebookNode]:
    metadata: dict[str, Any] = {"tags": list(cell.tags)} if cell.tags else {}
    match cell.role:
        case Role.CHECK:
            points = sum(spec.points for spec in _specs(rubric, cell.name))
            text = _with_points(cell.text, points)
            marks = _nbgrader(grade_id(lab, cell.name), grade=True, locked=True, points=points)
            return [_cell("code", text, metadata | marks)]
        case Role.READING:
            points = next(reading.points for reading in rubric.readings if reading.name == cell.name)
            name = grade_id(lab, cell.name)
            prompt = f"{cell.text}\n\n*{_in_words(points)}, graded by a person.*"
            return [
                _cell("markdown", prompt, metadata | _nbgrader(f"{name}-prompt", locked=True)),
                _cell("markdown", ANSWER_STUB, _nbgrader(name, grade=True, solution=True, points=points)),
            ]
        case Role.EXERCISE:
            seen[Role.EXERCISE] += 1
            name = grade_id(lab, cell.name or f"exercise-{seen[Role.EXERCISE]}")
            return [_cell("code", cell.text, metadata | _nbgrader(name, solution=True))]
        case _:
            digest = hashlib.sha256(f"{cell.kind}\n{cell.text}".encode()).hexdigest()[:12]
            seen[digest] += 1
            cell_id = digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"
            return [_cell(cell.kind, cell.text, metadata, cell_id)]


def _cell(kind: str, text: str, metadata: dict[str, Any], cell_id: str | None = None) -> NotebookNode:
    """A new cell; a graded one is called in Jupyter what nbgrader calls it."""
    new = nbformat.v4.new_code_cell if kind == "code" else nbformat.v4.new_markdown_cell
    return new(text, metadata=metadata, id=cell_id or _short(metadata["nbgrader"]["grade_id"]))


def _short(name: str) -> str:
    if len(name) <= _LONGEST_ID:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: _LONGEST_ID - len(digest) - 1]}-{digest}"


def _nbgrader(
    name: str,
    *,
    grade: bool = False,
    locked: bool = False,
    solution: bool = False,
    points: float | None = None,
) -> dict[str, Any]:
    marks: dict[str, Any] = {
        "schema_version": 3,
        "grade_id": name,
        "grade": grade,
        "locked": locked,
        "solution": solution,
        "task": False,
    }
    if points is not None:
        marks["points"] = int(points) if points == int(points) else points
    return {"nbgrader": marks}


def _in_words(points: float) -> str:
    return f"{points:g} point" if points == 1 else f"{points:g} points"


def _with_points(text: str, points: float) -> str:
    """A check cell's text with what it is worth, where the learner sees it."""
    call = parse_check(text)
    assert call is not None
    lines = text.splitlines()
    lines[call[2] - 1] += f"  # {_in_words(points)}"
    return "\n".join(lines)


# ---- against the rubric -----------------------------------------------------------------------------------


def _specs(rubric: Rubric, part: str) -> tuple[CheckSpec, ...]:
    return tuple(spec for spec in rubric.checks if part in ("", spec.name))


def _check_against(source: Source, rubric: Rubric) -> None:
    """See that each check and each reading of the rubric has its one cell, and each cell its check."""
    lines: dict[str, int] = {}
    checks = [spec.name for spec in rubric.checks]
    for cell in source.having(Role.CHECK):
        found = _specs(rubric, cell.name)
        if not found:
            source.refuse(
                cell.line, f"the rubric has no check {cell.name!r}.", next_step=nearest(cell.name, checks)
            )
        for spec in found:
            _claim(source, lines, spec.name, cell.line)
    readings = [reading.name for reading in rubric.readings]
    for cell in source.having(Role.READING):
        if cell.name not in readings:
            source.refuse(
                cell.line, f"the rubric has no reading {cell.name!r}.", next_step=nearest(cell.name, readings)
            )
        _claim(source, lines, cell.name, cell.line)
    for cell in source.having(Role.EXERCISE):
        if cell.name:
            _claim(source, lines, cell.name, cell.line)
    for kind, names in (("check", checks), ("reading", readings)):
        for name in names:
            if name not in lines:
                _refuse_missing(source, kind, name)


def _claim(source: Source, lines: dict[str, int], name: str, line: int) -> None:
    """Note that a name's cell stands on that line; each name has one."""
    if name in lines:
        source.refuse(
            line,
            f"{name!r} has two cells.",
            why=f"The first is on line {lines[name]}; nbgrader would count its points twice.",
            next_step="Take one away, or give it another name.",
        )
    lines[name] = line


def _refuse_missing(source: Source, kind: str, name: str) -> None:
    if kind == "reading":
        next_step = f'Begin its text with +++ {{"tags": ["reading", "{name}"]}}.'
    else:
        next_step = f'Add a cell tagged check: check("{source.lab.id}", "{name}").'
    for cell in source.having(Role.PLAIN):
        if kind == "check" and cell.kind == "code" and re.search(rf"\bcheck\(.*[\"']{name}[\"']", cell.text):
            source.refuse(
                cell.line, f"the cell that checks {name!r} lacks the tag check.", next_step="Add the tag."
            )
    source.refuse(
        source.cells[-1].line,
        f"the rubric's {kind} {name!r} has no cell.",
        why="Its points could never be earned in nbgrader.",
        next_step=next_step,
    )


# ---- the command ------------------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or compare the notebooks of the course around the current folder; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m autograder.notebooks", description="Make the notebooks.")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; list what differs, and exit with 1"
    )
    parser.add_argument("--tree", action="store_true", help="lay build/nbgrader/source from them as well")
    options = parser.parse_args(arguments)
    try:
        course = find_course()
        return _compare(course) if options.check else _write(course, tree=options.tree)
    except WorkbookError as error:
        print(error, file=sys.stderr)
        return 1


def _compare(course: Course) -> int:
    found = differences(course)
    for path, how in found:
        print(f"{path.relative_to(course.root)} {how}")
    if found:
        print("Run make notebooks, and delete a notebook that has no source.", file=sys.stderr)
    return 1 if found else 0


def _write(course: Course, *, tree: bool) -> int:
    for path in generate(course):
        print(f"wrote {path.relative_to(course.root)}")
    for path in orphans(course):
        print(f"{path.relative_to(course.root)} has no source", file=sys.stderr)
    if tree:
        from autograder.handouts import lay_tree

        print(f"laid {lay_tree(course).relative_to(course.root)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
