"""What checks judge: the learner's files, copied, and the server that those files make, really started."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

from autograder.served import Served
from labkit.errors import WorkFault

WORK_BYTES = 64 << 20
WORK_FILES = 2000
_IGNORED = {"__pycache__", ".ipynb_checkpoints", ".venv", "node_modules"}


@pytest.fixture(scope="session")
def lab_name(request: pytest.FixtureRequest) -> str:
    """The lab's name, `01_fastapi_server`."""
    return Path(request.config.args[0]).stem.removeprefix("test_")


@pytest.fixture(scope="session")
def submitted(request: pytest.FixtureRequest, lab_name: str) -> Path:
    """The folder that the learner edits; checks read it and never write there."""
    work: Path = request.config.getoption("--work")
    folder = work / lab_name
    if not folder.is_dir():
        raise WorkFault(
            f"There is no folder {lab_name} in {work.name}.",
            why="The lab's files belong there.",
            next_step="Put the folder back, or start afresh with `workbook lab`.",
        )
    return folder


@pytest.fixture(scope="session")
def scratch() -> Generator[Path, None, None]:
    """A folder for this run, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="workbook-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def work(submitted: Path, scratch: Path) -> Path:
    """A copy of the learner's files, to run and to tamper with."""
    return copy_work(submitted, scratch / "work")


@pytest.fixture(scope="session")
def logs(request: pytest.FixtureRequest) -> Path:
    """Where servers' logs are kept."""
    folder: Path = request.config.getoption("--logs")
    return folder


@pytest.fixture(scope="session")
def server(work: Path, logs: Path, lab_name: str) -> Generator[Served, None, None]:
    """The learner's `serve.py`, started once for all checks."""
    with Served(work, log=logs / f"{lab_name}.log") as served:
        served.start()
        yield served


def copy_work(source: Path, target: Path) -> Path:
    """Copy a learner's plain files; links are left out, and there is a limit.

    Raises:
        WorkFault: There are too many files, or too many bytes.
    """
    files = [
        path
        for path in source.rglob("*")
        if path.is_file() and not path.is_symlink() and not _IGNORED & set(path.relative_to(source).parts)
    ]
    size = sum(path.stat().st_size for path in files)
    if len(files) > WORK_FILES or size > WORK_BYTES:
        raise WorkFault(
            f"{source.name} holds {len(files)} files of {size >> 20} MiB together.",
            why=f"At most {WORK_FILES} files and {WORK_BYTES >> 20} MiB are taken.",
            next_step="Move what does not belong to the lab elsewhere.",
        )
    for path in files:
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    target.mkdir(parents=True, exist_ok=True)
    return target
