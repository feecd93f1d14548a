"""The files by which a container knows its own name and whom to ask for others."""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]
DOMAIN = "cluster.local"


def hosts(pod: Object, address: str) -> str:
    """A container's `/etc/hosts`."""
    spec, metadata = pod["spec"], pod["metadata"]
    host = spec.get("hostname") or metadata["name"]
    names = [host]
    if spec.get("subdomain"):
        names.insert(0, f"{host}.{spec['subdomain']}.{metadata['namespace']}.svc.{DOMAIN}")
    lines = ["127.0.0.1\tlocalhost", "::1\tlocalhost", f"{address}\t{' '.join(names)}"]
    lines += [f"{one['ip']}\t{' '.join(one.get('hostnames') or ())}" for one in spec.get("hostAliases") or ()]
    return "\n".join(lines) + "\n"


def resolver(namespace: str, server: str) -> str:
    """A container's `/etc/resolv.conf`: a Service's name alone is looked for in the pod's namespace."""
    search = f"{namespace}.svc.{DOMAIN} svc.{DOMAIN} {DOMAIN}"
    return f"nameserver {server}\nsearch {search}\noptions ndots:5\n"
