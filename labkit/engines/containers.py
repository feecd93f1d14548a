"""A container on any engine that speaks Docker's API."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import docker.errors
import docker.models.containers
import requests.exceptions

from labkit.engines.base import EngineLost, Output
from labkit.errors import WorkFault
from labkit.isolation.network import Network
from labkit.isolation.relay import Relay

_LISTEN = "0A"
OUTPUT_BYTES = 1 << 20


class Fence(Protocol):
    """What keeps an engine's containers apart from this machine."""

    @property
    def network(self) -> Network:
        """The network that its ports are published in."""
        ...

    def pid_of(self, container: str) -> int:
        """A process of a container as this machine numbers it; 0 if there is none."""
        ...


class DockerContainer:
    """A started container; see `labkit.engines.base.Container`.

    Args:
        container: The library's.
        bridge: Whether it has a network of its own.
        fence: What it is behind, if it is.
    """

    def __init__(
        self, container: docker.models.containers.Container, *, bridge: bool, fence: Fence | None = None
    ) -> None:
        self.id = str(container.id)
        self._container = container
        self._bridge = bridge
        self._fence = fence
        self._relays: dict[int, Relay] = {}

    def url(self, port: int) -> str:
        """Where a published port answers, `http://127.0.0.1:PORT`."""
        return f"http://127.0.0.1:{self._host_port(port)}"

    def _host_port(self, port: int) -> int:
        if not self._bridge:
            return port
        with lost_engine():
            if not self._container.ports.get(f"{port}/tcp"):
                self._container.reload()
        bound = self._container.ports.get(f"{port}/tcp")
        if not bound:
            raise WorkFault(f"The container's port {port} is not published.", why=self._how_it_ended())
        published = int(bound[0]["HostPort"])
        if self._fence is None:
            return published
        if published not in self._relays:
            self._relays[published] = Relay(self._fence.network, published, tcp=True)
        return self._relays[published].port

    def _pid(self, state: Mapping[str, Any]) -> int:
        """A process of it as this machine numbers it; 0 if it has none."""
        return self._fence.pid_of(self.id) if self._fence is not None else int(state.get("Pid") or 0)

    def logs(self, lines: int = 50) -> str:
        """The last lines that it printed."""
        with lost_engine():
            said: bytes = self._container.logs(tail=lines)
        return said[-OUTPUT_BYTES:].decode(errors="replace")

    def exec(self, command: Sequence[str], *, seconds: float = 30) -> Output:
        """Run a command in it.

        Raises:
            WorkFault: It does not run, has no such program, or the command did not end in time.
        """
        client = self._container.client
        assert client is not None
        api = client.api
        with lost_engine(), _timeout(api, seconds):
            try:
                created = api.exec_create(self.id, list(command))
                text = _first(api.exec_start(created["Id"], stream=True), time.monotonic() + seconds)
                if text is None:
                    raise requests.exceptions.ReadTimeout
                code = int(api.exec_inspect(created["Id"])["ExitCode"])
            except requests.exceptions.ReadTimeout as late:
                raise WorkFault(
                    f"`{command[0]}` did not end in the container within {seconds:.0f} s."
                ) from late
            except docker.errors.APIError as refused:
                raise WorkFault(
                    f"`{command[0]}` can't be run in the container.", why=_explanation(refused)
                ) from refused
        said = text.decode(errors="replace")
        if code in (126, 127) and ("executable file not found" in said or "no such file" in said):
            raise WorkFault(f"The image has no {command[0]}.", why="Small bases leave out shell and tools.")
        return Output(code, said)

    def wait(self, seconds: float) -> Output:
        """Wait until it ends by itself.

        Raises:
            WorkFault: It did not.
        """
        deadline = time.monotonic() + seconds
        while (state := self.state()).get("Running") or state.get("Status") == "created":
            if time.monotonic() > deadline:
                raise WorkFault(f"The container did not end within {seconds:.0f} s.", why=self._last_line())
            time.sleep(0.05)
        return Output(int(state.get("ExitCode", -1)), self.logs(2000))

    def wait_for_port(self, port: int, seconds: float = 20) -> None:
        """Wait until something in it accepts connections on that port.

        Raises:
            WorkFault: It ended, or listens elsewhere or not at all.
        """
        deadline = time.monotonic() + seconds
        while True:
            state = self.state()
            if not state.get("Running"):
                raise WorkFault("The container did not stay up.", why=self._how_it_ended())
            if self._accepts(port, self._pid(state)):
                return
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)
        others = self.listening()
        if (
            others
            and all(place == "127.0.0.1" for place, number in others if number == port)
            and port in {number for _, number in others}
        ):
            why = "It listens on 127.0.0.1 in the container, where nobody outside can reach it."
            step = "Listen on 0.0.0.0 inside of a container."
        elif others:
            found = ", ".join(sorted({str(number) for _, number in others}))
            why, step = f"It listens on {found} instead.", f"Listen on {port}."
        else:
            why, step = self._last_line() or "It printed nothing.", f"Listen on 0.0.0.0, port {port}."
        raise WorkFault(
            f"Nothing in the container answers on port {port} after {seconds:.0f} s.", why=why, next_step=step
        )

    def _accepts(self, port: int, pid: int) -> bool:
        listening = _listening(pid, self.id)
        if listening is not None:
            return any(number == port and place != "127.0.0.1" for place, number in listening)
        # The engine's proxy accepts whoever comes: only an answer from behind it counts.
        try:
            with socket.create_connection(("127.0.0.1", self._host_port(port)), timeout=1) as probe:
                probe.sendall(b"GET / HTTP/1.0\r\n\r\n")
                return bool(probe.recv(1))
        except OSError:
            return False

    def listening(self) -> set[tuple[str, int]]:
        """The addresses and TCP ports that something in it listens on, where that can be seen."""
        return _listening(self._pid(self.state()), self.id) or set()

    def state(self) -> Mapping[str, Any]:
        """What the engine says of it: `Status`, `ExitCode`, `Health` ..."""
        with lost_engine():
            try:
                self._container.reload()
            except docker.errors.NotFound:
                return {"Status": "removed", "Running": False, "ExitCode": -1}
        state: Mapping[str, Any] = self._container.attrs["State"]
        return state

    def signal(self, name: str) -> None:
        """Send its first process a signal from outside, which also stops what ignores signals from within.

        Args:
            name: `STOP`, `CONT`, `TERM` ...

        Raises:
            WorkFault: It does not run.
        """
        with lost_engine():
            try:
                self._container.kill(signal=f"SIG{name}")
            except docker.errors.APIError as refused:
                raise WorkFault("The container does not run.", why=self._how_it_ended()) from refused

    def remove(self) -> None:
        """End and remove it; harmless if it is gone."""
        for relay in self._relays.values():
            relay.close()
        self._relays.clear()
        with suppress(docker.errors.APIError, requests.exceptions.RequestException):
            self._container.remove(force=True, v=True)

    def _how_it_ended(self) -> str:
        state = self.state()
        if state.get("OOMKilled"):
            return "It was ended because it took more memory than it was given."
        line = self._last_line()
        said = f" Its last line: {line}" if line else ""
        return f"It ended with exit code {state.get('ExitCode')}.{said}"

    def _last_line(self) -> str:
        lines = [line for line in self.logs(20).splitlines() if line.strip()]
        return lines[-1].strip()[:300] if lines else ""

    def __enter__(self) -> DockerContainer:
        """It runs already."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove it."""
        self.remove()


