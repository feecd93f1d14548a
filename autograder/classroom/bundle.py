"""The learner's package: the whole workbook in one zip, without answers, solutions and hidden checks.

It is laid by an allow-list, from what git tracks, and then searched by content: if one line of an answer, of
a solution or of a hidden check is in it, there is no package.
"""

from __future__ import annotations

import io
import re
import subprocess
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from autograder.files import write_atomically
from autograder.nbgrading.settings import CODE_STUB
from autograder.notebooks import generate
from autograder.release import MARKER, find_leaks, without_hidden_checks
from autograder.sources import BEGIN_SOLUTION, END_SOLUTION
from labkit.course import Course, find_course
from labkit.errors import WorkbookError

NAME = "ml-infrastructure-workbook"
_TAKEN = (
    *("Makefile", "LICENSE", "pyproject.toml", "nbgrader_config.py", "environment.yml"),
    *("environments/", "labkit/", "autograder/", "weeks/", "projects/", "docs/"),
)
_LEFT = re.compile(r"autograder/(rubrics/.*/answers/|skeleton/)|docs/(author|grading|index|instructor)\.md")
_REGION = re.compile(rf"^([ \t]*){BEGIN_SOLUTION}[ \t]*\n.*?{END_SOLUTION}[ \t]*$", re.DOTALL | re.MULTILINE)
_SHOWN_LEAKS = 5
_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Bundle:
    """The learner's package.

    Attributes:
        path: The zip.
        files: How many files it holds.
        bytes: How big it is.
        commit: The commit that it was made from.
        changed: Tracked files that differ from that commit; the package holds them as they are now.
    """

    path: Path
    files: int
    bytes: int
    commit: str
    changed: tuple[str, ...]


def make_bundle(course: Course | None = None, to: Path | None = None, *, dirty: bool = False) -> Bundle:
    """Write the learner's package.

    Args:
        course: The course around the current folder by default; it has to be a git checkout.
        to: The zip; `build/bundle/ml-infrastructure-workbook.zip` by default.
        dirty: Take the files as they are, although some differ from the last commit.

    Raises:
        WorkbookError: It is no git checkout, files differ from the last commit, or something secret would
            be in it.
    """
    course = course or find_course()
    tracked, changed, commit = _checkout(course.root)
    if changed and not dirty:
        raise WorkbookError(
            f"{len(changed)} files differ from the last commit: {', '.join(changed[:3])}"
            + (" and more." if len(changed) > 3 else "."),
            why="A package should be one that can be made again.",
            next_step="Commit or put them back; `--dirty` takes them as they are.",
        )
    with tempfile.TemporaryDirectory(prefix="workbook-bundle-") as scratch:
        tree = Path(scratch) / NAME
        for name in tracked:
            if name.startswith(_TAKEN) and not _LEFT.match(name):
                write_atomically(tree / name, _for_learners(name, (course.root / name).read_bytes()))
        write_atomically(tree / "README.md", (course.root / "docs" / "learner.md").read_bytes())
        generate(Course(tree))
        _refuse_leaks(tree, course)
        files = sorted(path for path in tree.rglob("*") if path.is_file())
        path = to or course.build / "bundle" / f"{NAME}.zip"
        write_atomically(path, _zipped(tree, files))
    return Bundle(path, len(files), path.stat().st_size, commit, tuple(changed))


def _checkout(root: Path) -> tuple[list[str], list[str], str]:
    """What git tracks, which of it differs from the last commit, and that commit."""

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
        if done.returncode:
            raise WorkbookError(
                "The workbook's folder is no git checkout.",
                why="A package is made from the files that git tracks, so that nothing else gets into it.",
                next_step="Clone the repository and make the package there.",
            )
        return done.stdout

    tracked = [name for name in git("ls-files", "-z").split("\0") if name and (root / name).is_file()]
    changed = [name for name in git("diff", "--name-only", "-z", "HEAD").split("\0") if name]
    return tracked, changed, git("rev-parse", "--short", "HEAD").strip()


def _for_learners(name: str, content: bytes) -> bytes:
    """One file as learners get it."""
    if re.fullmatch(r"(weeks|projects)/[^/]+/source/[^/]+\.md", name):
        return _REGION.sub(_stub, content.decode()).encode()
    if re.fullmatch(r"autograder/rubrics/[^/]+/test_\w+\.py", name):
        return without_hidden_checks(content.decode()).encode()
    return content


def _stub(region: re.Match[str]) -> str:
    """What stands in a solution's place; the markers stay, since a source without them is refused."""
    lines = (BEGIN_SOLUTION, *CODE_STUB.splitlines(), END_SOLUTION)
    return "\n".join(f"{region[1]}{line}" for line in lines)


def _refuse_leaks(tree: Path, course: Course) -> None:
    """See that nothing secret is in the tree.

    Raises:
        WorkbookError: Something is.
    """
    leaks = [leak for leak in find_leaks(tree, course) if leak.secret != MARKER]
    if leaks:
        shown = "; ".join(str(leak).replace(f"{tree}/", "") for leak in leaks[:_SHOWN_LEAKS])
        raise WorkbookError(
            f"The package was not written: {len(leaks)} lines of it are secret.",
            why=shown + ("; and more." if len(leaks) > _SHOWN_LEAKS else "."),
            next_step="Move what is secret into the answers or into a hidden check.",
        )


def _zipped(tree: Path, files: list[Path]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in files:
            entry = zipfile.ZipInfo(str(path.relative_to(tree.parent)), date_time=_EPOCH)
            entry.external_attr = 0o100644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, path.read_bytes())
    return buffer.getvalue()
