from __future__ import annotations

import pytest

from labkit.clusters.embedded.api import Api
from labkit.clusters.embedded.store import Store


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "cluster.db")
    yield store
    store.close()


@pytest.fixture
def api(store):
    return Api(store)
