"""What is not valid, and the sentence that says so, kind by kind."""

from __future__ import annotations

import json
import re

import pytest
from conformance.conftest import refused
from conformance.manifests import deployment, job, pod


def at(thing, path, value):
    """The object with one field set, or taken out (`None`)."""
    *above, last = path.split(".")
    place = thing
    for part in above:
        place = place[int(part)] if part.isdigit() else place.setdefault(part, {})
    if value is None:
        place.pop(last, None)
    else:
        place[last] = value
    return thing


def denied(cluster, code, root, namespace, plural, body, query=""):
    """The Status with which an object is refused; sent as it stands, since the client has an eye for mistakes, too."""
    path = f"/{root}/namespaces/{namespace}/{plural}{query}"
    got, said = cluster.raw("POST", path, json.dumps(body).encode())
    assert (got, said["kind"]) == (code, "Status"), said
    return said


def words_of(said):
    """The message; Kubernetes' older and newer names for the same form are one here."""
    return said["message"].replace("DNS-1123", "RFC 1123")


FIRST = "spec.containers.0"
POD_CASES = [
    ("spec.containers", [], r"spec\.containers: Required value"),
    (f"{FIRST}.image", "", r"spec\.containers\[0\]\.image: Required value"),
    (f"{FIRST}.name", "", r"spec\.containers\[0\]\.name: Required value"),
    (f"{FIRST}.name", "Big", r'spec\.containers\[0\]\.name: Invalid value: "Big": a .*RFC 1123 label'),
    (
        "spec.restartPolicy",
        "Sometimes",
        r'spec\.restartPolicy: Unsupported value: "Sometimes": supported values: ',
    ),
    (
        "spec.activeDeadlineSeconds",
        0,
        r"spec\.activeDeadlineSeconds: Invalid value: 0: must be between 1 and",
    ),
    (f"{FIRST}.imagePullPolicy", "Perhaps", r'imagePullPolicy: Unsupported value: "Perhaps"'),
    (f"{FIRST}.ports", [{"containerPort": 0}], r"ports\[0\]\.containerPort: (Required value|Invalid value)"),
    (
        f"{FIRST}.ports",
        [{"containerPort": 70000}],
        r"containerPort: Invalid value: 70000: must be between 1 and 65535",
    ),
    (f"{FIRST}.ports", [{"containerPort": 80, "protocol": "XYZ"}], r'protocol: Unsupported value: "XYZ"'),
    (
        f"{FIRST}.ports",
        [{"containerPort": 80, "name": "a"}, {"containerPort": 81, "name": "a"}],
        r'ports\[1\]\.name: Duplicate value: "a"',
    ),
    (f"{FIRST}.env", [{"name": ""}], r"env\[0\]\.name: Required value"),
    (f"{FIRST}.resources", {"requests": {"cpu": "-1"}}, r"must be greater than or equal to 0"),
    (
        f"{FIRST}.resources",
        {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}},
        r'spec\.containers\[0\]\.resources\.requests: Invalid value: "2": must be less than or equal to cpu limit',
    ),
    (
        f"{FIRST}.resources",
        {"requests": {"nvidia.com/gpu": "1"}},
        r"resources\.limits: Required value: Limit must be set for non overcommitable resources",
    ),
    (f"{FIRST}.resources", {"limits": {"nvidia.com/gpu": "500m"}}, r"must be an integer"),
    (f"{FIRST}.resources", {"limits": {"gpu": "1"}}, r'Invalid value: "gpu": must be a standard resource'),
    (
        f"{FIRST}.livenessProbe",
        {"periodSeconds": 1},
        r"livenessProbe: Required value: must specify a handler type",
    ),
    (
        f"{FIRST}.readinessProbe",
        {"httpGet": {"path": "/", "port": 0}},
        r"readinessProbe\.httpGet\.port: Invalid value: 0: must be between 1 and 65535",
    ),
    (
        f"{FIRST}.livenessProbe",
        {"exec": {"command": ["a"]}, "periodSeconds": -1},
        r"periodSeconds: Invalid value: -1",
    ),
    (
        f"{FIRST}.livenessProbe",
        {"exec": {"command": ["a"]}, "successThreshold": 2},
        r"successThreshold: .*must be 1",
    ),
    (
        f"{FIRST}.volumeMounts",
        [{"name": "v", "mountPath": "/v"}],
        r'volumeMounts\[0\]\.name: Not found: "v"',
    ),
    ("spec.volumes", [{"name": "Big", "emptyDir": {}}], r'spec\.volumes\[0\]\.name: Invalid value: "Big"'),
    (
        "spec.volumes",
        [{"name": "a", "emptyDir": {}}, {"name": "a", "emptyDir": {}}],
        r'spec\.volumes\[1\]\.name: Duplicate value: "a"',
    ),
    ("spec.tolerations", [{"key": "a", "operator": "Like"}], r'operator: Unsupported value: "Like"'),
]


