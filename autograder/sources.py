"""Reads a lab's source, MyST Markdown, and says in the author's terms what does not fit together.

A cell's tags say what it is. Nothing in a source says what anything is worth: that is the rubric's part.
"""

from __future__ import annotations

import ast
import difflib
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, NoReturn

import nbformat
import yaml
from jupytext.myst import MystMetadataParsingError, myst_to_notebook
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError

from labkit.course import Lab
from labkit.errors import WorkbookError

BEGIN_SOLUTION = "### BEGIN SOLUTION"
END_SOLUTION = "### END SOLUTION"

# Tags that papermill, nbval and Jupyter Book act on; they go into the notebook as they stand.
_PASSED_ON = ("hide-input", "hide-output", "hide-cell", "raises-exception")
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_HEADER = re.compile(r"---\n(.*?)^---[ ]*\n", re.DOTALL | re.MULTILINE)
# Looser than nbgrader's own markers, so that a misspelt one is refused instead of being released.
# Only at the start of a comment: prose may speak of how solutions begin and end.
_MARKER = re.compile(
    r"^\s*#+\s*(begin|end)[ _-]*(solutions?|hidden[ _-]*tests?|mark(ing)?[ _-]*scheme)\b", re.IGNORECASE
)


class Role(StrEnum):
    """What a cell is; all but `PLAIN` are tags in the source."""

    PLAIN = "plain"
    PARAMETERS = "parameters"
    CHECK = "check"
    READING = "reading"
    EXERCISE = "exercise"


class Header(BaseModel):
    """The `workbook` part of a source's YAML header.

    Attributes:
        minutes: How long the lab takes.
        needs: What the machine must have (`engine`, `cluster`); nothing by default.
        assets: Prepared files handed out with the lab, as paths below `build/models`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    minutes: PositiveInt
    needs: tuple[str, ...] = ()
    assets: tuple[str, ...] = ()


class _Kernel(BaseModel):
    name: str
    display_name: str
    language: str


class _Front(BaseModel):
    """The whole YAML header; what jupytext writes beside it is jupytext's."""

    kernelspec: _Kernel
    workbook: Header
    jupytext: dict[str, Any] = Field(default_factory=dict)


@dataclass(frozen=True)
class Cell:
    """One cell of a source.

    Attributes:
        kind: Markdown or code.
        text: What it holds, without its tags.
        line: The line of the source on which it starts.
        role: What it is.
        name: The part that a check cell runs ("" is all of them), or the name of a reading or an exercise.
        tags: The tags that the notebook keeps.
    """

    kind: Literal["markdown", "code"]
    text: str
    line: int
    role: Role = Role.PLAIN
    name: str = ""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Source:
    """A lab's source, read and found sound by itself (without its rubric)."""

    lab: Lab
    header: Header
    kernelspec: dict[str, str]
    cells: tuple[Cell, ...]

    def having(self, role: Role) -> list[Cell]:
        """The cells of that role, in order."""
        return [cell for cell in self.cells if cell.role is role]

    def solutions(self) -> Iterator[str]:
        """Each solution region's text, without its markers."""
        for cell in self.having(Role.EXERCISE):
            yield from solution_regions(cell.text)

    def refuse(self, line: int, what: str, *, why: str = "", next_step: str = "") -> NoReturn:
        """Raise the error that names this source and the line."""
        refuse(self.lab, line, what, why=why, next_step=next_step)


def refuse(lab: Lab, line: int, what: str, *, why: str = "", next_step: str = "") -> NoReturn:
    """Raise the error that names a lab's source and the line."""
    path = lab.source.relative_to(lab.folder.parent.parent)
    raise WorkbookError(f"{path}, line {line}: {what}", why=why, next_step=next_step)


def nearest(word: str, known: list[str]) -> str:
    """What to do about a word that nobody knows: the nearest one, else all there are."""
    close = difflib.get_close_matches(word, known, n=1)
    if close:
        return f"Did you mean {close[0]!r}?"
    return f"There are: {', '.join(known)}." if known else "There are none."


def solution_regions(text: str) -> list[str]:
    """The texts between the solution markers of an exercise."""
    return re.findall(
        rf"^[ \t]*{BEGIN_SOLUTION}[ \t]*\n(.*?)^[ \t]*{END_SOLUTION}[ \t]*$", text, re.DOTALL | re.MULTILINE
    )


