"""A cluster's API as plain JSON over HTTP, for what asks often and reads little of it."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import httpx
from kubernetes.client import Configuration
from kubernetes.config import load_kube_config

SECONDS = 3.0


def api_of(kubeconfig: Path) -> httpx.Client:
    """A client that is who the kubeconfig says, at the API server that it names."""
    named = Configuration()
    load_kube_config(str(kubeconfig), client_configuration=named)  # type: ignore[no-untyped-call]
    context = ssl.create_default_context(cafile=named.ssl_ca_cert)
    if named.cert_file:
        context.load_cert_chain(named.cert_file, named.key_file)
    settings: Any = named.auth_settings()
    token = next((each["value"] for each in settings.values()), "")
    return httpx.Client(
        base_url=named.host,
        verify=context,
        headers={"Authorization": token} if token else {},
        timeout=SECONDS,
        trust_env=False,
    )


def items(api: httpx.Client, path: str, **parameters: str) -> list[dict[str, Any]]:
    """The objects of a list.

    Raises:
        httpx.HTTPError: There is no proper answer.
        ValueError: The answer is no list of objects.
    """
    answer = api.get(path, params=parameters).raise_for_status().json()
    if not isinstance(answer, dict) or not isinstance(answer.get("items"), list):
        raise ValueError(f"{path} gives no list")
    listed: list[dict[str, Any]] = answer["items"]
    return listed
