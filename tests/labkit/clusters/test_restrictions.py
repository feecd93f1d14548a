"""Restrictions of guests, as data: each control refuses what it is there for, and honest objects pass."""

from __future__ import annotations

import copy

import pytest

from labkit.clusters.embedded.errors import ApiError
from labkit.clusters.embedded.resources import built_in
from labkit.clusters.embedded.users import restrictions
from labkit.clusters.embedded.users.restrictions import check, rules, values, whole
from tests.attacks.test_manifests import HOSTILE, IMAGE, deployment, pod

IMAGES = frozenset({whole(IMAGE)})


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_pod_is_refused_for_its_field_alone(name):
    fields, place, control = HOSTILE[name]
    with pytest.raises(ApiError) as found:
        check(built_in("pods"), pod(**copy.deepcopy(fields)), images=IMAGES)
    causes = found.value.details["causes"]
    assert [cause["field"] for cause in causes] == [f"spec.{place}"]
    assert control in causes[0]["message"]


def test_there_is_an_attack_on_every_control():
    assert {one.control for one in rules().pods} <= {control for _, _, control in HOSTILE.values()}


def test_honest_objects_pass():
    for resource, thing in (
        ("pods", pod()),
        ("pods", pod(volumes=[{"name": "v", "emptyDir": {}}], hostNetwork=False)),
        ("deployments.apps", deployment(pod()["spec"], replicas=50)),
        ("configmaps", {"metadata": {"name": "c"}, "data": {"spec": "x"}}),
    ):
        check(built_in(resource), thing, images=IMAGES)


def test_false_is_not_zero():
    hostile = pod(container={"ports": [{"containerPort": 80, "hostPort": False}]})
    with pytest.raises(ApiError):
        check(built_in("pods"), hostile, images=IMAGES)


def test_values_have_their_places():
    thing = {"spec": {"list": [{"a": 1}, {"b": 2}, {"a": None}]}}
    assert list(values(thing, "spec.list[*].a")) == [("spec.list[0].a", 1)]
    assert list(values(thing, "spec.list[*].*")) == [
        ("spec.list[0].a", "a"), ("spec.list[1].b", "b"), ("spec.list[2].a", "a")
    ]  # fmt: skip
    assert list(values({"spec": "text"}, "spec.list[*].a")) == []


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("a", "docker.io/library/a:latest"),
        ("a:1", "docker.io/library/a:1"),
        ("b/a", "docker.io/b/a:latest"),
        ("localhost:5000/a", "localhost:5000/a:latest"),
        ("localhost/a:2", "localhost/a:2"),
        ("ghcr.io/b/a@sha256:00", "ghcr.io/b/a@sha256:00"),
    ],
)
def test_names_of_images_are_the_same_with_and_without_what_people_leave_out(given, name):
    assert whole(given) == name


def test_every_kind_that_guests_write_is_served():
    for key in rules().guests_write:
        assert built_in(key).namespaced
    assert not restrictions.rules().guests_write & {"events", "endpoints", "endpointslices.discovery.k8s.io"}
