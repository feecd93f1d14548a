from __future__ import annotations

import pytest

from labkit.clusters.embedded.store import LOG_LENGTH, Store, TooOld


def thing(name, **more):
    return {"metadata": {"name": name, "namespace": "default"}, **more}


def test_nothing_is_forgotten_when_it_starts_again(tmp_path):
    first = Store(tmp_path / "c.db")
    kept = first.put("configmaps", "default", "a", thing("a", data={"x": "1"}))
    first.put("configmaps", "default", "b", thing("b"))
    first.delete("configmaps", "default", "b")
    revision = first.revision
    # Not closed: as if the process had been killed.
    second = Store(tmp_path / "c.db")
    assert second.get("configmaps", "default", "a") == kept
    assert second.get("configmaps", "default", "b") is None
    assert second.revision == revision
    first.close()
    second.close()


def test_changes_since_a_revision(store):
    before = store.revision
    store.put("pods", "default", "a", thing("a"))
    store.put("pods", "default", "a", thing("a", spec={}))
    store.put("nodes", "", "n", thing("n"))
    store.delete("pods", "default", "a")
    kinds = [change.kind for change in store.changes("pods", before)]
    assert kinds == ["ADDED", "MODIFIED", "DELETED"]
    assert [change.kind for change in store.changes("pods", store.revision - 1)] == ["DELETED"]


def test_changes_of_an_earlier_life_are_gone(tmp_path):
    first = Store(tmp_path / "c.db")
    before = first.revision
    first.put("pods", "default", "a", thing("a"))
    first.close()
    second = Store(tmp_path / "c.db")
    with pytest.raises(TooOld) as gone:
        second.changes("pods", before)
    assert gone.value.oldest == second.revision
    second.close()


def test_the_log_has_an_end(store):
    before = store.revision
    for _ in range(LOG_LENGTH + 2):
        store.put("pods", "default", "a", thing("a"))
    with pytest.raises(TooOld):
        store.changes("pods", before)
