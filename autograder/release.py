"""What leaves for learners: notebooks without their solutions, and a search for what must not leave.

The search goes by content, not by name: a solution that was pasted into a notebook's output, a hidden
check in a comment or an answer under another name is found as well.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nbformat import NotebookNode
from nbgrader.preprocessors import ClearOutput, ClearSolutions, LockCells
from traitlets.config import Config

import labkit
from autograder.files import digest
from autograder.handouts import handed_out
from autograder.loading import rubric_path
from autograder.nbgrading.settings import CODE_STUB
from autograder.notebooks import ANSWER_STUB, derive
from autograder.sources import BEGIN_SOLUTION, END_SOLUTION, Role, read_source
from labkit.course import Course, Lab

MARKER = "a solution's marker"
# Shorter lines, and those that only a language's grammar makes, say nothing of where they come from.
_SHORTEST = 10
_COMMON = re.compile(
    r"(import|from) .*|@\w+|(return|yield|raise|continue|break|pass|try|else|finally|with|except)\b[\s\w]*:?"
    r"|if __name__ == .*|def \w+\(self\).*|\w+ = \[\]|\w+ = \{\}|\w+ = \d|\w+ \{|[\W\d]*"
)
_LEADERS = re.compile(r"^(?:(?:#|//|>>>|\.\.\.|[+>*-])\s*)+")


def release_notebook(notebook: NotebookNode) -> NotebookNode:
    """The learner's version of a derived notebook: no solution, no output, checks locked.

    Args:
        notebook: What `autograder.notebooks.derive` gives; it stays as it is.
    """
    config = Config()
    config.ClearSolutions.code_stub = {"python": CODE_STUB}
    config.ClearSolutions.text_stub = ANSWER_STUB
    released = deepcopy(notebook)
    for step in (LockCells, ClearSolutions, ClearOutput):
        released, _ = step(config=config).preprocess(released, {})
    for cell in released.cells:
        if cell.cell_type == "code":
            cell.metadata.pop("execution", None)
    return released


def released(lab: Lab) -> NotebookNode:
    """The learner's version of a lab's notebook, from its source and its rubric."""
    return release_notebook(derive(lab))


_OWN = (".py", ".json", ".yml", ".yaml", ".toml")


@dataclass(frozen=True)
class Leak:
    """Something that must not leave.

    Attributes:
        path: The file that holds it.
        line: Which line of the file (of a notebook or JSON: of one of its texts), counted from 1;
            0 for the whole file.
        text: The line itself.
        secret: What it gives away.
    """

    path: Path
    line: int
    text: str
    secret: str

    def __str__(self) -> str:
        """One sentence for a person."""
        where = f"{self.path}, line {self.line}" if self.line else str(self.path)
        return f"{where} holds {self.secret}: {self.text}"


def find_leaks(folder: Path, course: Course) -> list[Leak]:
    """Whatever of the solutions, the hidden checks and the answers lies below a folder.

    Lines are compared without their whitespace and without what a comment, a diff or a prompt puts before
    them; the strings inside notebooks and JSON files are looked at one by one. Lines that are handed out
    anyway or stand in the workbook's own code and visible checks, and trivially common ones, give nothing
    away.

    Args:
        folder: What is about to leave: a learner's copy, a release, an unpacked bundle.
        course: Whose secrets to look for.
    """
    secrets = _secrets_of(course)
    found: list[Leak] = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        if whose := secrets.files.get(digest(content)):
            found.append(Leak(path, 0, "the whole file", whose))
            continue
        for text in _texts(content):
            for number, line in enumerate(text.splitlines(), 1):
                if whose := secrets.lines.get(_normal(line)):
                    found.append(Leak(path, number, line.strip(), whose))
    return found


# ---- what is secret ---------------------------------------------------------------------------------------


@dataclass
class _Secrets:
    lines: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)

    def add(self, text: str, whose: str) -> None:
        for line in map(_normal, text.splitlines()):
            if len(line.replace(" ", "")) >= _SHORTEST and not _COMMON.fullmatch(line):
                self.lines.setdefault(line, whose)


def _secrets_of(course: Course) -> _Secrets:
    secrets = _Secrets()
    public: set[str] = set()
    public_files: set[str] = set()
    for lab in course.labs:
        source = read_source(lab)
        for solution in source.solutions():
            secrets.add(solution, f"a solution of {lab.id}")
        for function, text in _hidden_checks(rubric_path(lab)):
            secrets.add(text, f"the hidden check {function} of {lab.id}")
        for name, content in _answers(lab):
            whose = f"the answer {name} of {lab.id}"
            secrets.files.setdefault(digest(content), whose)
            text, *strings = [*_texts(content), ""]
            for piece in (text, *(strings if name.endswith(".ipynb") else ())):
                secrets.add(piece, whose)
        for cell in source.cells:
            shown = cell.text
            if cell.role is Role.EXERCISE:
                shown = re.sub(rf"{BEGIN_SOLUTION}.*?{END_SOLUTION}", "", shown, flags=re.DOTALL)
            public.update(map(_normal, shown.splitlines()))
        for path in handed_out(lab).values():
            content = path.read_bytes()
            public_files.add(digest(content))
            public.update(_normal(line) for text in _texts(content) for line in text.splitlines())
        if rubric_path(lab).is_file():
            shown = without_hidden_checks(rubric_path(lab).read_text(encoding="utf-8"))
            public.update(map(_normal, shown.splitlines()))
    for module in _program():
        texts = _texts(module.read_bytes())
        public.update(_normal(line) for text in texts for line in text.splitlines())
    for line in public & secrets.lines.keys():
        del secrets.lines[line]
    for file in public_files & secrets.files.keys():
        del secrets.files[file]
    for marker in (BEGIN_SOLUTION, END_SOLUTION):
        secrets.lines[_normal(marker)] = MARKER
    return secrets


def _program() -> Iterator[Path]:
    """The workbook's own modules and data, which everybody has: all but rubrics' modules and answers."""
    ours = Path(__file__).parent
    for folder in (Path(labkit.__file__).parent, ours):
        for path in folder.rglob("*"):
            parts = path.relative_to(folder).parts
            if path.suffix not in _OWN or "answers" in parts or "__pycache__" in parts:
                continue
            if folder != ours or "rubrics" not in parts or path.suffix != ".py":
                yield path


def without_hidden_checks(rubric: str) -> str:
    """A rubric's text in which hidden checks have their marks and titles, and no body."""
    lines = rubric.splitlines(keepends=True)
    for node in reversed(ast.parse(rubric).body):
        if isinstance(node, ast.FunctionDef) and _is_hidden(node):
            title = (ast.get_docstring(node) or "").split("\n")[0]
            body = [
                f'    """{title}"""\n',
                '    raise NotImplementedError("it is run when work is graded")\n',
            ]
            lines[node.body[0].lineno - 1 : node.end_lineno] = body
    return "".join(lines)


