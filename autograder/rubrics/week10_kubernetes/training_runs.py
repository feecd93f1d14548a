"""Trainings that are ended on purpose, in processes: what each said, and what of it was said twice."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

DRIVER = '''"""Runs scripts in processes forked from this one, which has PyTorch; kills them when told to."""

import json
import os
import runpy
import select
import signal
import socket
import sys
import time
import traceback

import torch
import torch.distributed


def child(script, env, output, file_bytes):
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.environ.update(env)
    sys.argv, sys.path[:0] = [script], [os.getcwd()]
    code = 0
    try:
        if file_bytes:
            import resource

            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
        runpy.run_path(script, run_name="__main__")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    os._exit(code & 255)


class Run:
    def __init__(self, script, env, kill_at=None, number=signal.SIGKILL, file_bytes=None):
        self.kill_at, self.number, self.text, self.seen, self.killed = kill_at, number, b"", 0, False
        self.reading, writing = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self.reading)
            child(script, env, writing, file_bytes)
        os.close(writing)

    def read(self):
        """Read what there is; says whether there may be more."""
        part = os.read(self.reading, 65536)
        self.text = (self.text + part)[: 1 << 20]
        whole = self.text.split(b"\\n")[:-1]
        for line in whole[self.seen :]:
            said = parsed(line)
            if said and not self.killed and self.kill_at is not None and said.get("step") == self.kill_at:
                os.kill(self.pid, self.number)
                self.killed = True
        self.seen = len(whole)
        return bool(part)

    def end(self):
        _, status = os.waitpid(self.pid, 0)
        os.close(self.reading)
        lines = self.text.decode(errors="replace").splitlines()
        said = [one for one in map(parsed, lines) if one]
        other = [line for line in lines if line.strip() and not parsed(line)]
        return {"said": said, "code": os.waitstatus_to_exitcode(status), "last": "".join(other[-1:])[:300]}


def parsed(line):
    try:
        said = json.loads(line)
    except ValueError:
        return None
    return said if isinstance(said, dict) else None


def follow(runs, seconds):
    """Read all until all have ended; what takes longer is killed."""
    deadline, open_ = time.monotonic() + seconds, list(runs)
    while open_ and time.monotonic() < deadline:
        ready, _, _ = select.select([run.reading for run in open_], [], [], 0.2)
        open_ = [run for run in open_ if run.reading not in ready or run.read()]
    for run in open_:
        os.kill(run.pid, signal.SIGKILL)
    return [{**run.end(), "late": run in open_} for run in runs]


def runs(script, folder, plans, seconds):
    """One after the other, each with the folder as the last one left it."""
    found = []
    for plan in plans:
        env = {"CHECKPOINTS": folder, "STEPS": str(plan["steps"]), "PAUSE": "0.02"}
        number = plan.get("signal", signal.SIGKILL)
        run = Run(script, env, plan.get("kill_at"), number, plan.get("file_bytes"))
        found += follow([run], seconds)
        paths = [os.path.join(at, name) for at, _, names in os.walk(folder) for name in names]
        found[-1]["largest"] = max(map(os.path.getsize, paths), default=0)
    return found


def ranks(script, world, steps, seconds):
    """All at the same time, each with its index."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": "lo"}
    env |= {"WORLD_SIZE": str(world), "STEPS": str(steps)}
    return follow([Run(script, {**env, "JOB_COMPLETION_INDEX": str(rank)}) for rank in range(world)], seconds)


def truth(steps):
    """What one process gives that nothing interrupts, by the code that was handed out."""
    from model import loss_of, new_network, new_optimizer, read_digits, rows_of, scores_of

    torch.set_num_threads(1)
    images, labels = read_digits()
    network = new_network()
    optimizer = new_optimizer(network)
    losses = []
    for step in range(1, steps + 1):
        rows = rows_of(step)
        optimizer.zero_grad()
        loss = loss_of(network, images[rows], labels[rows])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return {"losses": losses, "scores": scores_of(network, images)}


def call(name, *arguments):
    return {"runs": runs, "ranks": ranks, "truth": truth}[name](*arguments)
'''

Said = dict[str, Any]


def steps_of(said: list[Said]) -> list[int]:
    """The numbers of the steps, as they were said."""
    return [one["step"] for one in said if isinstance(one.get("step"), int)]


@dataclass(frozen=True)
class Truth:
    """A training that nothing interrupted.

    Attributes:
        losses: Of each step, from the first.
        scores: What the network says of the first digit afterwards.
    """

    losses: list[float]
    scores: list[float] = field(default_factory=list)

    def holds(self, scores: Any) -> bool:
        """Whether these are its scores, but for rounding."""
        return (
            isinstance(scores, list)
            and len(scores) == len(self.scores)
            and all(
                isinstance(one, int | float) and math.isclose(one, right, abs_tol=2e-3)
                for one, right in zip(scores, self.scores, strict=True)
            )
        )

    def flaw(self, tries: list[list[Said]], steps: int, most_repeated: int) -> str:
        """What is wrong with a training that was interrupted and went on, in words; empty if nothing is.

        Args:
            tries: What each process said, in order.
            steps: How many it should take.
            most_repeated: So many steps may be done again after each interruption.
        """
        done = steps_of(tries[0])
        for number, said in enumerate(tries[1:], start=2):
            more = steps_of(said)
            if not more:
                continue
            before = done[-1] if done else 0
            if more[0] <= before - most_repeated:
                return f"try {number} began at step {more[0]} when step {before} had been done"
            if more[0] > before + 1:
                return f"try {number} began at step {more[0]}, but the last one had ended at {before}"
            done += more
        if not done or done[-1] != steps:
            return f"it ended at step {done[-1] if done else 0} of {steps}"
        for one in (one for said in tries for one in said if isinstance(one.get("step"), int)):
            loss, number = one.get("loss"), one["step"]
            right = self.losses[number - 1] if 1 <= number <= len(self.losses) else math.nan
            if not isinstance(loss, int | float) or not math.isclose(loss, right, abs_tol=1e-3):
                return f"step {number} has the loss {loss}, without an interruption it is {right:.5f}"
        if not self.holds(next((one["scores"] for one in tries[-1] if "done" in one), None)):
            return "the network is another one than without an interruption"
        return ""

    def flaw_of_ranks(self, said: list[list[Said]], batch: int) -> str:
        """What is wrong with a training of several ranks, in words; empty if it is as in one process.

        Args:
            said: What each process said, in the order of their ranks.
            batch: Rows of one step, of all ranks together.
        """
        world = len(said)
        for number, lines in enumerate(said):
            first: Said = next((one for one in lines if "step" in one), {})
            if (first.get("rank"), first.get("world")) != (number, world):
                return f"pod {number} is rank {first.get('rank')} of {first.get('world')}, not of {world}"
            if steps_of(lines) != list(range(1, len(self.losses) + 1)):
                return f"rank {number} did {len(steps_of(lines))} of {len(self.losses)} steps"
        rows = sum(int(next(one["rows"] for one in lines if "rows" in one)) for lines in said)
        if rows != batch:
            return f"the {world} ranks learn from {rows} rows in a step, which has {batch}"
        scores = [next((one["scores"] for one in lines if "scores" in one), None) for lines in said]
        if any(one != scores[0] for one in scores):
            return "the ranks end with different networks"
        return "" if self.holds(scores[0]) else "together they make another network than one process would"
