"""Makes an environment, or does what it lacks; interrupted at any point, the next run begins cleanly."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TextIO

from labkit.environments import indexes as package_indexes
from labkit.environments import interpreters
from labkit.environments.environment import Environment, Flaw
from labkit.errors import WorkbookError

Say = Callable[[str], None]


def say_on_stderr(line: str) -> None:
    """Says one line of progress."""
    print(line, file=sys.stderr, flush=True)


def ensure(
    name: str = "core",
    *,
    root: Path | None = None,
    wanted: str | Path | None = None,
    say: Say = say_on_stderr,
) -> Environment:
    """Makes the environment if it is not there, mends it if it is not as it should be, else does nothing.

    Args:
        name: That of its requirements file, environments/NAME.txt.
        root: The repository, if not this one.
        wanted: The interpreter to make it from, if not the one that `interpreters.find` chooses.
        say: Takes the lines of progress.

    Returns:
        The environment, ready.

    Raises:
        WorkbookError: It can't be made; what to do is said.
    """
    environment = Environment(name) if root is None else Environment(name, root.resolve())
    if environment.flaw(wanted) is None:
        return environment
    with _alone(environment, say) as lock:
        flaw = environment.flaw(wanted)  # again: whoever held the lock may have done it all
        if flaw is not None:
            _Installation(environment, say, lock).run(flaw, wanted)
    return environment


def remove(environment: Environment, *, say: Say = say_on_stderr) -> None:
    """Remove an environment; whoever needs it makes it again.

    Args:
        environment: Which one; one that the workbook did not make is left alone.
        say: Takes a line, if another set-up of it has to be waited for.
    """
    with _alone(environment, say):
        if environment.read_stamp():
            shutil.rmtree(environment.path)


@contextmanager
def _alone(environment: Environment, say: Say) -> Iterator[TextIO]:
    """Holds the environment's lock.

    The children inherit the open file and with it the lock: if this process is killed, whoever comes next
    waits until the orphaned installer has ended, too.
    """
    path = environment.root / ".environments" / f"{environment.name}.lock"
    path.parent.mkdir(exist_ok=True)
    with path.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip()
            say(f"Waiting for another set-up of the {environment.name} environment (process {holder}).")
            fcntl.flock(lock, fcntl.LOCK_EX)
        lock.seek(0)
        lock.truncate()
        lock.write(str(os.getpid()))
        lock.flush()
        yield lock


class _Installation:
    """One run of the installation, under the environment's lock."""

    def __init__(self, environment: Environment, say: Say, lock: TextIO) -> None:
        self.environment = environment
        self.say = say
        self.lock = lock
        self.variables = interpreters.clean_environment() | {
            "UV_PYTHON_DOWNLOADS": "never",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_NO_INPUT": "1",
        }

    def run(self, flaw: Flaw, wanted: str | Path | None) -> None:
        """Does what the flaw asks for."""
        began = time.monotonic()
        environment = self.environment
        place = environment.path.relative_to(environment.root)
        self.say(f"Setting up {place}: {flaw.reason}.")
        environment.requirements_hash()  # a misspelt name is said before anything is made
        if flaw.remake:
            interpreter = interpreters.find(wanted)
            self._clear(flaw)
            self._make(interpreter)
        stamp = environment.read_stamp()
        environment.write_stamp(stamp | {"finished": False})
        self.indexes = package_indexes.from_pip(environment.python)
        self.variables |= self.indexes.environment
        self._choose_cache()
        self.uv = self._find_uv()
        if not flaw.project_only:
            self._install_requirements()
        if environment.holds_project:
            self.say("  Installing the workbook itself.")
            self._uv("pip", "install", "--quiet", "--no-deps", "--editable", str(environment.root))
        environment.write_stamp(
            stamp
            | {
                "finished": True,
                "requirements": environment.requirements_hash(),
                "project": environment.project_hash(),
            }
        )
        self.say(f"{place} is ready ({time.monotonic() - began:.0f} s).")

    def _clear(self, flaw: Flaw) -> None:
        """Makes room: what we made is deleted, what somebody else made is set aside."""
        path = self.environment.path
        if not path.exists() and not path.is_symlink():
            return
        if flaw.foreign or path.is_symlink():
            aside = self.environment.root / ".environments" / f"{path.name}.{datetime.now():%Y-%m-%d.%H%M%S}"
            path.rename(aside)
            self.say(f"  The one that was there is kept as {aside.relative_to(self.environment.root)}.")
        else:
            shutil.rmtree(path)

    def _make(self, interpreter: interpreters.Interpreter) -> None:
        environment = self.environment
        self.say(f"  Making it from {interpreter}.")
        environment.path.mkdir(parents=True)
        stamp = {"finished": False, "path": str(environment.path), "interpreter": str(interpreter.executable)}
        environment.write_stamp(stamp)  # first of all, so that a half-made one is known as ours
        self._command([str(interpreter.executable), "-I", "-m", "venv", str(environment.path)])

    def _choose_cache(self) -> None:
        """Gives uv a cache within the repository where the home folder can't be written."""
        if "UV_CACHE_DIR" in self.variables:
            return
        home = self.variables.get("HOME") or "/nonexistent"
        base = Path(self.variables.get("XDG_CACHE_HOME") or f"{home}/.cache")
        try:
            base.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=base):
                pass
        except OSError:
            self.variables["UV_CACHE_DIR"] = str(self.environment.root / "build" / "cache" / "uv")

    def _find_uv(self) -> Path:
        """The pinned uv: core's own, which it first gets by pip; the other environments use core's."""
        root = self.environment.root
        core = Environment("core", root)
        uv = core.path / "bin" / "uv"
        if self.environment.name != "core" and core.flaw() is None and uv.exists():
            return uv
        own = self.environment.path / "bin" / "uv"
        if not own.exists():
            pinned = root / "environments" / "uv.txt"
            self.say("  Fetching the installer, uv.")
            pip = [str(self.environment.python), "-I", "-m", "pip"]
            self._command([*pip, "install", "--quiet", "--requirement", str(pinned)])
        return own

    def _install_requirements(self) -> None:
        pins = self.environment.requirements.read_text()
        count = sum(line[:1].isalnum() for line in pins.splitlines())
        self.say(f"  Installing {count} packages; the first time this takes minutes.")
        arguments = ["--requirement", str(self.environment.requirements), "--compile-bytecode"]
        torch = package_indexes.torch_source(pins, self.indexes)
        if torch is not None:
            self.say(f"  {torch.words}.")
            arguments += torch.arguments
        self._uv("pip", "install", *([] if sys.stderr.isatty() else ["--quiet"]), *arguments)

    def _uv(self, *arguments: str) -> None:
        command = [str(self.uv), *arguments, "--python", str(self.environment.python)]
        self._command([*command, *self.indexes.uv_arguments()])

    def _command(self, command: list[str]) -> None:
        try:
            subprocess.run(
                command,
                check=True,
                env=self.variables,
                cwd=self.environment.root,
                stdin=subprocess.DEVNULL,
                pass_fds=[self.lock.fileno()],
            )
        except subprocess.CalledProcessError as error:
            raise WorkbookError(
                f"{self.environment.path.name} could not be set up.",
                why=f"{Path(command[0]).name} ended with exit code {error.returncode}; see above.",
                next_step="Run the same command again: it begins where nothing is half-done.",
            ) from error
