"""A server that is a Python script: it reads the variable PORT and listens there, on 127.0.0.1."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from labkit.errors import WorkFault
from labkit.isolation.files import read_plain
from labkit.isolation.guard import PYTHON, Guard, Guarded, current
from labkit.processes import Process, listening_ports
from labkit.serving.base import Endpoint


class ScriptServer:
    """Runs `python serve.py` in the model's folder and waits until it listens.

    Args:
        script: The script's name in that folder.
        log: Where its output is kept; `SCRIPT.log` in the model's folder by default.
        environment: Variables to add.
        patience: Seconds until it has to listen.
        guard: What keeps it apart; that of this process by default.

    Used as a context manager it stops the server at the end.
    """

    def __init__(
        self,
        script: str = "serve.py",
        *,
        log: Path | None = None,
        environment: Mapping[str, str] | None = None,
        patience: float = 30.0,
        guard: Guard | None = None,
    ) -> None:
        self.script = script
        self.log = log
        self.environment = dict(environment or {})
        self.patience = patience
        self.guard = guard or current()
        self._guarded: Guarded | None = None

    @property
    def process(self) -> Process | None:
        """The server's process, running or ended; None before the first start."""
        return self._guarded.process if self._guarded else None

    def start(self, model: Path, port: int | None = None) -> Endpoint:
        """Start the script and wait for its port.

        Raises:
            WorkFault: There is no such script, it ended, or it did not listen on PORT in time.
        """
        if self._guarded is not None and self._guarded.process.exit_code is None:
            raise RuntimeError("this server is running already: stop it first")
        self.close()
        if not (model / self.script).is_file():
            raise WorkFault(
                f"There is no {self.script} in {model.name}.",
                why="The server starts from that file.",
                next_step=f"Put it back: `workbook reset` keeps your files and lays a fresh {self.script}.",
            )
        port = port or free_port()
        guarded = self._guarded = self.guard.start(
            [PYTHON, self.script],
            model,
            log=self.log or model / f"{Path(self.script).stem}.log",
            environment={**self.environment, "PORT": str(port)},
        )
        try:
            self._wait_for(guarded, port)
        except BaseException:
            self.stop()
            raise
        return Endpoint(
            url=f"http://127.0.0.1:{port}",
            port=port,
            pid=guarded.process.pid,
            start_seconds=guarded.process.seconds,
            memory_bytes=guarded.process.memory_bytes(),
            network=guarded.network,
        )

    def stop(self) -> None:
        """End the server and all that it started; harmless when it is not running."""
        if self._guarded is not None:
            self._guarded.process.stop()

    def close(self) -> None:
        """Stop it and forget what it left."""
        if self._guarded is not None:
            self._guarded.close()
            self._guarded = None

    def left(self, name: str, most: int = 1 << 20) -> bytes | None:
        """What it wrote into a file of its folder; None if there is no such plain file. It may still run."""
        return read_plain(self._guarded.home / name, most) if self._guarded else None

    def has_ended(self, within: float = 0.0) -> bool:
        """Whether the server ends by itself within that many seconds.

        A connection is closed a moment before the process that held it is gone.
        """
        if self.process is None:
            return False
        deadline = time.monotonic() + within
        while self.process.exit_code is None and time.monotonic() < deadline:
            time.sleep(0.02)
        return self.process.exit_code is not None

    def _wait_for(self, guarded: Guarded, port: int) -> None:
        process, network = guarded.process, guarded.network
        while process.seconds < self.patience:
            if process.exit_code is not None:
                raise WorkFault(
                    f"The server did not start: {self.script} ended with exit code {process.exit_code} "
                    f"after {process.seconds:.1f} s{_reason(process)}.",
                    next_step="Run it in a terminal to see all of its output: "
                    f"`PORT=8000 python {self.script}`.",
                )
            if _listens(port) if network is None else port in network.listening():
                return
            time.sleep(0.02)
        others = sorted(listening_ports(process.family()) if network is None else network.listening())
        raise WorkFault(
            f"The server did not start: {self.script} ran for {self.patience:.0f} s "
            f"and did not listen on the port in the variable PORT ({port}).",
            why=f"It listens on {', '.join(map(str, others))} instead." if others else "",
            next_step='Listen on int(os.environ["PORT"]), on 127.0.0.1.',
        )

    def __enter__(self) -> ScriptServer:
        """Nothing happens yet: `start` starts it."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the server."""
        self.close()


def free_port() -> int:
    """A TCP port on loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _listens(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=0.5):
            return True
    except OSError:
        return False


def _reason(process: Process) -> str:
    """The line in which Python names the error, with the last line number in the script's folder."""
    lines = process.last_lines(40)
    errors = [line for line in lines if re.match(r"[\w.]*(Error|Exception|Interrupt|Exit)\b", line)]
    places = [
        match[1]
        for line in lines
        if (match := re.search(r'File "([^"]+", line \d+)', line)) and "site-packages" not in line
    ]
    named = errors[-1][:200] if errors else (lines[-1][:200] if lines else "")
    place = Path(places[-1].split('"')[0]).name + places[-1].split('"')[1] if places else ""
    return f" ({named}{' in ' + place.replace(',', '', 1).strip() if place else ''})" if named else ""
