"""What the scanners of images find, in layers, configuration and packages."""

from __future__ import annotations

import json

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from labkit import scanning
from labkit.scanning import Advisories, Severity, advisories, programs

KEY = ec.generate_private_key(ec.SECP256R1()).private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
)
RELEASE = {"etc/os-release": b'ID=debian\nVERSION_ID="12"\n'}
SITE = "usr/lib/python3/site-packages"


def metadata(name, version):
    return f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode()


def test_a_key_that_a_later_layer_deletes_is_found(image):
    found = scanning.secrets(image(RELEASE, {"app/key.pem": KEY}, {"app/.wh.key.pem": b""}))
    assert [finding.rule for finding in found] == ["private-key"]
    assert "key.pem" in found[0].place
    assert found[0].severity >= Severity.HIGH


def test_an_image_without_secrets_has_none(image):
    assert scanning.secrets(image(RELEASE, {"app/a.txt": b"words"})) == []


def test_the_bill_of_materials_names_packages_and_versions(image):
    bill = scanning.sbom(
        image(RELEASE, {f"{SITE}/h11-0.14.0.dist-info/METADATA": metadata("h11", "0.14.0")}),
        catalogers="python",
    )
    assert [(p.kind, p.name, p.version) for p in bill.packages] == [("pypi", "h11", "0.14.0")]
    assert bill.document["bomFormat"] == "CycloneDX"


def test_without_a_database_the_result_says_so(image, monkeypatch, tmp_path):
    monkeypatch.setenv("TRIVY_CACHE_DIR", str(tmp_path / "none"))
    known = scanning.vulnerabilities(tmp_path, [scanning.Package("pypi", "h11", "0.14.0")])
    assert [finding.rule for finding in known.findings] == ["CVE-2025-43859"]
    assert not known.complete
    assert Advisories.shipped().date in known.against


def test_a_database_is_taken_where_there_is_one(monkeypatch, tmp_path):
    folder = tmp_path / "db"
    folder.mkdir()
    monkeypatch.setenv("TRIVY_CACHE_DIR", str(tmp_path))
    assert advisories.database() is None
    (folder / "metadata.json").write_text(json.dumps({"UpdatedAt": "2026-11-20T12:00:00Z"}))
    assert advisories.database() is None  # no database beside its description
    (folder / "trivy.db").write_bytes(b"")
    found = advisories.database()
    assert found is not None
    assert found.date == "2026-11-20"


@pytest.mark.parametrize(
    ("kind", "name", "version", "concerned"),
    [
        ("pypi", "h11", "0.16.0", False),
        ("pypi", "h11", "0.15.9", True),
        ("pypi", "H11", "0.14.0", True),
        ("deb", "h11", "0.14.0", False),
        ("pypi", "starlette", "0.38.0", False),
        ("pypi", "starlette", "0.49.0", True),
        ("pypi", "python_multipart", "0.0.20", True),
        ("pypi", "h11", "not a version", False),
    ],
)
def test_versions_are_held_against_advisories(kind, name, version, concerned):
    assert bool(Advisories.shipped().judge([(kind, name, version)]).findings) is concerned


def test_every_shipped_advisory_has_a_source():
    for entry in Advisories.shipped().entries:
        assert entry.url.startswith("https://github.com/")
        assert entry.severity > Severity.UNKNOWN


def test_a_scanner_that_breaks_is_our_fault(tmp_path):
    with pytest.raises(scanning.ScannerFault, match="syft ended with exit code"):
        scanning.sbom(tmp_path / "no-image.tar")
    with pytest.raises(scanning.ScannerFault, match="printed no JSON"):
        programs.read_json("trivy", "<html>")
    with pytest.raises(scanning.ScannerFault, match="did not end within"):
        programs.run("trivy", ["--version"], seconds=0.001)
