"""Watches: what is told, in which order, and from when on."""

from __future__ import annotations

import contextlib
import json
import threading

import pytest
import urllib3.exceptions
from conformance.conftest import eventually
from conformance.manifests import configmap, deployment
from kubernetes.watch import Watch


class Watching:
    """Collects what a watch tells, in a thread of its own."""

    def __init__(self, call, *arguments, **named):
        self.events, self._watch = [], Watch()
        stream = self._watch.stream(call, *arguments, timeout_seconds=20, **named)

        def read():
            # A watch that is still open when its cluster ends is cut off.
            with contextlib.suppress(urllib3.exceptions.HTTPError):
                for event in stream:
                    self.events.append((event["type"], event["object"].metadata.name))

        self._thread = threading.Thread(target=read, daemon=True)
        self._thread.start()

    def until(self, count):
        eventually(lambda: len(self.events) >= count)
        self._watch.stop()
        return self.events[:count]


def test_changes_in_their_order(core, namespace):
    start = core.list_namespaced_config_map(namespace).metadata.resource_version
    watching = Watching(core.list_namespaced_config_map, namespace, resource_version=start)
    core.create_namespaced_config_map(namespace, configmap("order"))
    core.patch_namespaced_config_map("order", namespace, {"data": {"x": "2"}})
    core.delete_namespaced_config_map("order", namespace)
    # The cluster's own ConfigMap may come in between.
    eventually(lambda: ("DELETED", "order") in watching.events)
    ours = [event for event in watching.events if event[1] == "order"]
    watching.until(0)
    assert ours == [("ADDED", "order"), ("MODIFIED", "order"), ("DELETED", "order")]


def test_from_a_version_on(core, namespace):
    core.create_namespaced_secret(namespace, {"metadata": {"name": "before"}})
    start = core.list_namespaced_secret(namespace).metadata.resource_version
    core.create_namespaced_secret(namespace, {"metadata": {"name": "after"}})
    watching = Watching(core.list_namespaced_secret, namespace, resource_version=start)
    assert watching.until(1) == [("ADDED", "after")]


def test_what_leaves_a_selector_is_deleted_for_its_watchers(core, namespace):
    watching = Watching(core.list_namespaced_config_map, namespace, label_selector="tier=a")
    core.create_namespaced_config_map(namespace, configmap(labels={"tier": "a"}))
    core.create_namespaced_config_map(namespace, configmap("other", labels={"tier": "b"}))
    core.patch_namespaced_config_map("a", namespace, {"metadata": {"labels": {"tier": "b"}}})
    core.patch_namespaced_config_map("a", namespace, {"metadata": {"labels": {"tier": "a"}}})
    assert watching.until(3) == [("ADDED", "a"), ("DELETED", "a"), ("ADDED", "a")]


def test_one_object(core, namespace):
    watching = Watching(core.list_namespaced_config_map, namespace, field_selector="metadata.name=b")
    for name in "ab":
        core.create_namespaced_config_map(namespace, configmap(name))
    assert watching.until(1) == [("ADDED", "b")]


def test_a_watch_ends_when_it_is_asked_to(core, namespace):
    start = core.list_namespaced_secret(namespace).metadata.resource_version
    named = {"resource_version": start, "timeout_seconds": 1}
    assert list(Watch().stream(core.list_namespaced_secret, namespace, **named)) == []


def test_a_version_that_is_gone(cluster, embedded):
    # A fresh cluster that keeps all of its history has none that is gone: only the embedded one shows it at once.
    code, said = cluster.raw("GET", "/api/v1/pods?watch=1&resourceVersion=-5")
    assert (code, said["reason"]) == (410, "Expired")


def test_a_version_that_is_none(cluster):
    code, said = cluster.raw("GET", "/api/v1/pods?watch=1&resourceVersion=new&timeoutSeconds=1")
    assert code in (400, 422, 500)  # 1.20 calls it an error of its own
    assert said["status"] == "Failure"


@pytest.mark.since(32)
def test_a_list_told_as_a_watch(cluster, core, namespace):
    core.create_namespaced_config_map(namespace, configmap())
    query = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    _, said = cluster.raw("GET", f"/api/v1/namespaces/{namespace}/configmaps?{query}&timeoutSeconds=1")
    events = [json.loads(line) for line in said.splitlines()] if isinstance(said, str) else [said]
    assert [event["type"] for event in events][:2] == ["ADDED", "BOOKMARK"]
    notes = events[1]["object"]["metadata"]["annotations"]
    assert notes == {"k8s.io/initial-events-end": "true"}


def test_kubectl_prints_rows_as_they_change(cluster, kubectl, apps, namespace):
    apps.create_namespaced_deployment(namespace, deployment(cluster.image, replicas=0))
    done = kubectl.run("get", "deployment", "web", "--watch", "--request-timeout=2s")
    head, row = done.stdout.splitlines()[:2]
    assert head.split() == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"]
    assert row.split()[:4] == ["web", "0/0", "0", "0"]
