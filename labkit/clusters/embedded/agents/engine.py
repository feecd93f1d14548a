"""Docker's API as an agent needs it: asynchronous, with raw streams for exec and attach.

`labkit.engines` is written for notebooks and waits; here one loop serves a whole cluster. No client library has
what exec needs, a stream whose sending half can be closed while the other still receives.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson

Object = dict[str, Any]
STDOUT, STDERR = 1, 2
_HEADER = 8


class EngineError(Exception):
    """The engine refused.

    Attributes:
        code: The HTTP status.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class EngineGone(Exception):
    """Nobody answers at the engine's socket."""


class Engine:
    """A connection to a container engine on this machine.

    Args:
        address: `unix:///...`.
    """

    def __init__(self, address: str) -> None:
        self.path = address.removeprefix("unix://")
        self._session: aiohttp.ClientSession | None = None
        self._root = ""

    async def close(self) -> None:
        """Close what is open."""
        if self._session is not None:
            await self._session.close()

    async def ask(self, method: str, path: str, body: Object | None = None, **query: Any) -> Any:
        """One request, answered with JSON or nothing.

        Raises:
            EngineError: It is refused.
            EngineGone: There is no engine.
        """
        async with self.open(method, path, body, **query) as answer:
            text = await answer.read()
        return orjson.loads(text) if text.lstrip()[:1] in (b"{", b"[") else text.decode()

    @asynccontextmanager
    async def open(
        self, method: str, path: str, body: Any = None, **query: Any
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """One request whose answer is read as it comes.

        Raises:
            EngineError: It is refused.
            EngineGone: There is no engine, or it ends meanwhile.
        """
        session = await self._ready()
        how: dict[str, Any] = {"data": body} if isinstance(body, bytes) else {"json": body}
        asked = {name: _text(value) for name, value in query.items() if value is not None}
        try:
            async with session.request(method, f"{self._root}{path}", params=asked, **how) as answer:
                if answer.status >= 400:
                    raise EngineError(answer.status, _message(await answer.text()))
                yield answer
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, ConnectionError) as error:
            raise EngineGone(str(error)) from error

    async def _ready(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.UnixConnector(self.path, limit=0),
                timeout=aiohttp.ClientTimeout(total=None),
                json_serialize=lambda thing: orjson.dumps(thing).decode(),
            )
        if not self._root:
            try:
                async with self._session.get("http://engine/version") as answer:
                    found = await answer.json()
            except (aiohttp.ClientError, OSError) as error:
                raise EngineGone(str(error)) from error
            self._root = f"http://engine/v{found['ApiVersion']}"
        return self._session

    async def raw(self, path: str, body: Object) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A request that takes its connection over: both directions, until either side ends.

        Raises:
            EngineError: It is refused.
            EngineGone: There is no engine.
        """
        await self._ready()
        try:
            reader, writer = await asyncio.open_unix_connection(self.path)
            data = orjson.dumps(body)
            writer.write(
                f"POST {self._root.removeprefix('http://engine')}{path} HTTP/1.1\r\nHost: engine\r\n"
                "Content-Type: application/json\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
                f"Content-Length: {len(data)}\r\n\r\n".encode()
                + data
            )
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except (OSError, asyncio.IncompleteReadError) as error:
            raise EngineGone(str(error)) from error
        code = int(head.split()[1])
        if code >= 400:
            said = await reader.read(4096)
            writer.close()
            raise EngineError(code, _message(said.decode(errors="replace").rpartition("\r\n\r\n")[2]))
        return reader, writer

    # ---- containers -------------------------------------------------------------------------------------

    async def containers(self, label: str) -> list[Object]:
        """The containers with a label, `name=value`, ended ones included."""
        found: list[Object] = await self.ask(
            "GET", "/containers/json", all=True, filters=json.dumps({"label": [label]})
        )
        return found

    async def inspect(self, container: str) -> Object:
        """All that the engine knows of a container."""
        found: Object = await self.ask("GET", f"/containers/{container}/json")
        return found

    async def start(self, name: str, body: Object) -> str:
        """Create and start a container; gives its id.

        Raises:
            EngineError: It can't be, and is not left behind.
        """
        made = str((await self.ask("POST", "/containers/create", body, name=name))["Id"])
        try:
            await self.ask("POST", f"/containers/{made}/start")
        except EngineError:
            await self.remove(made)
            raise
        return made

    async def wait(self, container: str) -> int:
        """Wait for a container's end; gives its exit code."""
        found = await self.ask("POST", f"/containers/{container}/wait")
        return int(found["StatusCode"])

    async def kill(self, container: str, signal: str) -> None:
        """Send a signal to a container's first process; harmless if it has ended."""
        try:
            await self.ask("POST", f"/containers/{container}/kill", signal=signal)
        except EngineError as error:
            if error.code not in (404, 409):
                raise

    async def remove(self, container: str) -> None:
        """End and remove a container; harmless if it is gone."""
        try:
            await self.ask("DELETE", f"/containers/{container}", force=True, v=True)
        except EngineError as error:
            if error.code not in (404, 409):
                raise

    async def run_in(
        self, container: str, command: Sequence[str], seconds: float
    ) -> tuple[int | None, bytes]:
        """Run a command in a container; gives its exit code, None if it did not end in time, and its output."""
        made = await self.ask(
            "POST",
            f"/containers/{container}/exec",
            {"AttachStdout": True, "AttachStderr": True, "Cmd": list(command)},
        )
        reader, writer = await self.raw(f"/exec/{made['Id']}/start", {"Detach": False, "Tty": False})
        said = b""
        try:
            async with asyncio.timeout(seconds):
                async for _, part in frames(reader):
                    said = (said + part)[:10_240]
        except TimeoutError:
            return None, said
        finally:
            writer.close()
        return int((await self.ask("GET", f"/exec/{made['Id']}/json"))["ExitCode"]), said


async def frames(reader: asyncio.StreamReader | aiohttp.StreamReader) -> AsyncIterator[tuple[int, bytes]]:
    """Output as the engine multiplexes it: which stream, and a piece of it."""
    while True:
        try:
            head = await reader.readexactly(_HEADER)
            yield head[0], await reader.readexactly(int.from_bytes(head[4:], "big"))
        except (asyncio.IncompleteReadError, ConnectionError, aiohttp.ClientError):
            return


def _text(value: Any) -> str:
    return ("false", "true")[value] if isinstance(value, bool) else str(value)


def _message(text: str) -> str:
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text.strip()[:300]
