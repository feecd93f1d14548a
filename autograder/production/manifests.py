"""A submission's manifests and its plan of a release: read as data, and what is wrong with them found."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from autograder.production.contract import COLOURS, PORT, SERVICE
from labkit.clusters.embedded.quantities import parse as quantity
from labkit.errors import WorkFault
from labkit.monitoring.rules import read_yaml

Object = dict[str, Any]
_BYTES = 256 << 10


class Smoke(BaseModel):
    """What the new colour must answer before it gets traffic."""

    model_config = ConfigDict(extra="forbid", strict=True)
    requests: int = Field(ge=0, le=5000)
    most_errors: int = Field(ge=0)


class Plan(BaseModel):
    """`release.yaml`: how a version is released and taken back.

    Attributes:
        ready_seconds: For how long the new colour may take to be rolled out.
        smoke: What it is asked before it gets traffic.
        watch_seconds: For how long after the switch its alerts take it back.
        rollback_on: These alerts.
    """

    model_config = ConfigDict(extra="forbid", strict=True)
    ready_seconds: int = Field(ge=1, le=120)
    smoke: Smoke
    watch_seconds: int = Field(ge=0, le=60)
    rollback_on: list[str]


@dataclass(frozen=True)
class Manifests:
    """The objects of a submission.

    Attributes:
        colours: Those of each colour: a Deployment, its autoscaler and its disruption budget.
        service: The Service.
    """

    colours: dict[str, list[Object]]
    service: Object

    def one(self, colour: str, kind: str) -> Object:
        """The colour's object of that kind.

        Raises:
            WorkFault: There is none, or more than one.
        """
        found = [each for each in self.colours[colour] if each["kind"] == kind]
        if len(found) != 1:
            raise WorkFault(
                f"manifests/{colour}.yaml holds {len(found)} objects of the kind {kind}.",
                next_step="It holds one Deployment, one HorizontalPodAutoscaler, one PodDisruptionBudget.",
            )
        return found[0]

    def with_image(self, colour: str, image: str) -> list[Object]:
        """The colour's objects, its containers made from that image."""
        objects = copy.deepcopy(self.colours[colour])
        for each in objects:
            if each["kind"] == "Deployment":
                for container in each["spec"]["template"]["spec"]["containers"]:
                    container["image"] = image
        return objects


def read_manifests(folder: Path) -> Manifests:
    """Read `manifests/` of a submission.

    Raises:
        WorkFault: A file is not there, is no YAML, or holds what no cluster would take.
    """
    colours = {colour: _objects(folder / "manifests" / f"{colour}.yaml") for colour in COLOURS}
    services = _objects(folder / "manifests" / "service.yaml")
    if [each["kind"] for each in services] != ["Service"]:
        raise WorkFault("manifests/service.yaml does not hold one Service and nothing else.")
    for colour in COLOURS:
        Manifests(colours, services[0]).one(colour, "Deployment")
    return Manifests(colours, services[0])


def read_plan(folder: Path) -> Plan:
    """Read `release.yaml` of a submission.

    Raises:
        WorkFault: It is not there, or a line of it is not what it should be.
    """
    content = read_yaml(folder / "release.yaml")
    try:
        return Plan.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "it"
        raise WorkFault(f"release.yaml: {where}: {first['msg']}.") from error


def _objects(path: Path) -> list[Object]:
    name = f"manifests/{path.name}"
    if not path.is_file() or path.is_symlink() or path.stat().st_size > _BYTES:
        raise WorkFault(f"There is no {name}.", next_step="Put it back beside the others.")
    try:
        listed = [each for each in yaml.safe_load_all(path.read_text(encoding="utf-8")) if each is not None]
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise WorkFault(f"{name} is not YAML.", why=" ".join(str(error).split())[:200]) from error
    for each in listed:
        metadata = each.get("metadata") if isinstance(each, dict) else None
        if not isinstance(metadata, dict) or not isinstance(each.get("kind"), str) or "name" not in metadata:
            raise WorkFault(f"{name} holds a document that is no object: kind and metadata.name are needed.")
        # Wherever a submission would put it, it is judged in a namespace of its own.
        metadata.pop("namespace", None)
    return listed


# ---- what is wrong ----------------------------------------------------------------------------------------


def at(value: Any, *path: str | int) -> Any:
    """What lies at a path of keys and numbers; None if nothing does."""
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def deployment_wishes(deployment: Object, colour: str) -> dict[str, bool]:
    """What a Deployment should have, each with whether it has it."""
    template = at(deployment, "spec", "template") or {}
    labels, notes = (at(template, "metadata", key) or {} for key in ("labels", "annotations"))
    selector = at(deployment, "spec", "selector", "matchLabels") or {}
    container = at(template, "spec", "containers", 0) or {}
    readiness, liveness = (
        at(container, f"{name}Probe", "httpGet", "path") for name in ("readiness", "liveness")
    )
    resources = at(container, "resources") or {}
    security = {**(at(template, "spec", "securityContext") or {}), **(at(container, "securityContext") or {})}
    variables = {at(each, "name"): at(each, "value") for each in at(container, "env") or []}
    return {
        f"its pods are labelled app: {SERVICE}, version: {colour}, and its selector says both": all(
            {"app": SERVICE, "version": colour}.items() <= each.items() for each in (labels, selector)
        ),
        "a readiness probe of /ready and a liveness probe of /health": (readiness, liveness)
        == ("/ready", "/health"),
        "requests of cpu and memory, and a limit of memory": bool(
            at(resources, "requests", "cpu")
            and at(resources, "requests", "memory")
            and at(resources, "limits", "memory")
        ),
        "not root, a read-only root, no way to gain privileges": security.get("runAsNonRoot") is True
        and security.get("readOnlyRootFilesystem") is True
        and security.get("allowPrivilegeEscalation") is False,
        "time to leave the Service before it ends (preStop)": bool(at(container, "lifecycle", "preStop")),
        "annotations by which it is scraped": notes.get("prometheus.io/scrape") == "true"
        and str(notes.get("prometheus.io/port")) == str(PORT),
        "LABELS_URL and VERSION in its environment": bool(variables.get("LABELS_URL"))
        and variables.get("VERSION") == colour,
    }


