"""What a scanner found, in the same words whichever scanner it was."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum


class Severity(IntEnum):
    """How bad a finding is; the order is that of urgency."""

    UNKNOWN = 0
    LOW = 1
    MEDIUM = 2
    HIGH = 3
    CRITICAL = 4

    @classmethod
    def named(cls, name: str | None) -> Severity:
        """The severity that a scanner calls so, in whichever case; `UNKNOWN` for what none of them says."""
        return _NAMES.get((name or "").upper(), cls.UNKNOWN)


_NAMES = {severity.name: severity for severity in Severity} | {
    # hadolint speaks of levels, as linters do.
    "ERROR": Severity.HIGH,
    "WARNING": Severity.MEDIUM,
    "INFO": Severity.LOW,
    "STYLE": Severity.LOW,
    "MODERATE": Severity.MEDIUM,
}


@dataclass(frozen=True)
class Finding:
    """One thing that a scanner says is wrong.

    Attributes:
        tool: The scanner, `hadolint`.
        rule: Its name for what it found, `DL3042`, `CVE-2025-43859`.
        severity: How bad it is.
        place: Where: `line 4`, a file, a package with its version.
        message: What is wrong, in its words.
    """

    tool: str
    rule: str
    severity: Severity
    place: str
    message: str

    def __str__(self) -> str:
        """One line."""
        return f"{self.severity.name} {self.rule} ({self.tool}), {self.place}: {self.message}"


def at_least(findings: Iterable[Finding], severity: Severity) -> list[Finding]:
    """Those that are as bad as that or worse, the worst first."""
    found = [finding for finding in findings if finding.severity >= severity]
    return sorted(found, key=lambda finding: -finding.severity)
