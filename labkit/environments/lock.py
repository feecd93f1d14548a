"""Pins an environment: environments/NAME.in, by uv, to environments/NAME.txt."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from labkit.environments import indexes as package_indexes
from labkit.environments import interpreters
from labkit.environments.environment import Environment
from labkit.errors import WorkbookError

COMES_WITH_TORCH = re.compile(r"(nvidia-|cuda-|triton$)")
"""What only a CUDA build of torch requires, and brings along; machines without a GPU do without."""


def lock(name: str, *, root: Path, uv: Path, upgrade: bool = False) -> bool:
    """Pins NAME.in with the hashes of all of the index's wheels.

    Pins that still fit stay as they are, unless `upgrade` asks for the newest.

    Args:
        name: The environment.
        root: The repository.
        uv: The installer.
        upgrade: Whether to take the newest versions.

    Returns:
        Whether the pins changed.

    Raises:
        WorkbookError: There is no such file, or no set of versions fits together.
    """
    folder = root / "environments"
    source = folder / f"{name}.in"
    if not source.exists():
        raise WorkbookError(f"There is no environments/{name}.in.", next_step="Write what it requires there.")
    pinned = folder / f"{name}.txt"
    before = pinned.read_text() if pinned.exists() else ""
    # Wheels of this machine alone have other hashes than the index's: only the index itself is asked.
    ours = package_indexes.from_pip(Environment("core", root).python)
    arguments = ["--default-index", ours.index_url] if ours.index_url else []
    draft = folder / f"{name}.txt.draft"
    try:
        draft.write_text(before)
        subprocess.run(
            [
                *(str(uv), "pip", "compile", f"environments/{name}.in", "--output-file", str(draft)),
                *("--universal", "--python-version", "3.11", "--generate-hashes", "--no-header", "--quiet"),
                *(["--upgrade"] if upgrade else []),
                *arguments,
            ],
            check=True,
            cwd=root,
            env=interpreters.clean_environment() | ours.environment | {"UV_PYTHON_DOWNLOADS": "never"},
        )
        after = without_cuda(draft.read_text(), asked_for=source.read_text())
    except subprocess.CalledProcessError as error:
        raise WorkbookError(
            f"environments/{name}.in could not be pinned.", why="uv says above why."
        ) from error
    finally:
        draft.unlink(missing_ok=True)
    if after != before:
        pinned.write_text(after)
    return after != before


def without_cuda(pins: str, *, asked_for: str = "") -> str:
    """Leaves out what comes along with a CUDA torch, and torch's hashes: its builds differ.

    Args:
        pins: The pinned requirements.
        asked_for: The requirements themselves; what they name stays, whatever it is called.
    """
    named = {re.split(r"[^\w.-]", line)[0] for line in asked_for.splitlines()}
    blocks = re.split(r"(?m)^(?=[A-Za-z0-9])", pins)
    kept = [
        block
        for block in blocks
        if (name := block.split("==")[0]) in named or not COMES_WITH_TORCH.match(name)
    ]
    return "".join(_without_hashes(block) if block.startswith("torch==") else block for block in kept)


def _without_hashes(block: str) -> str:
    first, *rest = block.splitlines(keepends=True)
    return first.replace(" \\", "") + "".join(line for line in rest if "--hash=" not in line)