def survival_wishes(manifests: Manifests) -> dict[str, bool]:
    """What keeps a service reachable while nodes are drained, each with whether it is so."""
    spec = manifests.service.get("spec") or {}
    selector = spec.get("selector") or {}
    ports = {(at(each, "port"), at(each, "targetPort")) for each in spec.get("ports") or []}
    first = (
        at(manifests.one("blue", "Deployment"), "spec", "template", "spec", "containers", 0, "ports") or []
    )
    named = {at(each, "name") for each in first if at(each, "containerPort") == PORT}
    return {
        f"a Service {SERVICE} that sends port 80 to port {PORT} of its pods": manifests.service["metadata"][
            "name"
        ]
        == SERVICE
        and any(port == 80 and target in {PORT, *named} - {None} for port, target in ports),
        "whose selector names one colour": selector.get("app") == SERVICE
        and selector.get("version") in COLOURS,
        **{
            f"{colour}: a disruption budget that protects its pods and lets a drain go on": _protects(
                manifests, colour
            )
            for colour in COLOURS
        },
    }


def _protects(manifests: Manifests, colour: str) -> bool:
    """Whether a budget keeps at least half of the least replicas, and allows at least one to go."""
    budget = manifests.one(colour, "PodDisruptionBudget")
    chosen = at(budget, "spec", "selector", "matchLabels") or {}
    least = int(at(manifests.one(colour, "HorizontalPodAutoscaler"), "spec", "minReplicas") or 1)
    available = _count(at(budget, "spec", "minAvailable"), least, up=True)
    gone = _count(at(budget, "spec", "maxUnavailable"), least, up=True)
    if available is None and gone is None:
        return False
    allowed = gone if gone is not None else least - (available or 0)
    return {"app": SERVICE, "version": colour}.items() <= chosen.items() and 1 <= allowed <= max(least / 2, 1)


def _count(value: Any, of: int, *, up: bool) -> int | None:
    """A number of pods, or a percentage of them, as a number."""
    if isinstance(value, int):
        return value
    if isinstance(value, str) and value.endswith("%") and value[:-1].isdigit():
        share = of * int(value[:-1]) / 100
        return int(-(-share // 1)) if up else int(share)
    return None


def autoscaling_wishes(manifests: Manifests, colour: str) -> dict[str, bool]:
    """What an autoscaler should have, each with whether it has it."""
    scaler, deployment = (manifests.one(colour, kind) for kind in ("HorizontalPodAutoscaler", "Deployment"))
    spec = scaler.get("spec") or {}
    least, most = (at(spec, name) for name in ("minReplicas", "maxReplicas"))
    target = at(spec, "scaleTargetRef") or {}
    window = at(spec, "behavior", "scaleDown", "stabilizationWindowSeconds")
    return {
        f"{colour}: autoscaling/v2 of its own Deployment": scaler.get("apiVersion") == "autoscaling/v2"
        and (target.get("kind"), target.get("name")) == ("Deployment", deployment["metadata"]["name"]),
        f"{colour}: at least 2 replicas, and room for twice as many": isinstance(least, int)
        and isinstance(most, int)
        and least >= 2
        and 2 * least <= most <= 12,
        f"{colour}: a metric that grows with the load, at a sane target": _sane_metric(spec, deployment),
        f"{colour}: it waits 15 s or more before it scales in": isinstance(window, int) and window >= 15,
        f"{colour}: the Deployment leaves the number of replicas to it": at(deployment, "spec", "replicas")
        is None
        or (isinstance(least, int) and at(deployment, "spec", "replicas") >= least),
    }


def _sane_metric(spec: Object, deployment: Object) -> bool:
    metric = at(spec, "metrics", 0) or {}
    if metric.get("type") == "Pods":
        name = str(at(metric, "pods", "metric", "name"))
        value = at(metric, "pods", "target", "averageValue")
        known = {"http_requests_per_second": (5, 200), "http_requests_in_flight": (1, 50)}
        try:
            return name in known and known[name][0] <= float(quantity(value)) <= known[name][1]
        except ValueError:
            return False
    share = at(metric, "resource", "target", "averageUtilization")
    requested = at(deployment, "spec", "template", "spec", "containers", 0, "resources", "requests", "cpu")
    return (
        at(metric, "resource", "name") == "cpu"
        and isinstance(share, int)
        and 20 <= share <= 90
        and requested is not None
    )