def read_source(lab: Lab) -> Source:
    """Read a lab's source.

    Raises:
        WorkbookError: It can't be parsed, or its cells and tags contradict themselves.
    """
    text = lab.source.read_text(encoding="utf-8").replace("\r\n", "\n")
    front = _read_header(lab, text)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            notebook = myst_to_notebook(text, add_source_map=True)
    except (MystMetadataParsingError, yaml.YAMLError, nbformat.ValidationError, UserWarning) as error:
        why = f"{str(error).splitlines()[0]}."
        refuse(lab, 1, "a cell can't be parsed.", why=why, next_step="Write its tags as :tags: [one, two].")
    lines = text.splitlines()
    starts = (
        _text_line(lines, raw, start)
        for raw, start in zip(notebook.cells, notebook.metadata["source_map"], strict=True)
    )
    cells = tuple(_read_cell(lab, raw, line) for raw, line in zip(notebook.cells, starts, strict=True))
    source = Source(lab, front.workbook, front.kernelspec.model_dump(), cells)
    _check_whole(source)
    return source


# ---- the header -------------------------------------------------------------------------------------------


def read_plain(source: Path) -> nbformat.NotebookNode:
    """A notebook from MyST Markdown that is no lab: as it stands, with ids that stay the same."""
    notebook = myst_to_notebook(source.read_text(encoding="utf-8"))
    for number, cell in enumerate(notebook.cells, start=1):
        cell["id"] = f"{source.stem.casefold()}-{number}".replace("_", "-")
    kernelspec = notebook.metadata["kernelspec"]
    notebook.metadata = nbformat.from_dict(
        {"kernelspec": kernelspec, "language_info": {"name": kernelspec["language"]}}
    )
    return notebook


def _read_header(lab: Lab, text: str) -> _Front:
    example = "It needs kernelspec (name, display_name, language) and workbook (minutes)."
    match = _HEADER.match(text)
    if match is None:
        refuse(lab, 1, "there is no YAML header between two lines of ---.", next_step=example)
    try:
        return _Front.model_validate(yaml.safe_load(match[1]))
    except yaml.YAMLError as error:
        refuse(lab, 1, "the header is not YAML.", why=f"{error}.".replace("\n", " "))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "it"
        if first["type"] == "extra_forbidden":
            example = nearest(str(first["loc"][-1]), list(Header.model_fields))
        refuse(lab, 1, "the header is not complete.", why=f"{where}: {first['msg']}.", next_step=example)


# ---- one cell ---------------------------------------------------------------------------------------------


def _read_cell(lab: Lab, raw: Any, line: int) -> Cell:
    kind, text = raw.cell_type, raw.source
    if kind == "raw":
        refuse(lab, line, "raw cells are not used.", next_step="Write it as Markdown or as code.")
    other = sorted(set(raw.metadata) - {"tags"})
    if other:
        refuse(
            lab,
            line,
            f"a cell says {other[0]!r}.",
            why="Only tags are read.",
            next_step=nearest(other[0], ["tags"]),
        )
    tags = raw.metadata.get("tags", [])
    role, name, kept = _role(lab, line, tags)
    if kind == "markdown" and re.search(r"^\s*[`~:]{3,}\s*\{?code", text, re.MULTILINE):
        refuse(
            lab,
            line,
            "a code cell is read as text.",
            why="Its fence is nested, indented or misspelt.",
            next_step="Begin it with ```{code-cell} ipython3 at the start of the line.",
        )
    wanted = {Role.READING: "markdown"}.get(role, kind if role is Role.PLAIN else "code")
    if kind != wanted:
        refuse(
            lab,
            line,
            f"a {role} cell has to be {wanted}.",
            next_step=f"Make it {wanted} or take the tag away.",
        )
    if role is Role.CHECK:
        name = _checked_part(lab, text, line)
    _check_markers(lab, text, line, exercise=role is Role.EXERCISE)
    return Cell(kind, text, line, role, name, kept)


def _text_line(lines: list[str], raw: Any, start: int) -> int:
    """The line on which a cell's text begins, behind its fence and its tags; counted from 1."""
    first = raw.source.split("\n")[0]
    return next(
        (at for at, line in enumerate(lines[start:], start + 1) if line.rstrip() == first.rstrip()), start + 1
    )


