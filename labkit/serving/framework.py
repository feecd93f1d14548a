"""What all frameworks share: a place to run in, a command to start, waiting for the first right answer."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

import numpy as np
import psutil

from labkit import environments
from labkit.environments import Environment
from labkit.errors import Unavailable, WorkFault
from labkit.isolation import network as networks
from labkit.isolation.guard import Guard, Guarded, current
from labkit.isolation.mounts import HOME, Shown
from labkit.isolation.network import Network
from labkit.processes import Process
from labkit.serving.base import Endpoint
from labkit.serving.caller import Caller, NoAnswer
from labkit.serving.deployment import MOST_ROWS, Deployment, Signature
from labkit.serving.protocols import DIALECTS, MODEL, Dialect
from labkit.serving.script import _listens as accepts
from labkit.serving.script import free_port

PROGRAMS = Path(__file__).parent / "programs"
CONTRACT = Path(__file__).parent / "protocols" / "inference.proto"
HANDLER = "handler.py"
LOG_BYTES_SHOWN = 160
WRONG_SECONDS = 8.0
"""For how long a server may answer that it can't predict, before it is given up."""


@dataclass(frozen=True)
class Place:
    """Where a server is laid out before it starts.

    Attributes:
        folder: Holds the programs, the folder `model`, and what the backend writes.
        inside: The same folder as the server sees it: in a sandbox it lies elsewhere.
        python: The interpreter of the framework's environment.
        ports: By what they are for; `http` and `grpc` are always there.
    """

    folder: Path
    inside: Path
    python: Path
    ports: Mapping[str, int]

    @property
    def bin(self) -> Path:
        """The folder of the environment's programs."""
        return self.python.parent


