"""Asks NVIDIA's management library, NVML, how busy the GPUs of this machine are."""

from __future__ import annotations

from types import TracebackType
from typing import Any, NamedTuple, Protocol

from labkit.errors import Unavailable, WorkbookError


class Busy(NamedTuple):
    """One look at one GPU.

    Attributes:
        utilisation: The part of the last sampling period, 0 to 1, in which at least one kernel ran. NVML's
            period is between a sixth of a second and a second; it says nothing of how much of the GPU the
            kernels used.
        memory_bytes: What is taken of its memory, by anybody.
    """

    utilisation: float
    memory_bytes: int


class Gpus(Protocol):
    """The GPUs of a machine, as far as measuring needs them."""

    @property
    def names(self) -> tuple[str, ...]:
        """Each one's product name, by number."""
        ...

    @property
    def driver(self) -> str:
        """The driver's version."""
        ...

    def look(self) -> list[Busy]:
        """How busy each is just now, in the order of `names`."""
        ...


class NvmlGpus:
    """The GPUs that NVML knows on this machine; a context manager, for the library is opened and closed.

    Args:
        library: The module `pynvml`; a recording of one in tests.

    Raises:
        Unavailable: There is no driver, or no GPU.
    """

    def __init__(self, library: Any = None) -> None:
        if library is None:
            import pynvml  # opens no driver yet

            library = pynvml
        self._library = library
        try:
            library.nvmlInit()
        except library.NVMLError as error:
            raise Unavailable(
                "This machine has no NVIDIA GPU that can be asked.",
                why=f"NVML says: {error}.",
                next_step="Run this on a machine with one, and with its driver.",
            ) from None
        try:
            self._handles = [
                library.nvmlDeviceGetHandleByIndex(number) for number in range(library.nvmlDeviceGetCount())
            ]
            self.names = tuple(_text(library.nvmlDeviceGetName(handle)) for handle in self._handles)
            self.driver = _text(library.nvmlSystemGetDriverVersion())
        except library.NVMLError as error:
            self.close()
            raise Unavailable("NVML does not list this machine's GPUs.", why=f"It says: {error}.") from None
        if not self._handles:
            self.close()
            raise Unavailable(
                "This machine has NVIDIA's driver and no GPU.",
                next_step="Run this on a machine with one.",
            )

    def look(self) -> list[Busy]:
        """How busy each GPU is just now.

        Raises:
            WorkbookError: One of them does not say, as slices of a GPU (MIG) and some virtual ones don't.
        """
        library = self._library
        seen = []
        for handle, name in zip(self._handles, self.names, strict=True):
            try:
                percent = library.nvmlDeviceGetUtilizationRates(handle).gpu
                used = library.nvmlDeviceGetMemoryInfo(handle).used
            except library.NVMLError as error:
                raise WorkbookError(
                    f"{name} does not say how busy it is.",
                    why=f"NVML says: {error}.",
                    next_step="A slice of a GPU (MIG) can't be asked: measure on a whole one.",
                ) from None
            seen.append(Busy(percent / 100, int(used)))
        return seen

    def close(self) -> None:
        """Let go of the library."""
        self._library.nvmlShutdown()

    def __enter__(self) -> NvmlGpus:
        """It is open already."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of the library."""
        self.close()


def _text(value: str | bytes) -> str:
    """Older versions of the library give bytes."""
    return value.decode() if isinstance(value, bytes) else value
