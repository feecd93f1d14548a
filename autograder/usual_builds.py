"""The builds that most of what is handed in begins like: they are done once, before images are graded."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from autograder.answers import REFERENCE, answers_of
from autograder.handouts import lay_handout
from autograder.loading import load_rubric
from autograder.validate import hash_tree
from labkit.course import Lab
from labkit.engines.dockerfile import Dockerfile
from labkit.engines.guarded import Usual


@contextmanager
def usual_builds(labs: Iterable[Lab]) -> Iterator[tuple[list[Usual], str]]:
    """The Dockerfiles handed out and the reference's, laid out to be built, and what they are known by.

    A learner's build that begins like one of them takes its layers from the cache. Where there are no
    answers, as on another machine of a cluster, the handed-out ones have to do.
    """
    with tempfile.TemporaryDirectory(prefix="workbook-usual-") as scratch:
        builds: list[Usual] = []
        for lab in labs:
            rubric = load_rubric(lab)
            if not any("python_images" in spec.needs for spec in rubric.checks):
                continue
            work = Path(scratch) / lab.id.replace("/", "-")
            lay_handout(lab, work)
            builds += [Usual(work, path.name) for path in sorted(work.glob("Dockerfile.*"))]
            if rubric.answers.is_dir():
                solved = work.with_name(f"{work.name}-solved")
                lay_handout(lab, solved)
                reference = next(answer for answer in answers_of(rubric) if answer.name == REFERENCE)
                reference.lay_over(solved)
                builds += (
                    [Usual(solved, _without_digests(solved))] if (solved / "Dockerfile").is_file() else []
                )
        yield builds, hash_tree(sorted(Path(scratch).iterdir())) if builds else ""


def _without_digests(folder: Path) -> str:
    """A copy of the Dockerfile as it is built here, where a learner's digests stand for our own copies."""
    copy = folder / "Dockerfile.tagged"
    copy.write_text(Dockerfile((folder / "Dockerfile").read_text()).with_bases(lambda base: base.tagged))
    return copy.name