@pytest.mark.parametrize(("path", "value", "words"), POD_CASES)
def test_pods(cluster, namespace, path, value, words):
    said = denied(cluster, 422, "api/v1", namespace, "pods", at(pod(cluster.image), path, value))
    assert said["message"].startswith('Pod "p" is invalid: ')
    assert re.search(words, words_of(said)), said["message"]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (f"{FIRST}.resources", {"requests": {"cpu": "much"}}),
        ("spec.containers", {"c": 1}),
        ("spec.terminationGracePeriodSeconds", "soon"),
        ("metadata.labels", {"a": 1}),
    ],
)
def test_pods_of_wrong_types(cluster, namespace, path, value):
    said = denied(cluster, 400, "api/v1", namespace, "pods", at(pod(cluster.image), path, value))
    assert said["reason"] == "BadRequest"
    assert said["message"].startswith("Pod in version")


def test_a_pod_changes_little(cluster, core, namespace):
    core.create_namespaced_pod(namespace, pod(cluster.image))
    patch = {"spec": {"containers": [{"name": "c", "resources": {"requests": {"example.com/x": "1"}}}]}}
    said = refused(422, core.patch_namespaced_pod, "p", namespace, patch)
    assert "Forbidden: pod updates may not change fields other than " in said["message"]


DEPLOYMENT_CASES = [
    ("spec.selector", None, r"spec\.selector: Required value"),
    ("spec.selector", {"matchLabels": {}}, r"empty selector is (not valid|invalid) for deployment"),
    ("spec.selector", {"matchLabels": {"app": "x"}}, r"`selector` does not match template `labels`"),
    ("spec.template.metadata.labels", None, r"spec\.template\.metadata\.labels: Invalid value"),
    ("spec.replicas", -1, r"spec\.replicas: Invalid value: -1: must be greater than or equal to 0"),
    ("spec.minReadySeconds", -1, r"spec\.minReadySeconds: Invalid value: -1"),
    ("spec.progressDeadlineSeconds", 0, r"must be greater than minReadySeconds"),
    (
        "spec.strategy",
        {"type": "Slow"},
        r'spec\.strategy: Unsupported value: .*"Slow".*: supported values: "Recreate", "RollingUpdate"',
    ),
    (
        "spec.strategy",
        {"type": "Recreate", "rollingUpdate": {"maxSurge": 1}},
        r"may not be specified when strategy `type` is 'Recreate'",
    ),
    (
        "spec.strategy",
        {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}},
        r"may not be 0 when `maxSurge` is 0",
    ),
    (
        "spec.strategy",
        {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "101%"}},
        r"must not be greater than 100%",
    ),
    (
        "spec.strategy",
        {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "lots"}},
        r"a valid percent string must be a numeric string followed by an ending '%'",
    ),
    ("spec.template.spec.restartPolicy", "Never", r'restartPolicy: Unsupported value: "Never"'),
    ("spec.template.spec.containers", [], r"spec\.template\.spec\.containers: Required value"),
]


@pytest.mark.parametrize(("path", "value", "words"), DEPLOYMENT_CASES)
def test_deployments(cluster, namespace, path, value, words):
    body = at(deployment(cluster.image), path, value)
    said = denied(cluster, 422, "apis/apps/v1", namespace, "deployments", body)
    assert said["message"].startswith('Deployment.apps "web" is invalid: ')
    assert re.search(words, words_of(said)), said["message"]


