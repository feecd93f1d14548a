"""The image of the container that holds a pod's network: one program of 129 bytes that waits for ever.

Kubernetes' own is a small C program to the same end. There is no registry to have it from on many machines and
no compiler to build it with, so that its few instructions are written down here.
"""

from __future__ import annotations

import io
import platform
import struct
import tarfile

from labkit.clusters.embedded.agents.engine import Engine, EngineError
from labkit.errors import Unavailable

TAG = "ml-workbook/pause:1"
_BASE, _PAGE = 0x400000, 0x1000
_HEADER, _SEGMENT = 64, 56
_PROGRAMS = {
    # mov eax, 34 (pause); syscall; back to the first
    "x86_64": (62, bytes.fromhex("b8 22000000 0f05 ebf7")),
    # x0 to x4 zero; x8 = 73 (ppoll); svc 0; back to the first
    "aarch64": (
        183,
        bytes.fromhex("000080d2 010080d2 020080d2 030080d2 040080d2 280980d2 010000d4 f9ffff17"),
    ),
}


def program(machine: str) -> bytes:
    """The program as an ELF file: a header, one segment, its code.

    Raises:
        Unavailable: It is not written for that processor.
    """
    if machine not in _PROGRAMS:
        raise Unavailable(f"Pods can't be containers here: there is no pause program for {machine}.")
    number, code = _PROGRAMS[machine]
    start, size = _BASE + _HEADER + _SEGMENT, _HEADER + _SEGMENT + len(code)
    identity = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)  # 64 bits, little-endian, version 1
    header = struct.pack(
        "<16sHHIQQQIHHHHHH", identity, 2, number, 1, start, _HEADER, 0, 0, _HEADER, _SEGMENT, 1, 0, 0, 0
    )
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, _PAGE)  # loaded, read and run
    return header + segment + code


async def provide(engine: Engine) -> str:
    """Have the engine know the image; gives its name."""
    try:
        await engine.ask("GET", f"/images/{TAG}/json")
    except EngineError:
        tree, data = io.BytesIO(), program(platform.machine())
        with tarfile.open(fileobj=tree, mode="w") as archive:
            entry = tarfile.TarInfo("pause")
            entry.size, entry.mode = len(data), 0o755
            archive.addfile(entry, io.BytesIO(data))
        repository, _, tag = TAG.partition(":")
        changes = 'ENTRYPOINT ["/pause"]'
        async with engine.open(
            "POST", "/images/create", tree.getvalue(), fromSrc="-", repo=repository, tag=tag, changes=changes
        ) as answer:
            await answer.read()
    return TAG
