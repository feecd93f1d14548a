"""What is particular to each kind: what is filled in, what is refused, what may not change."""

from __future__ import annotations

from labkit.clusters.embedded.kinds import pods, services, settings, workloads
from labkit.clusters.embedded.kinds.base import NOTHING, Rules

RULES: dict[str, Rules] = {**pods.RULES, **workloads.RULES, **services.RULES, **settings.RULES}


def rules(key: str) -> Rules:
    """The rules of a resource, by its key (`deployments.apps`)."""
    return RULES.get(key, NOTHING)
