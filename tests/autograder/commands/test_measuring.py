from __future__ import annotations

import pytest

from autograder.commands.measuring import Load, client_for, milliseconds, share, tier_of
from labkit.load import GrpcClient, HttpClient
from labkit.verdicts import Tier


@pytest.mark.parametrize(
    ("text", "value"), [("100ms", 100), ("0.2s", 200), ("250us", 0.25), (" 5 ms ", 5), ("7", 7)]
)
def test_times(text, value):
    assert milliseconds(text) == pytest.approx(value)


@pytest.mark.parametrize(("text", "value"), [("99.9%", 0.999), ("0.999", 0.999), ("99 %", 0.99)])
def test_shares(text, value):
    assert share(text) == value


@pytest.mark.parametrize(
    ("url", "tier"),
    [
        ("http://127.0.0.1:1/", Tier.LOCAL),
        ("http://localhost/", Tier.LOCAL),
        ("http://[::1]:80/", Tier.LOCAL),
        ("http://10.0.0.3/", Tier.REAL),
        ("https://api.example.org/", Tier.REAL),
    ],
)
def test_tiers(url, tier):
    assert tier_of(url) is tier


def test_each_try_is_longer_and_of_another_seed():
    load = Load(100, 10, 1, "poisson", 5)
    assert [load.schedule(attempt).seconds for attempt in range(3)] == [10, 20, 40]
    assert load.schedule(2).seed == 7


def test_clients_by_scheme():
    assert isinstance(client_for("http://h/", None, "", None, None, 1, False), HttpClient)
    grpc = client_for("grpc://h:1/p.S/M", None, "", None, None, 1, False)
    assert isinstance(grpc, GrpcClient)
    assert grpc.kinds[0].path == "/p.S/M"
    probed = client_for("http://h/", None, "", None, None, 1, False, "/health")
    assert probed.shares == (1.0, 0.0)
