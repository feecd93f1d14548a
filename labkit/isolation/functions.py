"""A learner's function, called across a pipe: it runs under a guard, only plain values come and go."""

from __future__ import annotations

import os
import select
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from labkit.errors import WorkFault
from labkit.isolation import guard as guards
from labkit.isolation.guard import PYTHON, Guard
from labkit.isolation.plain import FRAME_BYTES, HEAD, decode, encode

_START_SECONDS = 60.0


class LearnerFunction:
    """A function in a learner's file: `with LearnerFunction("answers:double", folder, log=log) as double`.

    Args:
        name: The module in the folder and the function in it, `module:function`.
        folder: The learner's files.
        log: Where what it prints goes.
        guard: What keeps it apart; that of this process by default.
        seconds: How long one call may take.
    """

    def __init__(
        self, name: str, folder: Path, *, log: Path, guard: Guard | None = None, seconds: float = 10.0
    ) -> None:
        self.name = name
        self.seconds = seconds
        self._first = True
        inside_reads, self._to = os.pipe()
        self._from, inside_writes = os.pipe()
        handles = (inside_reads, inside_writes)
        try:
            self._guarded = (guard or guards.current()).start(
                [PYTHON, "-P", "-m", "labkit.isolation.function_process", *map(str, handles), name],
                folder,
                log=log,
                pass_fds=handles,
            )
        except BaseException:
            os.close(self._to)
            os.close(self._from)
            raise
        finally:
            for handle in handles:
                os.close(handle)
        os.set_blocking(self._to, False)

    def __call__(self, *arguments: Any) -> Any:
        """Call it with plain values (JSON, arrays); gives what it returned.

        Raises:
            WorkFault: It raised, ended its process, took too long, or returned nothing plain.
        """
        deadline = time.monotonic() + self.seconds + (_START_SECONDS if self._first else 0.0)
        self._first = False
        self._send(encode(list(arguments)), deadline)
        length = HEAD.unpack(self._receive(HEAD.size, deadline))[0]
        if length > FRAME_BYTES:
            raise WorkFault(f"{self.name} returned more than {FRAME_BYTES >> 20} MiB.")
        try:
            answer = decode(self._receive(length, deadline))
        except ValueError as error:
            raise WorkFault(f"{self.name} returned something that is not plain data ({error}).") from error
        if not isinstance(answer, dict) or "value" not in answer:
            said = answer.get("error") if isinstance(answer, dict) else None
            text = " ".join(str(said or "").split())[:200].rstrip(".")
            raise WorkFault(f"{self.name} raised {text}." if text else f"{self.name} gave no proper answer.")
        return answer["value"]

    def _send(self, frame: bytes, deadline: float) -> None:
        view = memoryview(frame)
        while view:
            self._wait(deadline, writing=True)
            try:
                view = view[os.write(self._to, view[:65536]) :]
            except BrokenPipeError as error:
                raise self._ended() from error

    def _receive(self, size: int, deadline: float) -> bytes:
        received = bytearray()
        while len(received) < size:
            self._wait(deadline, writing=False)
            part = os.read(self._from, min(size - len(received), 1 << 20))
            if not part:
                raise self._ended()
            received += part
        return bytes(received)

    def _wait(self, deadline: float, *, writing: bool) -> None:
        ready = select.select(
            [] if writing else [self._from],
            [self._to] if writing else [],
            [],
            max(0.0, deadline - time.monotonic()),
        )
        if not any(ready):
            raise WorkFault(f"{self.name} did not return within {self.seconds:g} s.")

    def _ended(self) -> WorkFault:
        last = " ".join(self._guarded.process.last_lines(1))[:200]
        return WorkFault(f"{self.name} ended its Python process.", why=last)

    def close(self) -> None:
        """End it."""
        os.close(self._to)
        os.close(self._from)
        self._guarded.close()

    def __enter__(self) -> LearnerFunction:
        """It is there already."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it."""
        self.close()
