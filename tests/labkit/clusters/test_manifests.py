"""Manifests that people wrote: what is wrong with them is said with file, line, object and field."""

import pytest

from labkit.clusters.manifests import completed, one_of_kind, read_manifests
from labkit.errors import WorkFault

GOOD = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - name: web
          image: web:1
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {ports: [{port: 80}]}
"""


def read(tmp_path, text):
    path = tmp_path / "web.yaml"
    path.write_text(text)
    return read_manifests(path)


def test_objects_as_they_were_written(tmp_path):
    objects = read(tmp_path, GOOD)
    assert [thing["kind"] for thing in objects] == ["Deployment", "Service"]
    assert "replicas" not in objects[0]["spec"]
    assert completed(objects[0])["spec"]["replicas"] == 1
    assert one_of_kind(objects, "Service", "web.yaml")["metadata"]["name"] == "web"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "image: web:1",
            "imagee: web:1",
            r'line 11: Deployment web: .*unknown field "spec.template.*imagee"',
        ),
        ("{app: web}}\n  template", "{app: other}}\n  template", "line 7: Deployment web: .*selector"),
        ("kind: Deployment", "kind: Deploymnet", "line 1: there is no kind Deploymnet in version apps/v1"),
        ("kind: Deployment\n", "", "line 1: the object does not say what it is"),
        ("metadata: {name: web}\nspec:\n  sel", "metadata: {name: web\nspec:\n  sel", "line 4 is no YAML"),
        ("- name: web", "- name: [web]", "line 1: Deployment web"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, old, new, said):
    with pytest.raises(WorkFault, match=f"web.yaml {said}"):
        read(tmp_path, GOOD.replace(old, new, 1))


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(WorkFault, match="There is no web"):
        read_manifests(tmp_path / "web.yaml")


def test_one_of_a_kind(tmp_path):
    with pytest.raises(WorkFault, match="2 objects of the kind Service"):
        one_of_kind(read(tmp_path, GOOD)[1:] * 2, "Service", "web.yaml")


def test_a_job_is_read_as_it_was_written(tmp_path):
    (tmp_path / "job.yaml").write_text(
        "apiVersion: batch/v1\nkind: Job\nmetadata: {name: train}\nspec:\n  template:\n    spec:\n"
        "      restartPolicy: Never\n      containers: [{name: train, image: train:1}]\n"
    )
    (job,) = read_manifests(tmp_path / "job.yaml")
    assert job["metadata"] == {"name": "train"}
    assert completed(job)["spec"]["backoffLimit"] == 6
