"""What scanners find in a Dockerfile, an image and a configuration: hadolint, checkov, Trivy and syft.

The programs live in an environment of their own, `environments/scan.in`, made on first use. None of them runs
what it looks at. A scanner that breaks raises `ScannerFault`, which is never the learner's fault.
"""

from labkit.scanning.advisories import Advisories, Vulnerabilities
from labkit.scanning.dockerfiles import checkov, hadolint, misconfigurations
from labkit.scanning.findings import Finding, Severity, at_least
from labkit.scanning.images import Package, Sbom, archived, sbom, secrets, vulnerabilities
from labkit.scanning.infrastructure import Violation, violations
from labkit.scanning.programs import ScannerFault, ready

__all__ = [
    "Advisories",
    "Finding",
    "Package",
    "Sbom",
    "ScannerFault",
    "Severity",
    "Violation",
    "Vulnerabilities",
    "archived",
    "at_least",
    "checkov",
    "hadolint",
    "misconfigurations",
    "ready",
    "sbom",
    "secrets",
    "violations",
    "vulnerabilities",
]
