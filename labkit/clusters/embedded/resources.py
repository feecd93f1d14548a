"""What the cluster serves: its resources, their names, scopes, subresources; as data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

CORE = "io.k8s.api.core.v1."
CRUD = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True)
class Resource:
    """One kind of object that is served.

    Attributes:
        group: Its API group; empty for the core.
        version: The version of the group.
        plural: Its name in paths.
        kind: Its name in objects.
        definition: The name of its definition; empty if it has none (a custom resource).
        namespaced: Whether its objects live in a namespace.
        short: The names that people type.
        categories: `all`, if `kubectl get all` shows it.
        verbs: What it does.
        subresources: Their names.
        schema: A custom resource's own schema, OpenAPI v3.
        columns: A custom resource's columns beside its name and age.
        preserve: Whether fields without a schema are kept.
        scale_paths: Where a custom resource keeps its replicas, for `scale`.
    """

    group: str
    version: str
    plural: str
    kind: str
    definition: str = ""
    namespaced: bool = True
    short: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = CRUD
    subresources: tuple[str, ...] = ()
    schema: dict[str, Any] | None = field(default=None, compare=False, hash=False)
    columns: tuple[dict[str, Any], ...] = field(default=(), compare=False, hash=False)
    preserve: bool = False
    scale_paths: dict[str, str] | None = field(default=None, compare=False, hash=False)
    singular_name: str = ""

    @property
    def key(self) -> str:
        """The name that is its own among all groups, `deployments.apps`, `pods`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def api_version(self) -> str:
        """`apps/v1`, `v1`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def singular(self) -> str:
        """The name of one."""
        return self.singular_name or self.kind.lower()

    @property
    def root(self) -> str:
        """The path below which its group and version live."""
        return f"/apis/{self.api_version}" if self.group else f"/api/{self.version}"


def _core(kind: str, plural: str, **more: Any) -> Resource:
    return Resource("", "v1", plural, kind, f"{CORE}{kind}", **more)


def _apps(kind: str, plural: str, short: str) -> Resource:
    return Resource(
        "apps", "v1", plural, kind, f"io.k8s.api.apps.v1.{kind}", short=(short,), categories=("all",),
        subresources=("status", "scale"),
    )  # fmt: skip


BUILT_IN = (
    _core("Namespace", "namespaces", namespaced=False, short=("ns",), subresources=("status", "finalize"),
          verbs=tuple(verb for verb in CRUD if verb != "deletecollection")),
    _core("Node", "nodes", namespaced=False, short=("no",), subresources=("status",)),
    _core("Pod", "pods", short=("po",), categories=("all",),
          subresources=("status", "binding", "eviction", "log", "exec", "attach", "portforward")),
    _core("Service", "services", short=("svc",), categories=("all",), subresources=("status",)),
    _core("Endpoints", "endpoints", short=("ep",)),
    _core("ConfigMap", "configmaps", short=("cm",)),
    _core("Secret", "secrets"),
    _core("ServiceAccount", "serviceaccounts", short=("sa",), subresources=("token",)),
    _core("PersistentVolumeClaim", "persistentvolumeclaims", short=("pvc",), subresources=("status",)),
    _core("Event", "events", short=("ev",)),
    _apps("Deployment", "deployments", "deploy"),
    _apps("ReplicaSet", "replicasets", "rs"),
    Resource("batch", "v1", "jobs", "Job", "io.k8s.api.batch.v1.Job", categories=("all",),
             subresources=("status",)),
    Resource("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler",
             "io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler", short=("hpa",), categories=("all",),
             subresources=("status",)),
    Resource("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget",
             "io.k8s.api.policy.v1.PodDisruptionBudget", short=("pdb",), subresources=("status",)),
    Resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice",
             "io.k8s.api.discovery.v1.EndpointSlice"),
    Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition",
             "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition",
             namespaced=False, short=("crd", "crds"), subresources=("status",)),
)  # fmt: skip

ASKED = (
    Resource("authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview",
             "io.k8s.api.authorization.v1.SelfSubjectAccessReview", namespaced=False, verbs=("create",)),
    Resource("metrics.k8s.io", "v1beta1", "nodes", "NodeMetrics", namespaced=False, verbs=("get", "list")),
    Resource("metrics.k8s.io", "v1beta1", "pods", "PodMetrics", verbs=("get", "list")),
)  # fmt: skip
"""What is answered from the state of things and never stored."""

SUBRESOURCE_KINDS = {
    "scale": ("autoscaling", "v1", "Scale", ("get", "patch", "update")),
    "eviction": ("policy", "v1", "Eviction", ("create",)),
    "binding": ("", "v1", "Binding", ("create",)),
    "token": ("authentication.k8s.io", "v1", "TokenRequest", ("create",)),
    "log": ("", "v1", "Pod", ("get",)),
    "exec": ("", "v1", "PodExecOptions", ("create", "get")),
    "attach": ("", "v1", "PodAttachOptions", ("create", "get")),
    "portforward": ("", "v1", "PodPortForwardOptions", ("create", "get")),
    "finalize": ("", "v1", "Namespace", ("update",)),
}


class Resources:
    """All resources that are served now: the built-in ones, and those that definitions add."""

    def __init__(self) -> None:
        self._all: dict[tuple[str, str, str], Resource] = {}
        self.version = 0
        for resource in (*BUILT_IN, *ASKED):
            self.add(resource)

    def __iter__(self) -> Iterator[Resource]:
        """Each of them, built-in ones first."""
        return iter(self._all.values())

    def add(self, resource: Resource) -> None:
        """Serve it from now on; one of the same name is replaced."""
        self._all[resource.group, resource.version, resource.plural] = resource
        self.version += 1

    def remove(self, group: str, plural: str) -> None:
        """Serve it no longer, in no version."""
        for key in [key for key in self._all if (key[0], key[2]) == (group, plural)]:
            del self._all[key]
            self.version += 1

    def find(self, group: str, version: str, plural: str) -> Resource | None:
        """The resource at a path."""
        return self._all.get((group, version, plural))

    def of_kind(self, api_version: str, kind: str) -> Resource | None:
        """The stored resource whose objects say that of themselves."""
        for resource in self._all.values():
            if resource.kind == kind and resource.api_version == api_version and "create" in resource.verbs:
                return resource
        return None

    def of_group_kind(self, api_version: str, kind: str) -> Resource | None:
        """The same whatever the version; owners may be named in another one."""
        group = api_version.rpartition("/")[0]
        for resource in self._all.values():
            if resource.kind == kind and resource.group == group and "create" in resource.verbs:
                return resource
        return None

    def stored(self) -> list[Resource]:
        """Those whose objects are kept, once each (a custom resource may have several versions)."""
        found = {resource.key: resource for resource in self._all.values() if "watch" in resource.verbs}
        return list(found.values())


_BY_KEY = {resource.key: resource for resource in BUILT_IN}


def built_in(key: str) -> Resource:
    """The built-in resource of that name, `deployments.apps`."""
    return _BY_KEY[key]
