"""Reads Dockerfiles: their stages, the bases that they name, and what a digest stands for on this machine."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dockerfile_parse import DockerfileParser
from dockerfile_parse.util import WordSplitter

from labkit.errors import WorkFault

_FROM = re.compile(r"((?:--\S+\s+)*)(\S+)(?:\s+AS\s+(\S+))?", re.IGNORECASE)
_REFERENCE = re.compile(r"(?P<name>[^@]+?)(?::(?P<tag>[\w][\w.-]*))?(?:@(?P<digest>sha256:[0-9a-fA-F]*))?")


@dataclass(frozen=True)
class Base:
    """An image that a stage begins with.

    Attributes:
        line: The line of its FROM, from 1.
        stage: What the stage is called, or its number.
        name: The image without tag and digest, `python`.
        tag: Its tag; empty if none is named.
        digest: `sha256:...`; empty if none is named.
    """

    line: int
    stage: str
    name: str
    tag: str
    digest: str

    @property
    def tagged(self) -> str:
        """Name and tag, `python:3.11-slim`."""
        return f"{self.name}:{self.tag or 'latest'}"


@dataclass(frozen=True)
class Instruction:
    """One instruction: its line from 1, its name in capitals, and what stands behind it in one line."""

    line: int
    name: str
    value: str


@dataclass(frozen=True)
class Stage:
    """Where a stage begins: the line of its FROM, the image or stage that it names, and its own name."""

    line: int
    image: str
    name: str


class Dockerfile:
    """A Dockerfile that was read.

    Args:
        text: What it holds.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        parser = DockerfileParser(fileobj=io.BytesIO(text.encode()))
        self._structure: list[dict[str, Any]] = parser.structure
        self.instructions = [
            Instruction(part["startline"] + 1, part["instruction"], part["value"])
            for part in self._structure
            if part["instruction"] != "COMMENT"
        ]

    @property
    def bases(self) -> list[Base]:
        """The images that its stages begin with; stages that begin with another stage are left out."""
        found: list[Base] = []
        stages: set[str] = set()
        arguments: dict[str, str] = {}
        number = 0
        for instruction in self.instructions:
            if instruction.name == "ARG" and number == 0:
                name, _, value = instruction.value.partition("=")
                arguments[name.strip()] = value.strip().strip("\"'")
            if instruction.name != "FROM":
                continue
            match = _FROM.fullmatch(instruction.value.strip())
            if match is None:
                continue
            image = WordSplitter(match[2], args=arguments).dequote()
            stage = match[3] or str(number)
            if image not in stages and image != "scratch":
                found.append(_base(instruction.line, stage, image))
            stages.add(stage)
            number += 1
        return found

    @property
    def stages(self) -> list[Stage]:
        """Its stages, in order; one without a name is called by its number."""
        found: list[Stage] = []
        for instruction in self.instructions:
            match = _FROM.fullmatch(instruction.value.strip()) if instruction.name == "FROM" else None
            if match is not None:
                found.append(Stage(instruction.line, match[2], match[3] or str(len(found))))
        return found

    def with_bases(self, replacement: Callable[[Base], str]) -> str:
        """The text with each base's reference replaced by what the function gives."""
        lines = self.text.splitlines()
        for base in self.bases:
            part = next(p for p in self._structure if p["startline"] + 1 == base.line)
            match = _FROM.fullmatch(part["value"].strip())
            assert match is not None
            stage = f" AS {match[3]}" if match[3] else ""
            lines[part["startline"]] = f"FROM {match[1]}{replacement(base)}{stage}"
            for extra in range(part["startline"] + 1, part["endline"] + 1):
                lines[extra] = ""
        return "\n".join(lines) + "\n"


def _base(line: int, stage: str, image: str) -> Base:
    match = _REFERENCE.fullmatch(image)
    if match is None:
        raise WorkFault(
            f"Line {line} of the Dockerfile names no image: {image[:80]}.",
            next_step="An image is written name:tag@sha256:digest.",
        )
    name = re.sub(r"^(docker\.io/)?(library/)?", "", match["name"])
    return Base(line, stage, name, match["tag"] or "", (match["digest"] or "").lower())