class FrameworkServer:
    """A model server of one framework; a backend says how it is configured and started.

    Args:
        deployment: The framework's settings.
        signature: What the model takes.
        log: Where its output is kept; a file beside its other files, gone at the end, by default.
        patience: Seconds until it has to answer.
        guard: What keeps it apart; that of this process by default.

    Used as a context manager it stops the server at the end.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    """Its name for people."""
    environment: ClassVar[str] = "core"
    """The environment that it runs in, `environments/NAME.txt`."""
    runs: ClassVar[str]
    """What really runs, in a line."""
    protocols: ClassVar[tuple[str, ...]]
    """The dialects that it speaks, the first one by default."""
    batches: ClassVar[bool] = True
    """Whether it can put requests together."""
    scales: ClassVar[bool] = True
    """Whether it can have several workers."""
    everywhere: ClassVar[bool] = False
    """Whether it insists on listening on every address: then it gets a network of its own."""
    more_ports: ClassVar[tuple[str, ...]] = ()
    programs: ClassVar[tuple[str, ...]] = ()
    """Its own files of `labkit/serving/programs`."""

    def __init__(
        self,
        deployment: Deployment | None = None,
        *,
        signature: Signature | None = None,
        log: Path | None = None,
        patience: float = 90.0,
        guard: Guard | None = None,
    ) -> None:
        self.deployment = deployment or Deployment(framework=self.name)
        self.signature = signature or Signature()
        self.log = log
        self.patience = patience
        self.guard = guard or current()
        self._guarded: Guarded | None = None
        self._stack = ExitStack()
        self._check()

    def _check(self) -> None:
        protocol = self.deployment.protocol
        if protocol and protocol not in self.protocols:
            raise WorkFault(
                f"{self.title} does not speak {protocol!r}.",
                next_step=f"Choose from {', '.join(self.protocols)}.",
            )
        if self.deployment.batch_size > 1 and not self.batches:
            raise WorkFault(
                f"{self.title} does not put requests together by itself.",
                next_step="Set batch_size = 1, or choose a framework that does.",
            )
        if self.deployment.workers > 1 and not self.scales:
            raise WorkFault(
                f"{self.title} runs one worker here.",
                next_step="Set workers = 1, or choose a framework that has more.",
            )

    @classmethod
    def lacks(cls) -> str:
        """Why it can't start now without further ado; empty if nothing is missing. Takes milliseconds."""
        if cls.environment == "core":
            return ""
        flaw = Environment(cls.environment).flaw()
        return f"the environment {cls.environment}: {flaw.reason}" if flaw else ""

    @classmethod
    def make_ready(cls) -> None:
        """Make its environment, with progress.

        Raises:
            WorkbookError: It can't be made.
        """
        if cls.environment != "core":
            environments.ensure(cls.environment)

    @property
    def dialect(self) -> Dialect:
        """How it is asked."""
        return DIALECTS[self.deployment.protocol or self.protocols[0]]

    @property
    def process(self) -> Process | None:
        """The server's process, running or ended; None before the first start."""
        return self._guarded.process if self._guarded else None

    @abstractmethod
    def command(self, place: Place) -> Sequence[str | Path]:
        """What starts it, in `place.folder`; paths in it are relative to that folder."""

    def lay(self, place: Place) -> None:
        """Write what the framework wants beside the programs: configurations, a model repository."""

    def variables(self, place: Place) -> dict[str, str]:
        """Variables of the process, beside the settings that every program reads."""
        return {}

    def start(self, model: Path, port: int | None = None) -> Endpoint:
        """Serve `model.onnx` in that folder, by its `handler.py` if there is one.

        Raises:
            WorkFault: It ended, or did not answer in time.
            Unavailable: Its environment is not made, or this machine can't run it.
        """
        if self._guarded is not None and self._guarded.process.exit_code is None:
            raise RuntimeError("this server is running already: stop it first")
        self.close()
        if lacking := self.lacks():
            raise Unavailable(
                f"{self.title} is not ready here.",
                why=f"It lacks {lacking}.",
                next_step=f"Run: make serving FRAMEWORKS={self.name}",
            )
        self._has_model(model)
        try:
            return self._start(model, port)
        except BaseException:
            self.close()
            raise

    def _has_model(self, model: Path) -> None:
        """Go on if the folder holds what is served."""
        if not (model / "model.onnx").is_file():
            raise WorkFault(f"There is no model.onnx in {model.name}.", next_step="Put the model there.")

    def _start(self, model: Path, port: int | None) -> Endpoint:
        folder = self._temporary()
        transport = self.dialect.transport
        ports = {name: free_port() for name in ("http", "grpc", *self.more_ports)}
        ports[transport] = port or ports[transport]
        environment = Environment(self.environment)
        inside = Path(HOME) if self.guard.isolation.sandboxed else folder / "work"
        place = Place(folder / "work", inside, environment.python, ports)
        self._lay(place, model)
        shown = [] if self.environment == "core" else [Shown(environment.path)]
        command = [str(part) for part in self.command(place)]
        if self.everywhere and not self.guard.isolation.sandboxed:
            command = networks.alone(command)
        guarded = self._guarded = self.guard.start(
            command,
            place.folder,
            log=self.log or folder / "log",
            environment=self._variables(place),
            shown=shown,
        )
        self._stack.callback(guarded.close)
        endpoint = Endpoint(
            url=f"{transport}://127.0.0.1:{ports[transport]}",
            port=ports[transport],
            pid=guarded.process.pid,
            start_seconds=0.0,
            memory_bytes=0,
            protocol=transport,
            network=guarded.network or self._own_network(guarded),
        )
        self._wait_for_an_answer(guarded.process, endpoint)
        return replace(
            endpoint, start_seconds=guarded.process.seconds, memory_bytes=memory_of(guarded.process)
        )

    def _temporary(self) -> Path:
        """A folder that is gone when the server is closed."""
        name = tempfile.TemporaryDirectory(prefix="serving-", ignore_cleanup_errors=True)
        return Path(self._stack.enter_context(name))

    def _lay(self, place: Place, model: Path) -> None:
        """Copy the programs and the model, then let the backend write its own files."""
        (place.folder / MODEL).mkdir(parents=True)
        for program in ("serving.py", "batching.py", *self.programs):
            shutil.copyfile(PROGRAMS / program, place.folder / program)
        shutil.copyfile(CONTRACT, place.folder / CONTRACT.name)
        shutil.copyfile(PROGRAMS / HANDLER, place.folder / MODEL / HANDLER)
        for path in model.iterdir():
            if path.is_file() and path.suffix in (".onnx", ".py", ".safetensors", ".json", ".toml"):
                shutil.copyfile(path, place.folder / MODEL / path.name)
        self.lay(place)

    def _variables(self, place: Place) -> dict[str, str]:
        settings = {
            **self.deployment.plain(),
            "name": MODEL,
            "port": place.ports["http"],
            "grpc_port": place.ports["grpc"],
            "width": self.signature.width,
            "dtype": self.signature.dtype,
            "datatype": self.signature.datatype,
            "outputs": self.signature.outputs,
            "most_rows": MOST_ROWS,
        }
        own = {} if self.guard.isolation.sandboxed else {"TMPDIR": str(place.folder)}
        programs = [str(place.bin), "/usr/local/bin", "/usr/bin", "/bin"]
        return {
            "PATH": os.pathsep.join(programs),
            "SERVING": json.dumps(settings),
            "PYTHONDONTWRITEBYTECODE": "1",
            "OMP_NUM_THREADS": str(self.deployment.threads),
            **own,
            **self.variables(place),
        }

    def _own_network(self, guarded: Guarded) -> Network | None:
        """The network that `everywhere` has brought; None if it is the machine's."""
        if not self.everywhere:
            return None
        network = networks.of_its_own(guarded.process.pid)
        if network is None:
            raise Unavailable(
                f"{self.title} can't be run here: it listens on every address, not on loopback alone.",
                why=" ".join(guarded.process.last_lines(1)) or "This machine gives it no network of its own.",
                next_step="Run it as root, or where user namespaces are open.",
            )
        self._stack.callback(network.close)
        return network

    def _wait_for_an_answer(self, process: Process, endpoint: Endpoint) -> None:
        rows = np.zeros((1, self.signature.width), dtype=self.signature.dtype)
        said, wrong_since = "it does not listen", None
        with Caller(endpoint, self.dialect, self.signature) as caller:
            while process.seconds < self.patience:
                if process.exit_code is not None:
                    raise WorkFault(
                        f"{self.title} did not start: it ended with exit code {process.exit_code} "
                        f"after {process.seconds:.1f} s{reason(process)}."
                    )
                if listens(endpoint):
                    try:
                        answer = caller.predict(rows, seconds=min(10.0, self.patience))
                    except NoAnswer as error:
                        said = str(error)
                        # It may say so while it loads the model, but not for long.
                        wrong_since = (wrong_since or process.seconds) if error.spoken else None
                    else:
                        if answer.shape == (1, self.signature.outputs):
                            return
                        raise WorkFault(
                            f"{self.title} answers arrays of shape {answer.shape} to one row.",
                            why=f"The model gives {self.signature.outputs} numbers for each.",
                        )
                    if wrong_since is not None and process.seconds - wrong_since > WRONG_SECONDS:
                        break
                time.sleep(0.05)
        raise WorkFault(
            f"{self.title} did not answer a prediction within {process.seconds:.0f} s.",
            why=f"At last {said[:LOG_BYTES_SHOWN]}{reason(process)}.",
        )

    def caller(self, endpoint: Endpoint) -> Caller:
        """A client that asks it one thing at a time."""
        return Caller(endpoint, self.dialect, self.signature)

    def stop(self) -> None:
        """End the server and all that it started; harmless when it is not running."""
        if self._guarded is not None:
            self._guarded.process.stop()

    def close(self) -> None:
        """Stop it and forget what it left."""
        self.stop()
        self._stack.close()
        self._guarded = None

    def __enter__(self) -> Self:
        """Nothing happens yet: `start` starts it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the server."""
        self.close()


def listens(endpoint: Endpoint) -> bool:
    """Whether something accepts connections there."""
    network = endpoint.network
    return accepts(endpoint.port) if network is None else endpoint.port in network.listening()


def memory_of(process: Process) -> int:
    """Memory of the whole family; what processes share is counted once where Linux says so (PSS)."""
    total = 0
    for each in process.family():
        try:
            whole: Any = each.memory_full_info()
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        total += getattr(whole, "pss", whole.rss)
    return total


def reason(process: Process) -> str:
    """The last line of its log that names an error, in parentheses."""
    lines = [line.strip() for line in process.last_lines(60) if line.strip()]
    named = [line for line in lines if "Error" in line or "error" in line or "Exception" in line]
    chosen = (named or lines)[-1:]
    return f" ({chosen[0][:LOG_BYTES_SHOWN]})" if chosen else ""
