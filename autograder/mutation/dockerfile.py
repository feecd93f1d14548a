"""Faults in Dockerfiles: a line left out or out of order, another base image, root, a shell around it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from autograder.mutation.operators import Mutation

_OPTIONS = re.compile(r"\s--(?:chown|chmod|from|mount|no-cache-dir|link|platform)(?:=\S+)?")
_CLEANING = re.compile(r"(?:\s*\\\n)?\s*(?:&&|;)\s*(?:\\\n\s*)?rm -rf? [^&;\\\n]+")


@dataclass(frozen=True)
class _Instruction:
    """One instruction with its continuation lines.

    Attributes:
        first: Its first line, counted from 0.
        last: Its last.
        name: In upper case, `RUN`.
        text: All of it, with the line's end.
    """

    first: int
    last: int
    name: str
    text: str


def mutations(text: str) -> Iterator[Mutation]:
    """All mutations of a Dockerfile.

    Raises:
        ValueError: There is no instruction in it.
    """
    lines = text.splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    instructions = _instructions(lines)
    if not instructions:
        raise ValueError("There is no instruction in it.")
    for place, each in enumerate(instructions):
        for operator, changed in _changes(each):
            yield _with(lines, each.first, each.last, changed, operator)
        following = instructions[place + 1] if place + 1 < len(instructions) else None
        if following and {each.name, following.name} in ({"COPY", "RUN"}, {"ADD", "RUN"}):
            between = "".join(lines[each.last + 1 : following.first])
            swapped = f"{following.text}{between}{each.text}"
            yield _with(lines, each.first, following.last, swapped, "order changed")


def _instructions(lines: list[str]) -> list[_Instruction]:
    found = []
    first: int | None = None
    for number, line in enumerate(lines):
        stripped = line.strip()
        if first is None:
            if not stripped or stripped.startswith("#"):
                continue
            first = number
        elif stripped.startswith("#") or not stripped:
            continue
        if not stripped.endswith("\\") or number == len(lines) - 1:
            text = "".join(lines[first : number + 1])
            found.append(_Instruction(first, number, text.split()[0].upper(), text))
            first = None
    return found


def _changes(each: _Instruction) -> Iterator[tuple[str, str]]:
    """Which kind of fault, and what stands in the instruction's place."""
    if each.name != "FROM":
        yield f"{each.name} left out", ""
    for option in _OPTIONS.finditer(each.text):
        name = option[0].strip().partition("=")[0]
        yield f"{name} left out", each.text[: option.start()] + each.text[option.end() :]
    match each.name:
        case "FROM":
            if tag := re.search(r"(?<=\S):[\w.-]+(?:@sha256:\w+)?", each.text):
                yield "base image latest", each.text.replace(tag[0], ":latest", 1)
        case "USER":
            yield "runs as root", "USER root\n"
        case "EXPOSE":
            yield "another port", re.sub(r"\d+", lambda port: str(int(port[0]) + 1), each.text, count=1)
        case "WORKDIR":
            yield "another folder", "WORKDIR /elsewhere\n"
        case "CMD" | "ENTRYPOINT":
            yield from _in_shell(each)
        case "RUN":
            if cleaning := _CLEANING.search(each.text):
                yield "nothing cleaned up", each.text.replace(cleaning[0], "", 1)
        case "COPY":
            yield "everything copied", _copy_all(each.text)


def _in_shell(each: _Instruction) -> Iterator[tuple[str, str]]:
    """The exec form in a shell: the program is no longer process 1 and hears no SIGTERM."""
    try:
        words = json.loads(each.text.split(None, 1)[1])
    except (ValueError, IndexError):
        return
    if isinstance(words, list):
        yield "in a shell", f"{each.name} {' '.join(map(str, words))}\n"


def _copy_all(text: str) -> str:
    words = text.split()
    options = [word for word in words[1:] if word.startswith("--")]
    plain = [word for word in words[1:] if not word.startswith("--") and word != "\\"]
    if "--from" in text or len(plain) != 2:
        return text
    return " ".join(["COPY", *options, ".", plain[-1] if plain[-1].endswith("/") else "."]) + "\n"


def _with(lines: list[str], first: int, last: int, changed: str, operator: str) -> Mutation:
    mutated = "".join([*lines[:first], changed, *lines[last + 1 :]])
    return Mutation(f"dockerfile: {operator}", first + 1, mutated)
