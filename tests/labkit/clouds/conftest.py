"""One emulated account for all tests of a module."""

import pytest

from labkit.clouds.emulated import EmulatedCloud


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    account = EmulatedCloud(tmp_path_factory.mktemp("account") / "cloud")
    account.up()
    yield account
    account.down(purge=True)
