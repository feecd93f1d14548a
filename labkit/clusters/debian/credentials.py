"""Who may do what: certificates for the servers, a token and a kubeconfig for each client."""

from __future__ import annotations

import csv
import secrets
from pathlib import Path

import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from labkit.clusters.certificates import Authority
from labkit.clusters.debian.layout import Layout

WHO = {
    "admin": ("admin", "system:masters"),
    "controller-manager": ("system:kube-controller-manager", ""),
    "scheduler": ("system:kube-scheduler", ""),
    "proxy": ("system:kube-proxy", ""),
    "kubelet": ("system:node:localhost", "system:nodes"),
}
"""Each client's user name, and the group that it is in."""


def make(layout: Layout) -> None:
    """Make all of it, unless it is there."""
    tokens = layout.pki / "tokens.csv"
    if tokens.exists():
        return
    authority = Authority(layout.pki, "workbook Kubernetes")
    names = [f"kubernetes{more}" for more in ("", ".default", ".default.svc", ".default.svc.cluster.local")]
    hosts = ["localhost", "127.0.0.1", layout.first_service, *names]
    authority.issue("apiserver", "kube-apiserver", hosts=hosts)
    authority.issue("kubelet-client", "kube-apiserver", group="system:masters")
    _service_account_keys(layout.pki)
    rows = []
    for who, (user, group) in WHO.items():
        token = secrets.token_hex(16)
        rows.append([token, user, who, *([group] if group else [])])
        _write(layout.kubeconfig(who), _kubeconfig(layout, who, token))
    draft = tokens.with_suffix(".part")
    _write(draft, "")
    with draft.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    draft.replace(tokens)


def _service_account_keys(folder: Path) -> None:
    """The keys that service accounts' tokens are signed with; Kubernetes 1.20 wants RSA in PKCS #1 here."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    _write(folder / "service-accounts.key", private.decode())
    _write(folder / "service-accounts.pub", public.decode())


def _kubeconfig(layout: Layout, who: str, token: str) -> str:
    server = {"server": layout.server, "certificate-authority": str(layout.pki / "ca.crt")}
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "debian", "cluster": server}],
            "users": [{"name": who, "user": {"token": token}}],
            "contexts": [{"name": "debian", "context": {"cluster": "debian", "user": who}}],
            "current-context": "debian",
        }
    )


def _write(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)
