"""What the scanners of Dockerfiles find, and what they must not let pass."""

from __future__ import annotations

import pytest

from labkit import scanning
from labkit.scanning import Severity, at_least

GOOD = 'FROM python:3.11-slim\nWORKDIR /app\nCOPY serve.py .\nUSER 10001\nCMD ["python", "serve.py"]\n'
BAD = "FROM python:3.11-slim\nRUN pip install six==1.17.0\nUSER root\nCMD python serve.py\n"


@pytest.fixture
def dockerfile(tmp_path):
    def write(text):
        (tmp_path / "Dockerfile").write_text(text)
        return tmp_path / "Dockerfile"

    return write


def test_hadolint_names_rule_line_and_severity(dockerfile):
    found = {finding.rule: finding for finding in scanning.hadolint(dockerfile(BAD))}
    assert found["DL3042"].severity is Severity.MEDIUM
    assert found["DL3042"].place == "line 2"
    assert "DL3025" in found


def test_nothing_is_found_in_a_good_one(dockerfile):
    path = dockerfile(GOOD)
    assert at_least(scanning.hadolint(path), Severity.MEDIUM) == []
    assert at_least(scanning.misconfigurations(path), Severity.HIGH) == []


def test_a_comment_does_not_silence_hadolint(dockerfile):
    text = BAD.replace("RUN pip", "# hadolint ignore=DL3042\nRUN pip")
    assert "DL3042" in {finding.rule for finding in scanning.hadolint(dockerfile(text))}


def test_configuration_beside_the_file_does_not_silence_trivy(dockerfile):
    path = dockerfile(BAD)
    path.with_name(".trivyignore").write_text("DS002\nAVD-DS-0002\n")
    path.with_name("trivy.yaml").write_text("severity: [LOW]\n")
    found = {finding.rule: finding.severity for finding in scanning.misconfigurations(path)}
    assert found["DS002"] is Severity.HIGH


def test_a_comment_does_not_silence_trivy(dockerfile):
    path = dockerfile("#trivy:ignore:DS002\n" + BAD.replace("USER root", "#trivy:ignore:*\nUSER root"))
    assert "DS002" in {finding.rule for finding in scanning.misconfigurations(path)}


def test_a_syntax_error_is_a_finding_not_a_fault(dockerfile):
    assert scanning.hadolint(dockerfile("FROM python:3.11-slim\nRUNN true\n"))


@pytest.mark.slow
def test_checkov_finds_root(dockerfile):
    assert "CKV_DOCKER_8" in {finding.rule for finding in scanning.checkov(dockerfile(BAD))}
