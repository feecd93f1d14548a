"""Deployments, ReplicaSets and Jobs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from labkit.clusters.embedded.errors import Cause, invalid, required, unsupported
from labkit.clusters.embedded.kinds.base import (
    Object,
    Rules,
    immutable,
    not_negative,
    selector_causes,
)
from labkit.clusters.embedded.kinds.pods import fill_in, template_causes
from labkit.clusters.embedded.selectors import matches

UNMATCHED = "`selector` does not match template `labels`"


def _template(thing: Object) -> Object:
    found: Object = (thing.get("spec") or {}).get("template") or {}
    return found


def _labels(template: Object) -> Any:
    return (template.get("metadata") or {}).get("labels")


def _prepare_deployment(thing: Object, old: Object | None) -> None:
    fill_in(_template(thing).get("spec") or {})
    strategy = thing["spec"]["strategy"]
    if strategy.get("type") == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", "25%")
        rolling.setdefault("maxSurge", "25%")


def _prepare_template(thing: Object, old: Object | None) -> None:
    fill_in(_template(thing).get("spec") or {})


def _selector_and_template(thing: Object, kind: str) -> Iterator[Cause]:
    spec = thing["spec"]
    selector, template = spec.get("selector"), _template(thing)
    if selector is None:
        yield required("spec.selector")
    elif not selector.get("matchLabels") and not selector.get("matchExpressions"):
        yield invalid("spec.selector", selector, f"empty selector is invalid for {kind}")
    else:
        yield from selector_causes("spec.selector", selector)
    if not selector or not matches(selector, _labels(template) or {}):
        yield invalid("spec.template.metadata.labels", _labels(template), UNMATCHED)
    yield from template_causes(template, "spec.template")
    policy = (template.get("spec") or {}).get("restartPolicy", "Always")
    if policy != "Always":
        yield unsupported("spec.template.spec.restartPolicy", policy, ("Always",))
    yield from not_negative("spec.replicas", spec.get("replicas"))
    yield from not_negative("spec.minReadySeconds", spec.get("minReadySeconds"))


def _check_deployment(thing: Object, old: Object | None) -> Iterator[Cause]:
    spec = thing["spec"]
    yield from _selector_and_template(thing, "deployment")
    if old is not None:
        yield from immutable("spec.selector", spec.get("selector"), old["spec"].get("selector"))
    yield from _strategy_causes(spec["strategy"])
    ready, deadline = spec.get("minReadySeconds", 0), spec.get("progressDeadlineSeconds")
    if deadline is not None and deadline <= ready:
        yield invalid("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds")


def _strategy_causes(strategy: Object) -> Iterator[Cause]:
    path = "spec.strategy"
    kind, rolling = strategy.get("type"), strategy.get("rollingUpdate")
    if kind == "Recreate":
        if rolling is not None:
            yield Cause(
                "Forbidden",
                f"{path}.rollingUpdate",
                "may not be specified when strategy `type` is 'Recreate'",
            )
        return
    if kind != "RollingUpdate":
        yield unsupported(path, strategy, ("Recreate", "RollingUpdate"))
        return
    for field in ("maxUnavailable", "maxSurge"):
        value = (rolling or {}).get(field)
        if isinstance(value, str) and not re.fullmatch(r"\d+%", value):
            yield invalid(
                f"{path}.rollingUpdate.{field}",
                value,
                "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')",
            )
        yield from not_negative(f"{path}.rollingUpdate.{field}", value)
    unavailable, surge = ((rolling or {}).get(field) for field in ("maxUnavailable", "maxSurge"))
    if unavailable in (0, "0%") and surge in (0, "0%"):
        yield invalid(
            f"{path}.rollingUpdate.maxUnavailable", unavailable, "may not be 0 when `maxSurge` is 0"
        )
    if isinstance(unavailable, str) and re.fullmatch(r"\d+%", unavailable) and int(unavailable[:-1]) > 100:
        yield invalid(f"{path}.rollingUpdate.maxUnavailable", unavailable, "must not be greater than 100%")


def _check_replica_set(thing: Object, old: Object | None) -> Iterator[Cause]:
    yield from _selector_and_template(thing, "replicaset")
    if old is not None:
        yield from immutable("spec.selector", thing["spec"].get("selector"), old["spec"].get("selector"))


def _prepare_job(thing: Object, old: Object | None) -> None:
    spec = thing["spec"]
    template = spec.get("template")
    if template is None:
        return
    fill_in(template.get("spec") or {})
    if spec.get("completions") is None and spec.get("parallelism") is None:
        spec["completions"] = spec["parallelism"] = 1
    spec.setdefault("parallelism", 1)
    if old is not None or spec.get("manualSelector"):
        return
    uid, name = thing["metadata"]["uid"], thing["metadata"]["name"]
    metadata = template.get("metadata") or {}
    labels = dict(metadata.get("labels") or {})
    for prefix in ("batch.kubernetes.io/", ""):
        labels[f"{prefix}controller-uid"] = uid
        labels[f"{prefix}job-name"] = name
    template["metadata"] = {**metadata, "labels": labels}
    spec.setdefault("selector", {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}})


def _check_job(thing: Object, old: Object | None) -> Iterator[Cause]:
    spec = thing["spec"]
    for field in (
        "parallelism",
        "completions",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "activeDeadlineSeconds",
    ):
        yield from not_negative(f"spec.{field}", spec.get(field))
    mode = spec.get("completionMode")
    if mode not in ("Indexed", "NonIndexed"):
        yield unsupported("spec.completionMode", mode, ("Indexed", "NonIndexed"))
    if mode == "Indexed" and spec.get("completions") is None:
        yield required("spec.completions", "when completion mode is Indexed")
    if spec.get("manualSelector") and spec.get("selector") is None:
        yield required("spec.selector")
    template = _template(thing)
    if spec.get("selector") and not matches(spec["selector"], _labels(template) or {}):
        yield invalid("spec.template.metadata.labels", _labels(template), UNMATCHED)
    yield from template_causes(template, "spec.template")
    policy = (template.get("spec") or {}).get("restartPolicy")
    if policy in (None, "", "Always"):
        yield required("spec.template.spec.restartPolicy", 'valid values: "OnFailure", "Never"')
    elif policy not in ("OnFailure", "Never"):
        yield unsupported("spec.template.spec.restartPolicy", policy, ("OnFailure", "Never"))
    if old is None:
        return
    before = old["spec"]
    if mode != "Indexed":
        yield from immutable("spec.completions", spec.get("completions"), before.get("completions"))
    yield from immutable("spec.selector", spec.get("selector"), before.get("selector"))
    if not (before.get("suspend") and not old.get("status", {}).get("startTime")):
        yield from immutable("spec.template", template, before.get("template"))
    yield from immutable("spec.completionMode", mode, before.get("completionMode"))


RULES = {
    "deployments.apps": Rules(_prepare_deployment, _check_deployment, generation=True),
    "replicasets.apps": Rules(_prepare_template, _check_replica_set, generation=True),
    "jobs.batch": Rules(_prepare_job, _check_job, generation=True),
}