JOB_CASES = [
    ("spec.parallelism", -1, r"spec\.parallelism: Invalid value: -1"),
    ("spec.completions", -1, r"spec\.completions: Invalid value: -1"),
    ("spec.backoffLimit", -1, r"spec\.backoffLimit: Invalid value: -1"),
    ("spec.activeDeadlineSeconds", -1, r"spec\.activeDeadlineSeconds: Invalid value: -1"),
    ("spec.template.spec.restartPolicy", "Always", r"spec\.template\.spec\.restartPolicy: "),
    ("spec.template.spec.restartPolicy", None, r"spec\.template\.spec\.restartPolicy: "),
    (
        "spec.template.spec.containers.0.image",
        "",
        r"spec\.template\.spec\.containers\[0\]\.image: Required value",
    ),
]


@pytest.mark.parametrize(("path", "value", "words"), JOB_CASES)
def test_jobs(cluster, namespace, path, value, words):
    said = denied(cluster, 422, "apis/batch/v1", namespace, "jobs", at(job(cluster.image), path, value))
    assert said["message"].startswith('Job.batch "work" is invalid: ')
    assert re.search(words, words_of(said)), said["message"]


@pytest.mark.since(22)
def test_an_indexed_job_has_completions(cluster, namespace):
    body = job(cluster.image, more={"completionMode": "Indexed", "parallelism": 2})
    said = denied(cluster, 422, "apis/batch/v1", namespace, "jobs", body)
    assert "spec.completions: Required value: when completion mode is Indexed" in said["message"]


def test_what_of_a_job_never_changes(cluster, batch, namespace):
    batch.create_namespaced_job(namespace, job(cluster.image, runs=30))
    for patch in (
        {"completions": 3},
        {"template": {"spec": {"containers": [{"name": "c", "image": "i:2"}]}}},
    ):
        said = refused(422, batch.patch_namespaced_job, "work", namespace, {"spec": patch})
        assert "field is immutable" in said["message"]


SERVICE_CASES = [
    ("spec.ports", [], r"spec\.ports: Required value"),
    ("spec.ports", [{"port": 0}], r"spec\.ports\[0\]\.port: Invalid value: 0: must be between 1 and 65535"),
    ("spec.ports", [{"port": 80}, {"port": 81}], r"spec\.ports\[0\]\.name: Required value"),
    (
        "spec.ports",
        [{"port": 80, "name": "a"}, {"port": 81, "name": "a"}],
        r'spec\.ports\[1\]\.name: Duplicate value: "a"',
    ),
    ("spec.ports", [{"port": 80, "targetPort": 70000}], r"targetPort: Invalid value: 70000"),
    ("spec.type", "Cloudy", r'spec\.type: Unsupported value: "Cloudy"'),
    ("spec.sessionAffinity", "Sticky", r'spec\.sessionAffinity: Unsupported value: "Sticky"'),
    ("metadata.name", "9lives", r'metadata\.name: Invalid value: "9lives": a DNS-1035 label must'),
]


@pytest.mark.parametrize(("path", "value", "words"), SERVICE_CASES)
def test_services(cluster, namespace, path, value, words):
    body = {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}}
    said = denied(cluster, 422, "api/v1", namespace, "services", at(body, path, value))
    assert re.search(words, words_of(said)), said["message"]


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (
            {"accessModes": [], "resources": {"requests": {"storage": "1Gi"}}},
            r"spec\.accessModes: Required value",
        ),
        (
            {"accessModes": ["Some"], "resources": {"requests": {"storage": "1Gi"}}},
            r"accessModes: Unsupported value",
        ),
        ({"accessModes": ["ReadWriteOnce"]}, r"spec\.resources\[storage\]: Required value"),
    ],
)
def test_claims(cluster, namespace, spec, words):
    body = {"metadata": {"name": "c"}, "spec": spec}
    said = denied(cluster, 422, "api/v1", namespace, "persistentvolumeclaims", body)
    assert re.search(words, said["message"]), said["message"]


CPU = {
    "type": "Resource",
    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}},
}


