"""How busy GPUs are kept while a command runs: sampled through NVML, then held against an objective.

NVML's utilisation is the part of the time in which at least one kernel ran. It finds GPUs that wait for data,
for Python or for nothing at all; it does not find kernels that use a tenth of the GPU.

Neighbouring samples resemble each other, so the bound on the mean comes from the means of `WINDOWS` windows,
by Student's t (batch means; Law, "Simulation Modeling and Analysis", chapter 9).
"""

from __future__ import annotations

import datetime
import hashlib
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from scipy import special

from labkit.errors import WorkbookError
from labkit.processes import die_with_parent, end, family
from labkit.slo.gpu_samples import GpuSamples
from labkit.slo.nvml import Busy, Gpus
from labkit.verdicts import Judgement, Tier, Verdict

WINDOWS = 10
FEWEST_SECONDS = 10.0
FEWEST_SAMPLES = 2 * WINDOWS
BUSY_BEFORE = 0.05
"""From this utilisation on, somebody else was using the GPUs before the command was started."""


def measure_gpu(
    command: Sequence[str],
    gpus: Gpus,
    *,
    seconds: float = math.inf,
    warmup: float = 5.0,
    interval: float = 0.5,
    on_look: Callable[[float, list[Busy]], None] | None = None,
) -> GpuSamples:
    """Run a command and look at the GPUs until it ends, or for that many seconds after the warm-up.

    Its output goes to our standard error. Whatever happens, the command and all that it started is gone
    afterwards; Ctrl-C ends it, and what was seen until then is returned.

    Args:
        command: The program and its arguments.
        gpus: Those that are looked at.
        seconds: How long to measure; the command is ended then. By default as long as it runs.
        warmup: Seconds at the beginning that are not judged: imports, the first batch.
        interval: Seconds between two looks.
        on_look: Told of each look, with the seconds since the start.

    Raises:
        WorkbookError: The command can't be started or fails, or a number makes no sense.
    """
    if not command:
        raise WorkbookError(
            "There is no command.", next_step="Give one after --, such as `-- python train.py`."
        )
    if not (seconds > 0 and interval > 0 and 0 <= warmup < math.inf):
        raise WorkbookError(
            f"GPUs can't be measured for {seconds:g} s, each {interval:g} s, after {warmup:g} s.",
            next_step="Give seconds and an interval above zero, and a warm-up of zero or more.",
        )
    before = tuple(each.utilisation for each in gpus.look())
    started_at = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    looks: list[tuple[float, list[Busy]]] = []
    interrupted = False
    process = _start(command)
    start = time.monotonic()
    try:
        while process.poll() is None and time.monotonic() - start < warmup + seconds:
            now, seen = time.monotonic() - start, gpus.look()
            looks.append((now, seen))
            if on_look is not None:
                on_look(now, seen)
            _wait(process, start + interval * (math.floor(now / interval) + 1))
    except KeyboardInterrupt:
        interrupted = True
    finally:
        took, code = time.monotonic() - start, process.poll()
        _end(process)
    if code:
        raise WorkbookError(
            f"The command ended with exit code {code} after {took:.1f} s.",
            why="What it printed stands above.",
            next_step="Run it alone until it works, then measure it.",
        )
    return GpuSamples(
        gpus=gpus.names,
        driver=gpus.driver,
        command=tuple(command),
        started_at=started_at,
        interval=interval,
        warmup=warmup,
        before=before,
        seconds=tuple(round(at, 4) for at, _ in looks),
        utilisation=tuple(tuple(each.utilisation for each in seen) for _, seen in looks),
        memory_bytes=tuple(tuple(each.memory_bytes for each in seen) for _, seen in looks),
        files=_digests(command),
        interrupted=interrupted,
    )


