"""What was seen of the GPUs while a command ran: plain numbers in a file that another machine can judge."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labkit.errors import WorkFault

FORMAT = 1
EVIDENCE_BYTES = 32 << 20


@dataclass(frozen=True, kw_only=True)
class GpuSamples:
    """Looks at the GPUs, one after another, while a command ran.

    Attributes:
        gpus: Product names, by number.
        driver: The driver's version.
        command: The command line.
        started_at: When it was started, ISO 8601, UTC.
        interval: Seconds between two looks, as planned.
        warmup: Seconds at the beginning that are kept and not judged.
        before: Utilisation of each GPU, 0 to 1, just before the command was started.
        seconds: When each look was, in seconds from the start; shape `(looks,)`.
        utilisation: Of each GPU, 0 to 1; shape `(looks, gpus)`.
        memory_bytes: Likewise.
        files: SHA-256 of the files that the command line names, by name.
        interrupted: Whether somebody ended it by hand.
    """

    gpus: tuple[str, ...]
    driver: str
    command: tuple[str, ...]
    started_at: str
    interval: float
    warmup: float
    before: tuple[float, ...]
    seconds: tuple[float, ...]
    utilisation: tuple[tuple[float, ...], ...]
    memory_bytes: tuple[tuple[int, ...], ...]
    files: dict[str, str] = field(default_factory=dict)
    interrupted: bool = False

    def __post_init__(self) -> None:
        """Refuse what can't have been measured.

        Raises:
            ValueError: Says what is wrong.
        """
        looks, width = len(self.seconds), len(self.gpus)
        rows = (*self.utilisation, self.before)
        if not width:
            raise ValueError("it names no GPU")
        if len(self.utilisation) != looks or len(self.memory_bytes) != looks:
            raise ValueError("it has not as many samples as times")
        if any(len(row) != width for row in (*rows, *self.memory_bytes)):
            raise ValueError("a sample has not one number for each GPU")
        if not all(_is_number(each) and 0 <= each <= 1 for row in rows for each in row):
            raise ValueError("a utilisation is no number from 0 to 1")
        numbers = (*self.seconds, self.interval, self.warmup)
        if not all(_is_number(each) and each >= 0 for each in numbers) or self.interval <= 0:
            raise ValueError("a time is no number")
        if any(later <= earlier for earlier, later in zip(self.seconds, self.seconds[1:], strict=False)):
            raise ValueError("its times don't go forward")

    def judged(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Times `(looks,)` and the mean utilisation of all GPUs `(looks,)`, the warm-up left out.

        A GPU that stands idle beside a busy one is paid for as well.
        """
        times = np.array(self.seconds, dtype=np.float64)
        mean = np.array(self.utilisation, dtype=np.float64).reshape(len(times), len(self.gpus)).mean(axis=1)
        counted = times >= self.warmup
        return times[counted], mean[counted]

    def as_json(self) -> str:
        """The text that `load` reads from a file."""
        return json.dumps({"format": FORMAT, **asdict(self)}) + "\n"

    @classmethod
    def load(cls, path: Path) -> GpuSamples:
        """Read a file with what `as_json` gave; it may come from anybody.

        Raises:
            WorkFault: There is no such file, or it holds no samples.
        """
        try:
            if path.stat().st_size > EVIDENCE_BYTES:
                raise ValueError(f"it is larger than {EVIDENCE_BYTES >> 20} MiB")
            told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            if told.pop("format") != FORMAT:
                raise ValueError("it is of another format")
            return cls(**{name: _frozen(value) for name, value in told.items()})
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise WorkFault(
                f"{path.name} holds no samples of a GPU.",
                why=f"{error}.",
                next_step=f"Make it with `workbook measure gpu --evidence {path.name} -- COMMAND`.",
            ) from error


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _frozen(value: Any) -> Any:
    """JSON's lists as tuples, all the way down."""
    return tuple(_frozen(each) for each in value) if isinstance(value, list) else value
