"""What an image's archive and its history say: its layers, what made each, and the files in them."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterable, Iterator
from typing import Any

from labkit.engines.base import Layer
from labkit.errors import WorkFault

SMALL_FILE = 1 << 20
IMAGE_BYTES = 12 << 30
"""What is read of an image; a file of a few bytes on the engine's disk can say that it is larger."""


class Bounded:
    """A stream of bytes that is read up to a limit, as an iterator and as a file.

    Raises:
        WorkFault: There is more of it.
    """

    def __init__(self, chunks: Iterable[Any], limit: int, name: str) -> None:
        self._chunks = iter(chunks)
        self._limit = self._left = limit
        self._name = name
        self._buffer = b""

    def __iter__(self) -> Iterator[bytes]:
        """Its chunks."""
        for chunk in self._chunks:
            self._left -= len(chunk)
            if self._left < 0:
                raise WorkFault(
                    f"The image {self._name[:80]} holds more than {self._limit >> 30} GiB.",
                    next_step="Look for a file that is much larger than it should be.",
                )
            yield chunk

    def read(self, size: int) -> bytes:
        """The next bytes, fewer only at the end."""
        while len(self._buffer) < size and (chunk := next(iter(self), b"")):
            self._buffer += chunk
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken


def layers_of(digests: list[str], history: list[dict[str, Any]]) -> tuple[Layer, ...]:
    """The layers with what made each: the API gives history and layers, and not which belong together."""
    entries = list(reversed(history))
    chosen = {index for index, entry in enumerate(entries) if int(entry.get("Size") or 0) > 0}

    def rank(index: int) -> int:
        made_by = str(entries[index].get("CreatedBy", ""))
        if re.match(r"(RUN|COPY|ADD)\b|/bin/sh -c (?!#\(nop\))|.*#\(nop\) (COPY|ADD)", made_by):
            return 0
        return 1 if "WORKDIR" in made_by else 2

    empty = sorted((i for i in range(len(entries)) if i not in chosen), key=lambda i: (rank(i), i))
    chosen.update(empty[: max(0, len(digests) - len(chosen))])
    kept = [entries[index] for index in sorted(chosen)]
    kept = [{}] * (len(digests) - len(kept)) + kept[: len(digests)]
    return tuple(
        Layer(_tidy(str(entry.get("CreatedBy", ""))), int(entry.get("Size") or 0), digest)
        for entry, digest in zip(kept, digests, strict=True)
    )


def member(archive: tarfile.TarFile, name: str) -> bytes:
    """The contents of one file of the archive."""
    file = archive.extractfile(name)
    assert file is not None
    return file.read()


def small_files(archive: tarfile.TarFile, name: str) -> dict[str, bytes | None]:
    """What one layer of a saved image holds: small files' contents by path, None for larger ones."""
    layer = archive.extractfile(name)
    assert layer is not None
    found: dict[str, bytes | None] = {}
    with tarfile.open(fileobj=layer) as tree:
        for member in tree:
            file = tree.extractfile(member) if member.isfile() and member.size <= SMALL_FILE else None
            found[member.name.removeprefix("./")] = file.read() if file is not None else None
    return found


def _tidy(made_by: str) -> str:
    made_by = re.sub(r"^/bin/sh -c #\(nop\)\s+", "", made_by)
    made_by = re.sub(r"^(?:RUN )?/bin/sh -c ", "RUN ", made_by).removesuffix("# buildkit")
    return " ".join(made_by.split())