def judge_gpu(samples: GpuSamples, *, at_least: float = 0.8, confidence: float = 0.99) -> Judgement:
    """Hold the mean utilisation against an objective.

    Args:
        samples: What was seen; they may come from another machine.
        at_least: The objective, 0 to 1.
        confidence: Of the bound that the verdict rests on.
    """
    times, busy = samples.judged()
    facts = {
        "gpus": list(samples.gpus),
        "driver": samples.driver,
        "command": " ".join(samples.command),
        "started_at": samples.started_at,
        "samples": len(busy),
        "seconds": float(times[-1] - times[0]) if len(times) else 0.0,
        "warmup_s": samples.warmup,
        "objective_utilisation": at_least,
        "busy_before": max(samples.before),
        "memory_bytes": max((max(row) for row in samples.memory_bytes), default=0),
        "confidence": confidence,
        "interrupted": samples.interrupted,
    }
    doubt = _doubt(samples, times)
    if doubt:
        return Judgement(Verdict.INCONCLUSIVE, doubt, Tier.REAL, facts)
    means = np.array([window.mean() for window in np.array_split(busy, WINDOWS)])
    mean = float(busy.mean())
    reach = float(special.stdtrit(WINDOWS - 1, confidence) * means.std(ddof=1) / math.sqrt(WINDOWS))
    low, high = max(0.0, mean - reach), min(1.0, mean + reach)
    if low > at_least:
        verdict, bound = Verdict.PASSED, f"at least {low:.1%}"
    elif high <= at_least:
        verdict, bound = Verdict.FAILED, f"at most {high:.1%}"
    else:
        verdict, bound = Verdict.INCONCLUSIVE, f"between {low:.1%} and {high:.1%}"
    facts |= {"utilisation": mean, "utilisation_at_least": low, "utilisation_at_most": high}
    facts |= {"windows": means.round(4).tolist()}
    summary = (
        f"mean utilisation {mean:.1%}, {bound} ({100 * confidence:.4g} %), "
        f"{facts['seconds']:.0f} s on {', '.join(samples.gpus)}"
    )
    return Judgement(verdict, summary, Tier.REAL, facts)


def _doubt(samples: GpuSamples, times: np.ndarray) -> str:
    """Why these samples say nothing; empty if they do."""
    if samples.interrupted:
        return f"Interrupted after {samples.seconds[-1] if samples.seconds else 0:.0f} s"
    if len(times) < FEWEST_SAMPLES or times[-1] - times[0] < FEWEST_SECONDS:
        lasted = times[-1] - times[0] if len(times) else 0.0
        return (
            f"Only {lasted:.0f} s with {len(times)} samples after the warm-up: "
            f"at least {FEWEST_SECONDS:.0f} s and {FEWEST_SAMPLES} samples are needed"
        )
    if max(samples.before) > BUSY_BEFORE:
        return f"Something else kept a GPU {max(samples.before):.0%} busy before the command was started"
    longest = float(np.diff(times).max())
    if longest > max(2.0, 5 * samples.interval):
        return f"Nobody looked for {longest:.1f} s: this machine was too busy to measure on"
    return ""


def _start(command: Sequence[str]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=sys.__stderr__,
            stderr=sys.__stderr__,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
    except OSError as error:
        raise WorkbookError(
            f"{command[0]} can't be started.",
            why=f"{error.strerror}.",
            next_step="Give a program that is here, and its arguments, after --.",
        ) from None


def _wait(process: subprocess.Popen[bytes], until: float) -> None:
    try:
        process.wait(timeout=max(0.0, until - time.monotonic()))
    except subprocess.TimeoutExpired:
        return


def _end(process: subprocess.Popen[bytes]) -> None:
    """End it and all that it started, also what outlived it."""
    end(family(process.pid), grace=3.0)
    process.wait()
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _digests(command: Sequence[str]) -> dict[str, str]:
    """The hash of each file on the command line after the program, so that evidence names its code."""
    files = [Path(part) for part in command[1:] if Path(part).is_file()]
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
