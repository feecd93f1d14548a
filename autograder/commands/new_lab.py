"""`workbook new-lab`: the three pieces of a lab, laid so that they pass, for an author to write over."""

from __future__ import annotations

import re
from pathlib import Path
from string import Template
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from autograder.loading import RUBRICS
from autograder.notebooks import generate
from labkit.course import Course, find_course
from labkit.errors import WorkbookError

SKELETON = Path(__file__).parents[1] / "skeleton"
_ANSWERS = {
    "reference": ("Greets the world.", 'text = "Hello, world!"\n', []),
    "right_shouted": ("Greets it in capitals.", 'text = "HELLO WORLD"\n', []),
    "wrong_nobody": ("Greets nobody in particular.", 'text = "Hello!"\n', ["greets"]),
}


def new_lab(
    lab: Annotated[str, typer.Argument(help="Its id: a week and a name, week11/my_lab.")],
    title: Annotated[str, typer.Option(help="The notebook's title; from the name by default.")] = "",
    minutes: Annotated[int, typer.Option(help="How long it takes a learner.", min=1)] = 60,
) -> None:
    """Lay a new lab: source, handout, rubric and answers, which pass, to be written over."""
    course = find_course()
    laid = lay_new_lab(course, lab, title=title, minutes=minutes)
    console = Console(highlight=False, soft_wrap=True)
    for path in laid:
        console.print(f" {escape(str(path.relative_to(course.root)))}")
    console.print(f"Now: workbook validate {escape(lab)}, then write over these files.")


def lay_new_lab(
    course: Course, lab_id: str, *, title: str = "", minutes: int = 60, rubrics: Path | None = None
) -> list[Path]:
    """Write a new lab's files and its notebook; nothing that is there is touched.

    Args:
        course: Where to.
        lab_id: `week11/my_lab`.
        title: The notebook's title.
        minutes: How long it takes.
        rubrics: Where the rubrics lie.

    Raises:
        WorkbookError: The id is none, its week does not exist, or there is such a lab already.
    """
    match = re.fullmatch(r"(week\d\d)/([a-z][a-z0-9_]*)", lab_id)
    if match is None:
        raise WorkbookError(
            f"{lab_id!r} can't be a lab's id.",
            next_step="Write the week and a name in small letters: week11/my_lab.",
        )
    week, slug = match.groups()
    folders = [path for path in sorted(course.root.glob(f"weeks/{week}_*")) if path.is_dir()]
    if len(folders) != 1:
        raise WorkbookError(
            f"There is no week {week}.",
            why=f"weeks/ holds no folder {week}_….",
            next_step=f"Make one, weeks/{week}_name, or choose another week.",
        )
    if any(lab.id == lab_id for lab in course.labs):
        raise WorkbookError(f"There is a lab {lab_id} already.", next_step="Choose another name.")
    (folder,) = folders
    numbers = [int(path.name[:2]) for path in folder.glob("source/[0-9][0-9]_*.md")]
    name = f"{max(numbers, default=0) + 1:02}_{slug}"
    words = {
        "lab": lab_id,
        "name": name,
        "minutes": str(minutes),
        "title": title or slug.replace("_", " ").capitalize(),
    }
    ours = (rubrics or RUBRICS) / folder.name
    content = {
        folder / "source" / f"{name}.md": _filled("source.md", words),
        folder / name / "greeting.toml": 'text = "Write your greeting here."\n',
        ours / f"test_{name}.py": _filled("rubric.py", words),
    }
    for answer, (about, text, loses) in _ANSWERS.items():
        content[ours / "answers" / name / answer / "greeting.toml"] = text
        content[ours / "answers" / name / answer / "answer.toml"] = (
            f'about = "{about}"\nloses = {str(loses).replace(chr(39), chr(34))}\n'
        )
    for path, text in content.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return [*content, *generate(Course(course.root))]


def _filled(name: str, words: dict[str, str]) -> str:
    return Template((SKELETON / name).read_text(encoding="utf-8")).substitute(words)
