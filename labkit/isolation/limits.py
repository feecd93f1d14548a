"""What a sandbox may use, and the part of it that every Linux can enforce (rlimits)."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1 << 20


@dataclass(frozen=True)
class Limits:
    """What one sandbox may use.

    Attributes:
        seconds: Wall clock; whoever started the sandbox stops it then.
        memory_bytes: All processes together where a cgroup binds it, else the address space of each.
        processes: Processes and threads at a time.
        cores: Processor cores, where a cgroup binds it.
        disk_bytes: All files that it writes, together.
        files: How many files and folders it may make.
        output_bytes: What of its standard output and error is kept.
    """

    seconds: float = 120.0
    memory_bytes: int = 2048 * MIB
    processes: int = 128
    cores: float = 1.0
    disk_bytes: int = 256 * MIB
    files: int = 5_000
    output_bytes: int = 1 * MIB


def set_rlimits(limits: dict[str, float], *, address_space: int | None) -> None:
    """Set the resource limits of this process and all that it starts.

    Args:
        limits: `vars` of a `Limits`.
        address_space: What is mapped already, where `memory_bytes` more is the most that may be; None where
            memory is bound otherwise.
    """
    import resource  # Linux and macOS have it

    # The wall clock is stopped by whoever started it: this is for what outlives them.
    seconds = int(limits["seconds"] * max(1.0, limits["cores"])) + 30
    wanted = {
        resource.RLIMIT_CPU: seconds,
        resource.RLIMIT_FSIZE: int(limits["disk_bytes"]),
        resource.RLIMIT_NPROC: int(limits["processes"]),
        resource.RLIMIT_NOFILE: 1024,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_MSGQUEUE: 0,
    }
    if address_space is not None:
        wanted[resource.RLIMIT_AS] = address_space + int(limits["memory_bytes"])
    for kind, value in wanted.items():
        most = resource.getrlimit(kind)[1]
        value = value if most == resource.RLIM_INFINITY else min(value, most)
        resource.setrlimit(kind, (value, value))