@pytest.mark.since(23)
@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("spec.maxReplicas", 0, r"spec\.maxReplicas: Invalid value: 0: must be greater than 0"),
        ("spec.minReplicas", 0, r"spec\.minReplicas: Invalid value: 0: must be greater than or equal to 1"),
        (
            "spec.minReplicas",
            9,
            r"spec\.maxReplicas: Invalid value: 5: must be greater than or equal to `minReplicas`",
        ),
        ("spec.metrics", [{"type": "Odd"}], r'metrics\[0\]\.type: Unsupported value: "Odd"'),
        ("spec.metrics", [{"type": "Resource"}], r"metrics\[0\]\.resource: Required value"),
    ],
)
def test_autoscalers(cluster, namespace, path, value, words):
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    spec = {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 5, "metrics": [CPU]}
    body = at({"metadata": {"name": "h"}, "spec": spec}, path, value)
    said = denied(cluster, 422, "apis/autoscaling/v2", namespace, "horizontalpodautoscalers", body)
    assert re.search(words, said["message"]), said["message"]


@pytest.mark.since(21)
def test_a_budget_says_one_of_two_things(cluster, namespace):
    body = {"metadata": {"name": "b"}, "spec": {"minAvailable": 1, "maxUnavailable": 1}}
    said = denied(cluster, 422, "apis/policy/v1", namespace, "poddisruptionbudgets", body)
    assert "minAvailable and maxUnavailable cannot be both set" in said["message"]


@pytest.mark.since(27)
def test_unknown_fields_are_refused_when_that_is_asked_for(cluster, namespace):
    body = at(deployment(cluster.image), "spec.replicaz", 3)
    said = denied(cluster, 400, "apis/apps/v1", namespace, "deployments", body, "?fieldValidation=Strict")
    assert 'strict decoding error: unknown field "spec.replicaz"' in said["message"]


def test_unknown_fields_are_dropped_when_not(cluster, namespace):
    body = json.dumps(at(deployment(cluster.image, replicas=0), "spec.replicaz", 3)).encode()
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    code, made = cluster.raw("POST", f"{path}?fieldValidation=Ignore", body)
    assert code == 201
    assert "replicaz" not in made["spec"]


def test_several_mistakes_are_told_at_once(cluster, namespace):
    body = at(at(deployment(cluster.image), "spec.replicas", -1), "spec.template.spec.containers.0.image", "")
    said = denied(cluster, 422, "apis/apps/v1", namespace, "deployments", body)
    fields = {cause["field"] for cause in said["details"]["causes"]}
    assert fields == {"spec.replicas", "spec.template.spec.containers[0].image"}
    assert said["message"].startswith('Deployment.apps "web" is invalid: [')


def test_what_is_filled_in(cluster, core, apps, namespace):
    made = apps.create_namespaced_deployment(namespace, deployment(cluster.image, replicas=0)).spec
    assert (made.revision_history_limit, made.progress_deadline_seconds) == (10, 600)
    assert (made.strategy.type, made.strategy.rolling_update.max_surge) == ("RollingUpdate", "25%")
    spec = core.create_namespaced_pod(namespace, pod(cluster.image)).spec
    assert (spec.restart_policy, spec.dns_policy, spec.scheduler_name) == (
        "Always",
        "ClusterFirst",
        "default-scheduler",
    )
    assert spec.containers[0].image_pull_policy == "IfNotPresent"
    assert {(one.key, one.toleration_seconds) for one in spec.tolerations} >= {
        ("node.kubernetes.io/not-ready", 300),
        ("node.kubernetes.io/unreachable", 300),
    }


def test_a_limit_is_also_what_is_requested(cluster, core, namespace):
    body = at(pod(cluster.image), f"{FIRST}.resources", {"limits": {"cpu": "0.5", "memory": "1024Mi"}})
    found = core.create_namespaced_pod(namespace, body)
    assert found.spec.containers[0].resources.requests == {"cpu": "500m", "memory": "1Gi"}
    assert found.status.qos_class == "Guaranteed"


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({}, "BestEffort"),
        ({"requests": {"cpu": "10m"}}, "Burstable"),
        ({"limits": {"cpu": "100m"}}, "Burstable"),
        ({"limits": {"cpu": "100m", "memory": "64Mi"}}, "Guaranteed"),
    ],
)
def test_classes_of_service(cluster, core, namespace, resources, expected):
    body = at(pod(cluster.image), f"{FIRST}.resources", resources)
    assert core.create_namespaced_pod(namespace, body).status.qos_class == expected
