"""How a model is deployed: which framework, and how it runs. In a lab, the file `deployment.toml`."""

from __future__ import annotations

import tomllib
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from labkit.errors import WorkFault

MOST_ROWS = 1024
"""The most rows that one request may hold."""


@dataclass(frozen=True, kw_only=True)
class Signature:
    """What the model takes: rows of numbers, each as long as the others.

    Attributes:
        width: Numbers in a row.
        datatype: Their type as the Open Inference Protocol names it, `FP32` or `INT64`.
        outputs: Numbers in a row of the answer.
    """

    width: int = 784
    datatype: str = "FP32"
    outputs: int = 10

    @property
    def dtype(self) -> str:
        """NumPy's name of the type."""
        return {"FP32": "float32", "INT64": "int64"}[self.datatype]


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """A framework and its settings.

    Attributes:
        framework: The backend's name, such as `fastapi` or `triton`.
        protocol: One of those that the framework speaks; its first one by default.
        workers: Processes that hold the model.
        threads: Threads with which each of them computes.
        batch_size: The most rows that are put together from several requests; 1 puts none together.
        batch_delay_ms: How long a request may wait for others to be put together with.
    """

    framework: str
    protocol: str = ""
    workers: int = 1
    threads: int = 1
    batch_size: int = 1
    batch_delay_ms: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what can't be deployed."""
        for name, least, most in (
            ("workers", 1, 64),
            ("threads", 1, 64),
            ("batch_size", 1, MOST_ROWS),
            ("batch_delay_ms", 0, 10_000),
        ):
            value = getattr(self, name)
            kinds = (int, float) if name == "batch_delay_ms" else (int,)
            if isinstance(value, bool) or not isinstance(value, kinds) or not least <= value <= most:
                raise WorkFault(
                    f"A deployment can't have {name} = {value!r}.",
                    next_step=f"Give a number from {least} to {most}.",
                )
        for name in ("framework", "protocol"):
            if not isinstance(getattr(self, name), str):
                raise WorkFault(f"A deployment's {name} is a text.", next_step="Put it in quotation marks.")
        if not self.framework:
            raise WorkFault(
                "The deployment names no framework.",
                next_step='Choose one, such as framework = "fastapi".',
            )

    @classmethod
    def read(cls, path: Path) -> Deployment:
        """Read it from a TOML file.

        Raises:
            WorkFault: There is no such file, or it does not describe a deployment.
        """
        try:
            settings = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise WorkFault(
                f"There is no {path.name}.", next_step="Write it, as the notebook shows."
            ) from error
        except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise WorkFault(f"{path.name} is not TOML.", why=f"{error}.") from error
        known = [field.name for field in fields(cls)]
        unknown = sorted(set(settings) - set(known))
        if unknown:
            raise WorkFault(
                f"{path.name} has a setting {unknown[0]!r}, which no deployment has.",
                next_step=f"The settings are {', '.join(known)}.",
            )
        return cls(**{"framework": "", **settings})

    def plain(self) -> dict[str, Any]:
        """The settings as JSON values."""
        return asdict(self)
