"""Scanners that read a Dockerfile: they build nothing, and take seconds."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from labkit.scanning.findings import Finding, Severity
from labkit.scanning.programs import read_json, run

_EXCEPTION = re.compile(rb"(?:trivy:ignore|tfsec:ignore|checkov:skip|bridgecrew:skip)", re.IGNORECASE)


def hadolint(dockerfile: Path) -> list[Finding]:
    """What the linter of Dockerfiles finds; a comment `# hadolint ignore=...` does not count here.

    Raises:
        ScannerFault: It broke. A Dockerfile that it can't read is a finding, `DL1000`.
    """
    said = run(
        "hadolint",
        ["--no-fail", "--no-color", "--disable-ignore-pragma", "--format=json", "--", str(dockerfile)],
        seconds=30,
    )
    return [
        Finding(
            "hadolint",
            str(found["code"]),
            Severity.named(found["level"]),
            f"line {found['line']}",
            str(found["message"]).splitlines()[0],
        )
        for found in read_json("hadolint", said)
    ]


def checkov(dockerfile: Path) -> list[Finding]:
    """What checkov's policies find. Without an account it names no severity: they are `UNKNOWN`.

    Raises:
        ScannerFault: It broke.
    """
    with _alone(dockerfile) as folder:
        said = run(
            "checkov",
            ["-f", "Dockerfile", "--framework=dockerfile", "-o=json", "--compact", "--skip-download"],
            codes=(0, 1),
            seconds=180,
            folder=folder,
        )
    answer = read_json("checkov", said)
    reports = answer if isinstance(answer, list) else [answer]
    failed: list[dict[str, Any]] = [
        entry for report in reports for entry in report.get("results", {}).get("failed_checks", [])
    ]
    return [
        Finding(
            "checkov",
            str(entry["check_id"]),
            Severity.named(entry.get("severity")),
            f"line {entry['file_line_range'][0]}",
            str(entry["check_name"]),
        )
        for entry in failed
    ]


def misconfigurations(dockerfile: Path) -> list[Finding]:
    """What the checks that Trivy brings along find; nothing is fetched.

    Raises:
        ScannerFault: It broke.
    """
    with _alone(dockerfile) as folder, tempfile.TemporaryDirectory(prefix="workbook-trivy-") as cache:
        said = run(
            "trivy",
            [
                "config",
                "--quiet",
                "--format=json",
                "--skip-check-update",
                f"--cache-dir={cache}",
                str(folder),
            ],
            seconds=60,
        )
    return [
        Finding(
            "trivy",
            str(entry["ID"]),
            Severity.named(entry.get("Severity")),
            _line(entry.get("CauseMetadata", {}).get("StartLine")),
            str(entry.get("Message") or entry.get("Title")),
        )
        for result in read_json("trivy", said).get("Results") or []
        for entry in result.get("Misconfigurations") or []
        if entry.get("Status") == "FAIL"
    ]


def _line(number: int | None) -> str:
    return f"line {number}" if number else "the whole file"


@contextmanager
def _alone(dockerfile: Path) -> Iterator[Path]:
    """A folder that holds this file alone, without its exceptions.

    Scanners obey configuration that lies beside what they scan, and comments in it.
    """
    with tempfile.TemporaryDirectory(prefix="workbook-scan-") as folder:
        text = _EXCEPTION.sub(rb"exception", dockerfile.read_bytes())
        (Path(folder) / "Dockerfile").write_bytes(text)
        yield Path(folder)
