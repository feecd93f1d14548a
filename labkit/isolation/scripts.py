"""A learner's script, run to its end under a guard; of what it left, the plain files that were asked for."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from labkit.errors import WorkFault
from labkit.isolation import guard as guards
from labkit.isolation.files import read_plain
from labkit.isolation.guard import PYTHON, Guard
from labkit.isolation.mounts import Shown

FILE_BYTES = 64 << 20
"""The most that one of its files may hold."""
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""Small networks are trained no faster by more threads, and on a busy machine those wait for each other."""


def run_script(
    script: str,
    folder: Path,
    *,
    makes: Sequence[str],
    into: Path,
    log: Path,
    seconds: float = 120.0,
    python: str = PYTHON,
    shown: Iterable[Shown] = (),
    covered: Iterable[str] = (),
    guard: Guard | None = None,
) -> list[Path]:
    """Run `python SCRIPT` in a folder, on one thread, and take the files that it should make.

    Args:
        script: The script's name in the folder.
        folder: The learner's files; without a guard the script runs in this very folder.
        makes: The names of the files that it should leave there.
        into: The folder that they are copied to; may be the same one.
        log: Where its output goes.
        seconds: How long it may take.
        python: The interpreter.
        shown: Further files that it reads.
        covered: Folders that look empty to it, under a guard that can cover them.
        guard: What keeps it apart; that of this process by default.

    Returns:
        The copies, in the order of `makes`.

    Raises:
        WorkFault: It is not there, failed, took too long, or did not make one of them anew.
    """
    if not (folder / script).is_file():
        raise WorkFault(f"There is no {script} in {folder.name}.", next_step="Put the file back.")
    for name in makes:
        (folder / name).unlink(missing_ok=True)
    guarded = (guard or guards.current()).start(
        [python, script],
        folder,
        log=log,
        environment=ONE_THREAD,
        shown=shown,
        covered=covered,
    )
    try:
        while guarded.process.exit_code is None:
            if guarded.process.seconds > seconds:
                raise WorkFault(f"{script} had not ended after {seconds:.0f} s.")
            time.sleep(0.02)
        if guarded.process.exit_code:
            said = " ".join(guarded.process.last_lines(1))[:200].rstrip(".")
            raise WorkFault(
                f"{script} ended with exit code {guarded.process.exit_code}.",
                why=f"Its last line: {said}." if said else "",
            )
        into.mkdir(parents=True, exist_ok=True)
        return [_take(guarded.home / name, into / name, script) for name in makes]
    finally:
        guarded.close()


def _take(left: Path, target: Path, script: str) -> Path:
    content = read_plain(left, FILE_BYTES)
    if content is None:
        raise WorkFault(
            f"{script} made no {left.name}.",
            why=f"A plain file of at most {FILE_BYTES >> 20} MiB was expected beside it.",
        )
    target.write_bytes(content)
    return target
