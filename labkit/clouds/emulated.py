"""The account that starts by itself where a person names none: AWS by moto, in a process on loopback."""

from __future__ import annotations

import hashlib
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import boto3
import psutil
from botocore.config import Config
from filelock import FileLock

from labkit.clouds import provider
from labkit.course import find_course
from labkit.engines import places
from labkit.environments import REPOSITORY, ensure
from labkit.errors import Unavailable
from labkit.processes import end
from labkit.verdicts import Tier

READY_SECONDS = 30.0
REGION = "us-east-1"
ACCOUNT = "123456789012"


class EmulatedCloud:
    """An AWS account in memory, gone with its process.

    Args:
        folder: Where its process leaves port, pid and log; each folder is an account of its own, and
            each copy of the workbook has one.
    """

    name = "emulated"
    tier = Tier.SIMULATED

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = (folder or _usual()).absolute()

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{(self.folder / 'port').read_text()}"

    @property
    def process(self) -> psutil.Process | None:
        """Its process, if it runs."""
        try:
            process = psutil.Process(int((self.folder / "pid").read_text()))
            ours = str(self.folder) in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE
        except (OSError, ValueError, psutil.Error):
            return None
        return process if ours else None

    def up(self) -> bool:
        """Start it unless it runs; gives whether it was started.

        Raises:
            Unavailable: It did not start.
        """
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._lock():
            if self.process is not None:
                return False
            for name in ("pid", "port"):
                (self.folder / name).unlink(missing_ok=True)
            with (self.folder / "log").open("wb") as log:
                started = subprocess.Popen(
                    command(self.folder),
                    cwd=REPOSITORY,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            self._await(started)
            # The process goes on by itself; nobody here waits for its end.
            started.returncode = 0
        return True

    def down(self, *, purge: bool = False) -> bool:
        """Stop it, and with it all that the account holds; gives whether there was anything to stop."""
        if not self.folder.exists():
            return False
        with self._lock():
            process = self.process
            if process is not None:
                end([process], 5)
            for name in ("pid", "port", *(["log"] if purge else [])):
                (self.folder / name).unlink(missing_ok=True)
        return process is not None

    def environment(self) -> Mapping[str, str]:
        """The variables that lead to this account; see `provider.environment`."""
        return provider.environment(self.url)

    def provider_override(self) -> str:
        """Terraform's provider settings that lead to this account."""
        return provider.override(self.url)

    def session(self) -> Session:
        """What makes boto3 clients of this account."""
        return Session(self.url)

    def agree_to_cost(self, what: str) -> None:
        """Nothing here costs anything."""

    def _lock(self) -> FileLock:
        return FileLock(self.folder.with_name(f"{self.folder.name}.lock"))

    def _await(self, started: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while self.process is None:
            if started.poll() is not None or time.monotonic() > deadline:
                with suppress(ProcessLookupError):
                    started.kill()
                started.wait()
                lines = (self.folder / "log").read_text(errors="replace").strip().splitlines()
                raise Unavailable(
                    "The emulated cloud did not start.",
                    why=lines[-1][-300:] if lines else "It said nothing.",
                    next_step=f"All that it said is in {self.folder / 'log'}.",
                )
            time.sleep(0.02)


class Session:
    """boto3 for an emulated account, whatever credentials the person has.

    Args:
        url: Where the account answers.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        # A session of its own, with everything said: neither variables nor files of the person's are read.
        self._boto = boto3.Session("test", "test", region_name=REGION)

    def client(self, service: str) -> Any:
        """A client of that service."""
        settings = Config(
            s3={"addressing_style": "path"}, retries={"total_max_attempts": 2}, proxies={}, read_timeout=20
        )
        return self._boto.client(service, endpoint_url=self.url, config=settings)


def _usual() -> Path:
    """This copy's: what two learners make on one machine does not meet."""
    copy = hashlib.sha256(str(find_course().root).encode()).hexdigest()[:8]
    return places.running("cloud") / copy


def command(folder: Path | str, port: int = 0) -> list[str]:
    """The command line of an emulator; the port is a free one by default."""
    return [str(ensure("cloud").python), "-m", "labkit.clouds.emulator", str(folder), str(port)]
