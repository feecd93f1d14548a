"""Runs a load in a process of its own, so that whoever asks (a notebook, a test) does not disturb it."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np

from labkit.errors import WorkbookError
from labkit.isolation.network import Network
from labkit.load.bystanders import Bystanders, listening_process
from labkit.load.clients import Check, Client
from labkit.load.outcomes import Outcome
from labkit.load.recording import Recording
from labkit.load.schedule import Schedule
from labkit.load.transport import NO_ANSWER_KEPT

# How long the load process may take to write its recording after it was told to stop.
STOP_SECONDS = 30.0


@dataclass(frozen=True)
class Progress:
    """How far a run has come, warm-up included.

    Attributes:
        seconds: Since the first request was due.
        of_seconds: Length of the whole run.
        sent: Requests sent.
        finished: Requests answered or given up.
        misses: Those of them that were not answered rightly.
    """

    seconds: float
    of_seconds: float
    sent: int
    finished: int
    misses: int


def run(
    schedule: Schedule,
    client: Client,
    *,
    progress: Callable[[Progress], None] | None = None,
    network: Network | None = None,
    server: int | None = None,
) -> Recording:
    """Send a load and return what was measured.

    It blocks until every request is answered or given up, and works where an event loop already runs. An
    interrupt (Ctrl-C, a notebook's stop button) ends the load; what was measured until then is returned,
    with `interrupted` set.

    Args:
        schedule: When to send.
        client: What to send, and to whom.
        progress: Called about twice a second.
        network: Where to send it from: that of a sandboxed server (`Endpoint.network`), or this machine's.
        server: The server's process, to tell its work from that of other programs; by default whoever listens
            at the address on this machine, or all that is in the network.

    Raises:
        WorkbookError: If the load process could not run.
    """
    if server is None:
        server = listening_process(client.url) if network is None else network.pid
    with tempfile.TemporaryDirectory(prefix="load-") as name:
        folder = Path(name)
        plan = {"schedule": schedule.plain(), "client": client.plain(), "shares": client.shares}
        (folder / "plan.json").write_text(json.dumps(plan))
        bystanders = Bystanders(server)
        with _load_process(folder, network) as process:
            ended_by_hand = _follow(process, schedule, progress)
        share = bystanders.share()
        if not (folder / "recording.npz").is_file():
            raise _no_recording(process.returncode, (folder / "errors.txt").read_text(errors="replace"))
        recording = Recording.load(folder / "recording.npz")
    checks = [kind.check for kind in client.kinds]
    recording = check_answers(recording, checks, [kind.bodies for kind in client.kinds])
    return replace(recording, interrupted=recording.interrupted or ended_by_hand, bystanders=share)


@contextmanager
def _load_process(folder: Path, network: Network | None) -> Iterator[subprocess.Popen[str]]:
    """The load process; it is gone when the block is left, however that happens."""
    command = [sys.executable, "-m", "labkit.load", str(folder / "plan.json"), str(folder / "recording.npz")]
    if network is not None:
        command = network.command(command)
    with (folder / "errors.txt").open("w") as errors:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=Path(__file__).parents[2],
            # A Ctrl-C on the terminal is for us: we tell the process to end.
            start_new_session=True,
            pass_fds=() if network is None else (network.handle,),
        )
    try:
        yield process
    except BaseException:
        process.kill()
        raise
    finally:
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            process.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _follow(
    process: subprocess.Popen[str], schedule: Schedule, progress: Callable[[Progress], None] | None
) -> bool:
    """Pass progress on until the process has ended; returns whether an interrupt ended it."""
    interrupted = False
    while True:
        try:
            for line in process.stdout or ():
                if progress is not None:
                    progress(Progress(of_seconds=schedule.total_seconds, **json.loads(line)))
            process.wait(timeout=STOP_SECONDS)
            return interrupted
        except KeyboardInterrupt:
            if interrupted:
                raise
            interrupted = True
            if process.stdin is not None:
                process.stdin.close()


def _no_recording(code: int, errors: str) -> WorkbookError:
    last = errors.strip().splitlines()[-1:] or [f"exit code {code}"]
    return WorkbookError(
        "The load process ended without a recording.",
        why=f"It said: {last[0]}",
        next_step="Run it again with a lower rate; if it stays so, report it with these words.",
    )


def check_answers(recording: Recording, checks: list[Check | None], bodies: list[object]) -> Recording:
    """Turn each answer that its kind's check finds wrong into a miss.

    Args:
        recording: As the load process made it.
        checks: The check of each kind, or none.
        bodies: The request bodies of each kind.
    """
    outcome = recording.outcome.copy()
    for number, check in enumerate(checks):
        if check is None:
            continue
        kept = (recording.kind == number) & (recording.outcome == Outcome.OK)
        kept &= recording.answer > NO_ANSWER_KEPT
        pairs = np.stack([recording.request[kept], recording.answer[kept]], axis=1)
        distinct, pair_of = np.unique(pairs, axis=0, return_inverse=True)
        sent = cast("list[bytes]", bodies[number])
        right = np.array(
            [_is_right(check, sent[request], recording.answers[answer]) for request, answer in distinct],
            dtype=bool,
        )
        rows = np.flatnonzero(kept)
        outcome[rows[~right[pair_of.reshape(-1)]]] = Outcome.WRONG_ANSWER
    return replace(recording, outcome=outcome)


def _is_right(check: Check, sent: bytes, answer: bytes) -> bool:
    try:
        return bool(check(sent, answer))
    except Exception:
        return False  # an answer that the check can't even read
