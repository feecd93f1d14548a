"""Scanners that read an image, as any engine saves it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labkit.scanning import advisories
from labkit.scanning.advisories import Advisories, Vulnerabilities
from labkit.scanning.findings import Finding, Severity
from labkit.scanning.programs import read_json, run

if TYPE_CHECKING:
    from labkit.engines.docker import DockerEngine


@dataclass(frozen=True)
class Package:
    """One package in an image.

    Attributes:
        kind: What it is a package of, as in package URLs: `pypi`, `deb`.
        name: Its name.
        version: Its version.
        place: The file that it was found by.
    """

    kind: str
    name: str
    version: str
    place: str = ""

    def __str__(self) -> str:
        """Name and version."""
        return f"{self.name} {self.version}"


@dataclass(frozen=True)
class Sbom:
    """A software bill of materials.

    Attributes:
        packages: What the image holds.
        document: The whole as CycloneDX has it, plain JSON values.
    """

    packages: tuple[Package, ...]
    document: dict[str, Any]


@contextmanager
def archived(engine: DockerEngine, image: str) -> Iterator[Path]:
    """The image in a file, as `docker save` writes it, gone afterwards.

    Raises:
        WorkFault: There is no such image.
    """
    with tempfile.TemporaryDirectory(prefix="workbook-image-") as folder:
        path = Path(folder) / "image.tar"
        with path.open("wb") as file:
            engine.save(image, file)
        yield path


def secrets(archive: Path) -> list[Finding]:
    """What looks like a secret, in the image's configuration and in every layer, deleted files included.

    Raises:
        ScannerFault: Trivy broke.
    """
    answer = _trivy(archive, ["--scanners=secret", "--image-config-scanners=secret"])
    return [
        Finding(
            "trivy",
            str(entry["RuleID"]),
            Severity.named(entry.get("Severity")),
            str(result.get("Target", "")),
            str(entry.get("Title", "")),
        )
        for result in answer.get("Results") or []
        for entry in result.get("Secrets") or []
    ]


def sbom(archive: Path, *, catalogers: str = "") -> Sbom:
    """What the image holds, by syft.

    Args:
        archive: The image.
        catalogers: Those of syft's that are asked, `python`; all that suit an image by default.

    Raises:
        ScannerFault: It broke.
    """
    arguments = ["scan", f"docker-archive:{archive}", "--output=cyclonedx-json", "--quiet"]
    if catalogers:
        arguments.append(f"--select-catalogers={catalogers}")
    said = run("syft", arguments, seconds=180)
    document: dict[str, Any] = read_json("syft", said)
    return Sbom(tuple(_packages(document.get("components") or [])), document)


def vulnerabilities(archive: Path, packages: Sequence[Package]) -> Vulnerabilities:
    """Known vulnerabilities of what an image holds: against Trivy's database if there is one, else a fixture.

    Args:
        archive: The image.
        packages: What it holds, by `sbom`.

    Raises:
        ScannerFault: Trivy broke.
    """
    database = advisories.database()
    if database is None:
        return Advisories.shipped().judge((p.kind, p.name, p.version) for p in packages)
    answer = _trivy(
        archive, ["--scanners=vuln", "--skip-db-update", "--skip-java-db-update"], cache=database.folder
    )
    return Vulnerabilities(
        tuple(
            Finding(
                "trivy",
                str(entry["VulnerabilityID"]),
                Severity.named(entry.get("Severity")),
                f"{entry['PkgName']} {entry['InstalledVersion']}",
                f"{entry.get('Title', '')} (fixed in {entry.get('FixedVersion') or 'no version yet'})",
            )
            for result in answer.get("Results") or []
            for entry in result.get("Vulnerabilities") or []
        ),
        against=f"Trivy's database of {database.date}",
        complete=True,
    )


def _trivy(archive: Path, arguments: list[str], *, cache: Path | None = None) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="workbook-trivy-") as scratch:
        said = run(
            "trivy",
            [
                *("image", "--quiet", "--format=json", "--offline-scan", f"--cache-dir={cache or scratch}"),
                *(f"--input={archive}", *arguments),
            ],
            seconds=240,
        )
    answer: dict[str, Any] = read_json("trivy", said)
    return answer


def _packages(components: list[dict[str, Any]]) -> Iterator[Package]:
    for component in components:
        url = str(component.get("purl", ""))
        if not url.startswith("pkg:"):
            continue  # the operating system itself, and plain files
        places = [
            str(entry["value"])
            for entry in component.get("properties") or []
            if str(entry.get("name", "")).endswith("location:0:path")
        ]
        kind = url.removeprefix("pkg:").partition("/")[0]
        yield Package(kind, str(component["name"]), str(component.get("version", "")), *places[:1])
