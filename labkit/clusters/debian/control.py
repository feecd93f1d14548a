"""The control plane: etcd, the API server, the controllers and the scheduler, all on loopback."""

from __future__ import annotations

import json
import shutil
import ssl
import urllib.error
import urllib.request
from typing import Any

import yaml

from labkit.clusters.debian import credentials
from labkit.clusters.debian.layout import Layout
from labkit.clusters.debian.members import Members

MEMBERS = ("kube-scheduler", "kube-controller-manager", "kube-apiserver", "etcd")
"""In the order in which they are ended."""
_SECONDS = 60.0


def ask(layout: Layout, path: str) -> Any:
    """What the API answers as its administrator; None if it does not."""
    try:
        user = yaml.safe_load(layout.kubeconfig().read_text())["users"][0]["user"]
        context = ssl.create_default_context(cafile=str(layout.pki / "ca.crt"))
        request = urllib.request.Request(  # noqa: S310 - our own
            layout.server + path, headers={"Authorization": f"Bearer {user['token']}"}
        )
        with urllib.request.urlopen(request, timeout=5, context=context) as answer:  # noqa: S310
            body = answer.read().decode()
    except (OSError, ValueError, KeyError, TypeError):
        return None
    try:
        return json.loads(body)
    except ValueError:
        return body


def start(layout: Layout, members: Members) -> None:
    """Start it and wait until it answers.

    Raises:
        Unavailable: One of its programs ended, or does not answer.
    """
    credentials.make(layout)
    if not (layout.kept / "settled").exists():
        # An etcd that was cut off at its first start waits for members that it never had.
        shutil.rmtree(layout.kept / "etcd", ignore_errors=True)
    client, peer = (f"http://127.0.0.1:{port}" for port in layout.etcd_ports)
    members.start(
        "etcd",
        [
            *("etcd", f"--data-dir={layout.kept / 'etcd'}", f"--listen-client-urls={client}"),
            *(f"--advertise-client-urls={client}", f"--listen-peer-urls={peer}"),
            *(f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=default={peer}"),
            "--log-level=warn",
        ],
    )
    members.until(_SECONDS, "its answer", "etcd", lambda: _healthy(f"{client}/health"))
    members.start("kube-apiserver", _api_server(layout, client))
    members.until(_SECONDS, "its answer", "kube-apiserver", lambda: ask(layout, "/readyz") == "ok")
    members.start("kube-controller-manager", _controllers(layout))
    kubeconfig = layout.kubeconfig("scheduler")
    members.start(
        "kube-scheduler",
        [
            *(layout.programs / "kube-scheduler", f"--kubeconfig={kubeconfig}", "--leader-elect=false"),
            *(f"--authentication-kubeconfig={kubeconfig}", f"--authorization-kubeconfig={kubeconfig}"),
            *("--bind-address=127.0.0.1", f"--secure-port={layout.scheduler_port}", "--port=0"),
            f"--cert-dir={layout.pki / 'scheduler'}",
        ],
    )


def settle(layout: Layout, members: Members) -> None:
    """Wait until the controllers have done their first work: pods need a service account."""
    account = "/api/v1/namespaces/default/serviceaccounts/default"
    members.until(
        _SECONDS,
        "the first service account",
        "kube-controller-manager",
        lambda: bool((ask(layout, account) or {}).get("secrets")),
    )
    (layout.kept / "settled").touch()


def _healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - our own
            return b'"true"' in answer.read()
    except (OSError, urllib.error.URLError):
        return False


def _api_server(layout: Layout, etcd: str) -> list[Any]:
    pki = layout.pki
    return [
        *(layout.programs / "kube-apiserver", f"--etcd-servers={etcd}"),
        *("--bind-address=127.0.0.1", f"--secure-port={layout.api_port}", "--insecure-port=0"),
        # No pod reaches the API here: an address of the documentation's range stands in its Service's place.
        *("--advertise-address=192.0.2.2", "--endpoint-reconciler-type=none"),
        *(f"--tls-cert-file={pki / 'apiserver.crt'}", f"--tls-private-key-file={pki / 'apiserver.key'}"),
        *(f"--client-ca-file={pki / 'ca.crt'}", f"--token-auth-file={pki / 'tokens.csv'}"),
        f"--kubelet-client-certificate={pki / 'kubelet-client.crt'}",
        f"--kubelet-client-key={pki / 'kubelet-client.key'}",
        "--kubelet-preferred-address-types=Hostname",
        f"--service-account-key-file={pki / 'service-accounts.pub'}",
        f"--service-account-signing-key-file={pki / 'service-accounts.key'}",
        "--service-account-issuer=https://kubernetes.default.svc",
        *("--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction"),
        *(f"--service-cluster-ip-range={layout.services}", "--allow-privileged=false"),
    ]


def _controllers(layout: Layout) -> list[Any]:
    kubeconfig = layout.kubeconfig("controller-manager")
    return [
        *(layout.programs / "kube-controller-manager", f"--kubeconfig={kubeconfig}"),
        *(f"--authentication-kubeconfig={kubeconfig}", f"--authorization-kubeconfig={kubeconfig}"),
        f"--service-account-private-key-file={layout.pki / 'service-accounts.key'}",
        *(f"--root-ca-file={layout.pki / 'ca.crt'}", "--use-service-account-credentials=true"),
        *("--leader-elect=false", "--bind-address=127.0.0.1", f"--secure-port={layout.controller_port}"),
        *("--port=0", "--horizontal-pod-autoscaler-sync-period=5s"),
        f"--cert-dir={layout.pki / 'controllers'}",
    ]
