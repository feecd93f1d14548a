"""What Terraform says when something is wrong, as one sentence and what to do about it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from labkit.errors import Unavailable, WorkbookError, WorkFault

NOT_IN_THE_EMULATOR = "NotInTheEmulator"
"""As the emulator says it (`labkit.clouds.emulator.refusals`)."""


@dataclass(frozen=True)
class Diagnostic:
    """One thing that Terraform found.

    Attributes:
        severity: `error` or `warning`.
        summary: In a few words.
        detail: The rest.
        file: Where it is, if it is in a file; else empty.
        line: The line there.
        address: The resource that it is about, if it is about one.
    """

    severity: str
    summary: str
    detail: str = ""
    file: str = ""
    line: int = 0
    address: str = ""

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> Diagnostic:
        """From the JSON of Terraform's diagnostics."""
        place = found.get("range") or {}
        return cls(
            severity=str(found.get("severity", "error")),
            summary=" ".join(str(found.get("summary", "")).split()),
            detail=" ".join(str(found.get("detail", "")).split()),
            file=str(place.get("filename", "")),
            line=int((place.get("start") or {}).get("line", 0)),
            address=str(found.get("address", "")),
        )

    @property
    def place(self) -> str:
        """`main.tf line 12`, or the resource, or nothing."""
        return f"{self.file} line {self.line}" if self.file else self.address

    def __str__(self) -> str:
        """One line."""
        return f"{self.place}: {self.summary}" if self.place else self.summary


class TerraformFault(WorkFault):
    """The configuration, or the state, is at fault.

    Attributes:
        diagnostics: All that Terraform found.
    """

    def __init__(
        self, what: str, *, why: str = "", next_step: str = "", diagnostics: Iterable[Diagnostic] = ()
    ) -> None:
        super().__init__(what, why=why, next_step=next_step)
        self.diagnostics = tuple(diagnostics)


class StateLocked(TerraformFault):
    """Somebody else holds the state's lock.

    Attributes:
        lock: The lock's id, for `terraform force-unlock`.
    """

    lock = ""


def fault(command: str, diagnostics: list[Diagnostic], output: str) -> WorkbookError:
    """The error that a failed command stands for.

    Args:
        command: `plan`, `apply` ...
        diagnostics: What it found.
        output: All that it printed, for what has no diagnostic.
    """
    errors = [each for each in diagnostics if each.severity == "error"]
    if not errors:
        last = " ".join([line.strip() for line in output.splitlines() if line.strip()][-2:])[-300:]
        return TerraformFault(f"terraform {command} failed.", why=last, diagnostics=diagnostics)
    text = " ".join(f"{each.summary} {each.detail}" for each in errors)
    for recognise in (_lacking, _broken_state, _locked, _no_provider, _cycle, _syntax):
        if found := recognise(command, errors, text):
            return found
    first = errors[0]
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return TerraformFault(
        f"terraform {command} refused: {first}{more}.".replace("..", "."),
        why=first.detail[:400],
        diagnostics=diagnostics,
    )


def _lacking(command: str, errors: list[Diagnostic], text: str) -> WorkbookError | None:
    if NOT_IN_THE_EMULATOR not in text:
        return None
    said = re.search(r"The emulator (?:lacks|has no) [^.]*\.", text)
    return Unavailable(
        said[0] if said else "The emulator lacks a call that this needs.",
        why=f"{errors[0].place or errors[0].address} asks for it.".strip(),
        next_step="On a real account (CLOUD = 'aws') it may work; this course does not need it.",
    )


def _locked(command: str, errors: list[Diagnostic], text: str) -> WorkbookError | None:
    if "acquiring the state lock" not in text:
        return None
    lock = re.search(r"Lock Info:\s*ID:\s*(\S+)", text)
    who = re.search(r"Who:\s*(\S+)", text)
    since = re.search(r"Created:\s*(.+?) (?:Info|Terraform)\b", text)
    found = StateLocked(
        f"The state is locked{f' by {who[1]}' if who else ''}{f' since {since[1]}' if since else ''}.",
        why="Another command changes it now, or was killed while it did.",
        next_step=f"Wait for it; if it is dead for sure: terraform force-unlock {lock[1] if lock else 'ID'}.",
        diagnostics=errors,
    )
    found.lock = lock[1] if lock else ""
    return found


def _broken_state(command: str, errors: list[Diagnostic], text: str) -> WorkbookError | None:
    # Said as a lock that can't be had, too: Terraform reads the file before it locks it.
    if not re.search(
        r"(unsupported state file|state (file|data|snapshot).{0,40}(corrupt|invalid|parsed))", text, re.I
    ):
        return None
    return TerraformFault(
        "The state file can't be read: it is not what Terraform wrote.",
        why=errors[0].detail[:200],
        next_step="Put the last good one in its place: terraform.tfstate.backup, or an older version of it.",
        diagnostics=errors,
    )


def _no_provider(command: str, errors: list[Diagnostic], text: str) -> WorkbookError | None:
    if not re.search(r"(query available provider|install provider|provider registry)", text, re.I):
        return None
    named = re.findall(r"registry\.terraform\.io/([\w-]+/[\w-]+)|provider ([\w-]+/[\w-]+)", text)
    name = next((a or b for a, b in named), "a provider")
    return TerraformFault(
        f"{name} can't be had here in the version that is asked for.",
        why="Without a registry there is hashicorp/aws 3.39.0, and nothing else.",
        next_step='Ask for version = "~> 3.39" of hashicorp/aws in required_providers.',
        diagnostics=errors,
    )


def _cycle(command: str, errors: list[Diagnostic], text: str) -> WorkbookError | None:
    found = re.search(r"Cycle: (.+?)(?:$|\s{2}| Cycle)", text)
    if not found:
        return None
    return TerraformFault(
        f"These wait for each other: {found[1].strip()[:300]}.",
        why="Each refers to the next, so none can be the first.",
        next_step="Take one of the references out, or move what both need into a resource of its own.",
        diagnostics=errors,
    )


_SYNTAX = re.compile(
    r"(Invalid expression|Argument or block definition required|Unclosed|Invalid block|Missing newline|"
    r"Invalid character|Unexpected .* in expression|Missing .* separator|Invalid multi-line|"
    r"Invalid argument name|Invalid single-argument|Unterminated)",
    re.I,
)


def _syntax(command: str, errors: list[Diagnostic], text: str) -> WorkbookError | None:
    first = errors[0]
    if not first.file or not _SYNTAX.search(first.summary):
        return None
    return TerraformFault(
        f"{first.file} does not parse: {first.summary} in line {first.line}.",
        why=first.detail[:300],
        diagnostics=errors,
    )
