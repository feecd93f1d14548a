"""The guides keep their word: links lead somewhere, and each command shown exists with its options."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from autograder.classroom import launcher
from autograder.cli import command_line

ROOT = Path(__file__).parents[1]
WORKBOOK = typer.main.get_command(command_line())
PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
_BLOCK = re.compile(r"^(?P<fence>```+)(?P<language>\w*)\n(?P<text>.*?)^(?P=fence)$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\((?!https?://|mailto:|#)([^)#\s]+)")


def commands(page: Path) -> list[str]:
    """Every `workbook` command line of a page, in blocks and between backticks."""
    text = page.read_text()
    found = [line for block in _BLOCK.finditer(text) for line in block["text"].splitlines()]
    found += re.findall(r"`([^`\n]*workbook [^`\n]*)`", _BLOCK.sub("", text))
    lines = []
    for line in found:
        match = re.match(r"(?:\s*(?:\$ )?)(?:\.venv/bin/)?workbook (.*)", line)
        if match and "…" not in line and not match[1].startswith("is "):
            lines.append(re.split(r"\s{2,}#|\s#\s|;|, | and ", match[1])[0])
    return lines


CASES = [pytest.param(line, id=f"{page.name}: {line}") for page in PAGES for line in commands(page)]


@pytest.mark.parametrize("line", CASES)
def test_a_command_that_is_shown_exists_with_its_options(line):
    line = re.sub(r"\[[^\]]*\]", "", line)  # what the page marks as optional
    names = re.fullmatch(r"([a-z|, ]+?)( .*)?", line)
    if line.startswith("start "):  # what a wheel brings, before there is a course
        assert re.fullmatch(r"start \S+", line)
        assert "workbook start FOLDER" in launcher.USAGE
        return
    for variant in _variants(line) if names else [line]:
        command, rest = _resolve(WORKBOOK, shlex.split(variant))
        rest = rest[: rest.index("--")] if "--" in rest else rest  # what follows is somebody else's
        known = {option for each in command.params for option in (*each.opts, *each.secondary_opts)}
        used = {word.split("=")[0] for word in rest if word.startswith("-") and not word[1:2].isdigit()}
        assert used <= known | {"-h", "--help"}, f"workbook {variant}"


def _variants(line: str) -> list[str]:
    """`up|down engine` stands for both."""
    first, _, rest = line.partition(" ")
    return [f"{each} {rest}".strip() for each in first.split("|")]


def _resolve(command: Any, words: list[str]) -> tuple[Any, list[str]]:
    """The command that the words name, through its groups, and the words that are left."""
    while words and (known := getattr(command, "commands", None)) is not None:
        assert words[0] in known, f"there is no command {words[0]!r}"
        command, words = known[words[0]], words[1:]
    return command, words


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in _LINK.findall(page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_make_s_targets_that_are_shown_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    for page in PAGES:
        for words in re.findall(r"^(?:\$ )?make ([a-z -]+)$", page.read_text(), flags=re.MULTILINE):
            assert set(words.split()) <= targets, f"{page.name}: make {words}"