def _is_hidden(check: ast.FunctionDef) -> bool:
    return any(isinstance(mark, ast.Name) and mark.id == "hidden" for mark in check.decorator_list)


def _hidden_checks(path: Path) -> Iterator[tuple[str, str]]:
    """Each hidden check of a rubric: its name, and its text without its marks and its title."""
    if not path.is_file():
        return
    text = path.read_text(encoding="utf-8")
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef) and _is_hidden(node):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            yield node.name, "\n".join(ast.get_source_segment(text, part) or "" for part in body)


def _answers(lab: Lab) -> Iterator[tuple[str, bytes]]:
    """Each file of each answer, with its path below the lab's answers."""
    folder = rubric_path(lab).parent / "answers" / lab.name
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path.relative_to(folder).as_posix(), path.read_bytes()


# ---- texts ------------------------------------------------------------------------------------------------


def _normal(line: str) -> str:
    return " ".join(_LEADERS.sub("", line.strip()).split())


def _texts(content: bytes) -> Iterator[str]:
    """A file's text and, if it is JSON, each string in it; nothing if it is not text."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return
    yield text
    if text.lstrip()[:1] in ("{", "["):
        try:
            yield from _strings(json.loads(text))
        except (ValueError, RecursionError):
            return


def _strings(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case list():
            if value and all(isinstance(item, str) for item in value):
                yield "".join(value)  # how notebooks write a text of several lines
            for item in value:
                yield from _strings(item)
        case dict():
            for key, item in value.items():
                yield key
                yield from _strings(item)
