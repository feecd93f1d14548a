"""The process behind a `Shell`: it reads what to run from one pipe and writes its output to another."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, Any

from labkit.processes import die_with_parent

GRACE = 10.0
"""Seconds that a cancelled command has to let go of what it holds."""

_CLOUDS = ("AWS_", "TF_", "GOOGLE_", "CLOUDSDK_", "ARM_", "PULUMI_")
"""What a command knows of clouds is what it is given, never what the person happens to have set."""


def main(reading: int, writing: int) -> None:
    """Do as told until the pipe is closed, then end what still runs."""
    # Nobody else is to write into the pipe.
    for handle in (reading, writing):
        os.set_inheritable(handle, False)
    orders = os.fdopen(reading, "rb", buffering=0)
    beside: list[subprocess.Popen[bytes]] = []
    scratch = Path(tempfile.mkdtemp(prefix="workbook-shell-"))
    _say(writing, {"scratch": str(scratch)})
    try:
        for line in iter(orders.readline, b""):
            order = json.loads(line)
            if "run" in order:
                _run(order, orders, writing)
                continue
            if "cancel" in order:
                continue  # too late: it has ended
            try:
                if "start" in order:
                    beside.append(_start(order, order["start"], subprocess.DEVNULL))
                elif "write" in order:
                    Path(order["write"]).write_text(order["text"])
                else:
                    Path(order["remove"]).unlink(missing_ok=True)
            except OSError as error:
                _say(writing, {"failed": f"{error.filename}: {error.strerror}"})
            else:
                _say(writing, {"done": True})
    except KeyboardInterrupt:
        pass
    finally:
        for process in beside:
            _end(process, signal.SIGTERM, 3.0)
        shutil.rmtree(scratch, ignore_errors=True)


def _start(order: dict[str, Any], command: list[str], output: int) -> subprocess.Popen[bytes]:
    variables = {name: value for name, value in os.environ.items() if not name.startswith(_CLOUDS)}
    return subprocess.Popen(
        command,
        cwd=order.get("folder") or None,
        env={**variables, **order["environment"]},
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=die_with_parent,
    )


def _run(order: dict[str, Any], orders: IO[bytes], writing: int) -> None:
    """Run one command; its time being up, or word from outside, cancels it."""
    try:
        process = _start(order, order["run"], subprocess.PIPE)
    except OSError as error:
        _say(writing, {"line": f"{order['run'][0]}: {error.strerror}"})
        _say(writing, {"exit": 127})
        return
    assert process.stdout is not None
    deadline = time.monotonic() + order["seconds"]
    timed_out = False
    pending = b""
    while True:
        ready, _, _ = select.select([process.stdout, orders], [], [], max(0.0, deadline - time.monotonic()))
        if orders in ready or not ready:
            timed_out = not ready
            if orders in ready:
                orders.readline()  # the word itself, or that nobody is there any more
            _end(process, signal.SIGINT, GRACE)
            pending += _rest(process.stdout)
            break
        part = process.stdout.read1(65536)  # type: ignore[attr-defined]
        if not part:
            break
        *lines, pending = (pending + part).split(b"\n")
        for line in lines:
            _say(writing, {"line": line.decode(errors="replace")})
    for line in pending.split(b"\n") if pending else []:
        _say(writing, {"line": line.decode(errors="replace")})
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(GRACE)
    _end(process, signal.SIGKILL, 5.0)
    _say(writing, {"exit": process.returncode, "timed_out": timed_out})


def _rest(stream: IO[bytes]) -> bytes:
    os.set_blocking(stream.fileno(), False)
    rest = b""
    with contextlib.suppress(BlockingIOError):
        while part := os.read(stream.fileno(), 65536):
            rest += part
    return rest


def _end(process: subprocess.Popen[bytes], number: int, grace: float) -> None:
    """Ask the command to end, then kill its whole session."""
    with contextlib.suppress(ProcessLookupError):
        if process.poll() is None:
            os.kill(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(grace)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(5.0)


def _say(writing: int, message: dict[str, Any]) -> None:
    view = memoryview(json.dumps(message).encode() + b"\n")
    while view:
        view = view[os.write(writing, view) :]


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
