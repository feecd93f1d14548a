"""Makes the data again from PyPI's kubernetes-validate and the `generated.proto` files of Kubernetes."""

from __future__ import annotations

import argparse
import gzip
import json
import re
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
API = "io.k8s.api."
META = "io.k8s.apimachinery.pkg.apis.meta.v1."
ROOTS = [
    *(f"{API}core.v1.{kind}" for kind in (
        "Namespace", "Node", "Pod", "Service", "Endpoints", "ConfigMap", "Secret", "ServiceAccount",
        "PersistentVolumeClaim", "Event", "Binding",
    )),
    *(f"{API}apps.v1.{kind}" for kind in ("Deployment", "ReplicaSet")),
    f"{API}batch.v1.Job",
    f"{API}autoscaling.v2.HorizontalPodAutoscaler",
    f"{API}autoscaling.v1.Scale",
    f"{API}policy.v1.PodDisruptionBudget",
    f"{API}policy.v1.Eviction",
    f"{API}discovery.v1.EndpointSlice",
    f"{API}authentication.v1.TokenRequest",
    f"{API}authorization.v1.SelfSubjectAccessReview",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition",
    f"{META}DeleteOptions",
    f"{META}Status",
]  # fmt: skip
"""What is served or taken as a body; all that these refer to comes along."""

_SCALAR = ("string", "bytes", "int32", "int64", "bool", "double")
_FIELD = re.compile(r"(optional|repeated)\s+([\w.]+)\s+(\w+) = (\d+)|map<string, ([\w.]+)> (\w+) = (\d+)")


def definitions(source: Path) -> dict[str, Any]:
    """The definitions that the roots need, in the form of OpenAPI v3."""
    text = source.read_text().replace("#/$defs/", "#/components/schemas/")
    everything = json.loads(text)["$defs"]
    wanted = list(ROOTS)
    found: dict[str, Any] = {}
    while wanted:
        name = wanted.pop()
        if name in found:
            continue
        found[name] = _plain(everything[name])
        wanted += re.findall(r'#/components/schemas/([\w.-]+)"', json.dumps(found[name]))
    return found


def _plain(schema: Any) -> Any:
    """A schema without `null` among its types, which OpenAPI v3 does not know."""
    if isinstance(schema, list):
        return [_plain(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {name: _plain(part) for name, part in schema.items()}
    kinds = schema.get("type")
    if isinstance(kinds, list):
        plain["type"] = next(kind for kind in kinds if kind != "null")
    return plain


def messages(folder: Path) -> dict[str, dict[str, list[str]]]:
    """Fields by number: how often (`o`, `r` or `m` for a map), type, name; for every message of the API."""
    table: dict[str, dict[str, list[str]]] = {}
    for path in sorted(folder.glob("**/generated.proto")):
        text = re.sub(r"//[^\n]*", "", path.read_text())
        match = re.search(r"package ([\w.]+);", text)
        if match is None or re.search(r"v\d(alpha|beta)", match[1]):
            continue
        for name, body in re.findall(r"message (\w+) \{(.*?)\n\}", text, re.DOTALL):
            fields = {}
            for often, kind, field, number, map_kind, map_field, map_number in _FIELD.findall(body):
                kind = (kind or map_kind).lstrip(".")
                if kind not in _SCALAR and not kind.startswith("k8s."):
                    kind = f"{match[1]}.{kind}"
                fields[number or map_number] = [often[:1] or "m", kind, field or map_field]
            table[f"{match[1]}.{name}"] = fields
    return table


def needed(table: dict[str, dict[str, list[str]]], names: list[str]) -> dict[str, dict[str, list[str]]]:
    """The part of the table that these messages need."""
    wanted, found = list(names), {}
    while wanted:
        name = wanted.pop()
        if name not in found and name in table:
            found[name] = table[name]
            wanted += [field[1] for field in table[name].values()]
    return dict(sorted(found.items()))


def _write(name: str, content: Any) -> None:
    data = json.dumps(content, separators=(",", ":"), sort_keys=True).encode()
    with (HERE / name).open("wb") as file, gzip.GzipFile("", "wb", 9, file, mtime=0) as packed:
        packed.write(data)
    print(f"{name}: {len(content)} entries, {(HERE / name).stat().st_size} bytes")


def main() -> None:
    """Read both sources and write both files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("definitions", type=Path, help="a version's _definitions.json")
    parser.add_argument("proto", type=Path, help="the folder of k8s.io/api and k8s.io/apimachinery")
    arguments = parser.parse_args()
    _write("definitions.json.gz", definitions(arguments.definitions))
    table = messages(arguments.proto)
    names = [
        root.replace("io.k8s.apimachinery", "k8s.io.apimachinery")
        .replace("io.k8s.apiextensions-apiserver", "k8s.io.apiextensions_apiserver")
        .replace("io.k8s.api.", "k8s.io.api.")
        for root in ROOTS
    ]
    _write("messages.json.gz", needed(table, names))


if __name__ == "__main__":
    main()
