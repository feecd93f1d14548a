"""Kubeflow's resources as manifests: what is read, what their definitions refuse, with which words."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import yaml

from labkit.errors import WorkFault
from labkit.kubeflow.resources import definitions, faults, read_manifest, resource_of

ANSWERS = Path(__file__).parents[3] / "autograder/rubrics/week10_kubernetes/answers/05_kubeflow/reference"
FILES = {
    "InferenceService": "inference_service.yaml",
    "Experiment": "experiment.yaml",
    "Notebook": "notebook.yaml",
}


@pytest.mark.parametrize("kind", FILES)
def test_a_right_manifest_has_no_fault(kind):
    assert faults(read_manifest(ANSWERS / FILES[kind]), kind) == []


@pytest.mark.parametrize(
    ("kind", "path", "value", "said"),
    [
        (
            "InferenceService",
            "spec.predictor.canaryTraffic",
            10,
            'unknown field "spec.predictor.canaryTraffic"',
        ),
        ("InferenceService", "spec.predictor.canaryTrafficPercent", "10", "must be of type integer"),
        (
            "InferenceService",
            "spec.predictor.canaryTrafficPercent",
            110,
            "spec.predictor.canaryTrafficPercent",
        ),
        ("InferenceService", "spec.predictor", None, "spec.predictor"),
        ("Experiment", "spec.objective.type", "max", "spec.objective.type"),
        ("Experiment", "spec.parameters", [], "at least 1 items"),
        ("Experiment", "spec.algorithm.algorithmName", "guess", "spec.algorithm.algorithmName"),
        ("Notebook", "spec.template.spec.containers", [], "at least 1 items"),
        (
            "Notebook",
            "spec.template.spec.hostNetwork",
            True,
            'unknown field "spec.template.spec.hostNetwork"',
        ),
        ("Notebook", "metadata", {}, "metadata.name: Required value"),
        ("Notebook", "apiVersion", "kubeflow.org/v1beta1", "it says apiVersion: kubeflow.org/v1beta1"),
    ],
)
def test_a_wrong_field_is_named(kind, path, value, said):
    thing = copy.deepcopy(read_manifest(ANSWERS / FILES[kind]))
    *places, last = path.split(".")
    inner = thing
    for place in places:
        inner = inner[place]
    inner[last] = value
    assert any(said in fault for fault in faults(thing, kind)), faults(thing, kind)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "is not valid YAML"),
        ("a: &x [1]\nb: *x\n", "uses an alias"),
        ("a: 1\n---\nb: 2\n", "holds 2 documents"),
        ("", "holds 0 documents"),
        ("- 1", "holds 1 documents"),
        ("a: !!python/object/apply:os.system ['true']", "is not valid YAML"),
        ("a" * 70_000, "holds more than 64 KiB"),
        ("[" * 3000, "is not valid YAML"),
    ],
)
def test_what_is_no_manifest_is_said(tmp_path, text, said):
    (tmp_path / "m.yaml").write_text(text)
    with pytest.raises(WorkFault, match=said):
        read_manifest(tmp_path / "m.yaml")


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(WorkFault, match=r"There is no m\.yaml"):
        read_manifest(tmp_path / "m.yaml")


def test_each_definition_names_its_source():
    for path in (Path(__file__).parents[3] / "labkit/kubeflow/crds").glob("*.yaml"):
        assert "# Source: " in path.read_text()
        assert yaml.safe_load(path.read_text()) in definitions()


def test_a_kind_without_a_definition():
    with pytest.raises(KeyError):
        resource_of("Workflow")