def _role(lab: Lab, line: int, tags: list[str]) -> tuple[Role, str, tuple[str, ...]]:
    """What a cell's tags make of it: its role, its name and the tags that the notebook keeps."""
    roles = [role for role in Role if role.value in tags and role is not Role.PLAIN]
    if len(roles) > 1:
        refuse(lab, line, f"a cell is both {roles[0]} and {roles[1]}.", next_step="Make two cells of it.")
    role = roles[0] if roles else Role.PLAIN
    kept = tuple(tag for tag in tags if tag in _PASSED_ON or tag == Role.PARAMETERS)
    rest = [tag for tag in tags if tag != role and tag not in kept]
    named = role in (Role.READING, Role.EXERCISE)
    name = rest.pop(0) if named and rest and _NAME.fullmatch(rest[0]) else ""
    if rest:
        known = [*(r.value for r in Role if r is not Role.PLAIN), *_PASSED_ON]
        refuse(lab, line, f"nobody knows the tag {rest[0]!r}.", next_step=nearest(rest[0], known))
    if role is Role.READING and not name:
        refuse(
            lab,
            line,
            "a reading has no name.",
            next_step='Tag it with the name that the rubric gives it, {"tags": ["reading", "first_miss"]}.',
        )
    return role, name, kept


def parse_check(text: str) -> tuple[str, str, int] | None:
    """The lab, the part and the last line of the one `check(...)` call that a cell holds, else nothing."""
    try:
        body = ast.parse(text).body
    except SyntaxError:
        return None
    match body:
        case [ast.Expr(value=ast.Call(func=ast.Name(id="check"), args=[*args], keywords=[]) as call)]:
            words = [
                arg.value for arg in args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)
            ]
            if len(words) == len(args) and len(words) in (1, 2):
                return words[0], words[1] if len(words) == 2 else "", call.end_lineno or 1
    return None


def _checked_part(lab: Lab, text: str, line: int) -> str:
    call = parse_check(text)
    if call is None:
        refuse(
            lab,
            line,
            "a check cell does not hold exactly one check.",
            why=f"It says {text.strip().splitlines()[0] if text.strip() else 'nothing'!r}.",
            next_step=f'Write check("{lab.id}", "the_part") alone in it.',
        )
    lab_id, part, _ = call
    if lab_id != lab.id:
        refuse(lab, line, f"a check cell checks {lab_id!r}.", next_step=f"This source is the lab {lab.id!r}.")
    if re.search(r"#.*\bpoints?\b", text):
        refuse(
            lab, line, "a check cell says its points.", next_step="Take them away: they come from the rubric."
        )
    return part


def _check_markers(lab: Lab, text: str, line: int, *, exercise: bool) -> None:
    """See that solution markers stand in exercises alone, spelt as nbgrader reads them, in pairs."""
    inside, regions = False, 0
    for offset, content in enumerate(text.splitlines()):
        marker = _MARKER.search(content)
        if marker is None:
            continue
        here, found = line + offset, content.strip()
        wanted = BEGIN_SOLUTION if marker[1].lower() == "begin" else END_SOLUTION
        if not exercise:
            next_step = (
                "Tag the cell with exercise." if "solution" in marker[2].lower() else "Put it in the rubric."
            )
            refuse(lab, here, f"{found!r} stands outside an exercise cell.", next_step=next_step)
        if found != wanted:
            refuse(lab, here, f"{found!r} is not a marker.", next_step=f"Write {wanted!r}.")
        if inside == (wanted == BEGIN_SOLUTION):
            missing = END_SOLUTION if inside else BEGIN_SOLUTION
            refuse(lab, here, f"{found!r} has no partner.", next_step=f"Put {missing!r} before it.")
        inside, regions = not inside, regions + 1
    if inside:
        refuse(lab, line, f"{BEGIN_SOLUTION!r} has no partner.", next_step=f"Put {END_SOLUTION!r} after it.")
    if exercise and not regions:
        refuse(
            lab,
            line,
            "an exercise cell has no solution.",
            why="Without one, a learner would be handed the whole cell.",
            next_step=f"Put the solution between {BEGIN_SOLUTION!r} and {END_SOLUTION!r}.",
        )
    if exercise and not all(region.strip() for region in solution_regions(text)):
        refuse(lab, line, "an exercise's solution is empty.", next_step="Write it between the markers.")


# ---- all cells --------------------------------------------------------------------------------------------


def _check_whole(source: Source) -> None:
    first = source.cells[0] if source.cells else None
    if first is None or first.kind != "markdown" or not re.match(r"# \S", first.text):
        source.refuse(
            first.line if first else 1,
            "the first cell is not the title.",
            next_step="Begin with Markdown whose first line is '# ' and the lab's title.",
        )
    parameters = source.having(Role.PARAMETERS)
    if len(parameters) > 1:
        source.refuse(
            parameters[1].line,
            "there are two parameters cells.",
            why=f"The first is on line {parameters[0].line}; papermill fills only one.",
            next_step="Make one of them.",
        )
