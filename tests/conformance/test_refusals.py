"""What a cluster refuses, in Kubernetes' own words."""

from __future__ import annotations

import pytest
from conformance.manifests import MENDED_SERVER, MODEL_SERVER, TRAINING_JOB


def test_the_seed_s_job_lacks_a_limit_for_its_gpu(kubectl):
    said = kubectl.refused("apply", "-f", "-", stdin=TRAINING_JOB)
    assert said == (
        'The Job "model-training" is invalid: spec.template.spec.containers[0].resources.limits: '
        "Required value: Limit must be set for non overcommitable resources"
    )


def test_the_seed_s_deployment_lacks_selector_and_labels(kubectl):
    said = kubectl.refused("create", "--validate=false", "-f", "-", stdin=MODEL_SERVER)
    assert 'The Deployment "model-server" is invalid' in said
    assert "* spec.selector: Required value" in said
    assert "spec.template.metadata.labels: Invalid value: " in said
    assert "`selector` does not match template `labels`" in said


@pytest.mark.parametrize(
    ("mistake", "mended", "words"),
    [
        (
            "replicas: 3",
            "replicas: -1",
            "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
        ),
        (
            "name: model-server",
            "name: Model_Server",
            'metadata.name: Invalid value: "Model_Server": a lowercase RFC 1123',
        ),
        ("image: model-serve:latest", "image: ''", "spec.template.spec.containers[0].image: Required value"),
        (
            "containerPort: 8080",
            "containerPort: 99999",
            "containerPort: Invalid value: 99999: must be between 1 and 65535, inclusive",
        ),
    ],
)
def test_invalid_values(kubectl, mistake, mended, words):
    said = kubectl.refused(
        "create", "--validate=false", "-f", "-", stdin=MENDED_SERVER.replace(mistake, mended)
    )
    assert words in said


def test_a_selector_never_changes(kubectl):
    kubectl.apply(MENDED_SERVER)
    said = kubectl.refused("apply", "-f", "-", stdin=MENDED_SERVER.replace("app: model}", "app: other}"))
    assert "spec.selector: Invalid value: " in said
    assert "field is immutable" in said


def test_what_is_not_there(kubectl):
    assert kubectl.refused("get", "pod", "nobody") == 'Error from server (NotFound): pods "nobody" not found'
    assert "the server doesn't have a resource type" in kubectl.refused("get", "unheardofs")


def test_what_is_there_already(kubectl):
    kubectl("create", "configmap", "settings", "--from-literal=a=1")
    said = kubectl.refused("create", "configmap", "settings")
    assert 'configmaps "settings" already exists' in said


def test_a_stale_write(kubectl):
    kubectl("create", "configmap", "settings", "--from-literal=a=1")
    old = kubectl("get", "configmap", "settings", "-o", "yaml")
    kubectl("label", "configmap", "settings", "newer=yes")
    said = kubectl.refused("replace", "-f", "-", stdin=old)
    assert (
        "the object has been modified; please apply your changes to the latest version and try again" in said
    )


def test_a_namespace_that_is_not_there(kubectl):
    said = kubectl.refused("create", "configmap", "a", "--namespace=nowhere")
    assert 'namespaces "nowhere" not found' in said