@contextmanager
def lost_engine() -> Iterator[None]:
    """Says that the engine is gone, whatever the library says of it."""
    try:
        yield
    except (requests.exceptions.ReadTimeout, docker.errors.APIError):
        raise
    except (requests.exceptions.RequestException, docker.errors.DockerException) as gone:
        raise EngineLost(
            "The container engine does not answer any more.", next_step="Run `workbook up engine`."
        ) from gone


def not_started(refused: docker.errors.APIError) -> WorkFault:
    """Why a container did not start, from what the engine said."""
    said = str(refused.explanation or refused)
    if match := re.search(r'exec: "?([^":]+)"?: (?:executable file not found|stat \S+: no such file)', said):
        return WorkFault(
            f"The container did not start: the image has no {match[1]}.",
            why="CMD or ENTRYPOINT names it.",
            next_step="A CMD in its plain form needs /bin/sh; written as a list, the program alone.",
        )
    if "No command specified" in said or "no command" in said.lower():
        return WorkFault("The container did not start: the image says no CMD.", next_step="Add one.")
    return WorkFault("The container did not start.", why=said[-300:])


def _first(chunks: Iterator[bytes], deadline: float) -> bytes | None:
    """The first bytes of what a command prints, once it has ended; None if it has not by then."""
    kept = b""
    for chunk in chunks:
        if time.monotonic() > deadline:
            return None
        kept += chunk[: OUTPUT_BYTES - len(kept)]
    return kept


@contextmanager
def _timeout(api: Any, seconds: float) -> Iterator[None]:
    before = api.timeout
    api.timeout = seconds
    try:
        yield
    finally:
        api.timeout = before


def _listening(pid: int, container: str) -> set[tuple[str, int]] | None:
    """What listens in the container's network, if its process is to be seen from here."""
    with suppress(OSError):
        if container[:32] not in Path(f"/proc/{pid}/cgroup").read_text():
            return None
        found = set()
        for table in ("tcp", "tcp6"):
            for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
                _, local, _, state, *_ = line.split()
                address, _, number = local.rpartition(":")
                if state == _LISTEN:
                    place = "127.0.0.1" if address in ("0100007F", "0" * 24 + "01000000") else "0.0.0.0"  # noqa: S104
                    found.add((place, int(number, 16)))
        return found
    return None


def _explanation(error: docker.errors.APIError) -> str:
    return str(error.explanation or error)[:300]
