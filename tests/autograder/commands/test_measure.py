from __future__ import annotations

import asyncio
import json
import signal
import threading

import pytest
from typer.testing import CliRunner

from autograder.commands.measure import app
from tests.labkit.load import servers
from tests.labkit.load.servers import serving

# A second of it is enough for a verdict; the limit is wide, for the generator's lag on a busy machine.
SHORT = ["--rate", "700", "--seconds", "1", "--warmup", "0.1"]


async def slow(exchange):
    await asyncio.sleep(1.2)
    await exchange.answer()


def measure(*arguments):
    result = CliRunner().invoke(app, [str(each) for each in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output
    return result


@pytest.fixture(scope="module")
def good():
    with serving(servers.well_behaved) as server:
        yield server.url


def test_latency_as_json_says_all_that_was_promised(good):
    result = measure("latency", good, *SHORT, "--objective", "900ms", "--json")
    facts = json.loads(result.stdout)
    named = ("verdict", "p50_ms", "p99_ms", "achieved_rate", "errors", "generator_lag_p99_ms", "tier")
    assert all(name in facts for name in named)
    assert facts["verdict"] == "passed"
    assert facts["tier"] == "local"
    assert result.exit_code == 0


def test_latency_for_a_person_fits_a_screen_and_plots(good, tmp_path):
    result = measure(
        "latency", good, *SHORT, "--objective", "0.9s", "--probe", "/health", "--plot", tmp_path / "p.png"
    )
    assert result.exit_code == 0
    assert " passed" in result.output
    assert "longest stall" in result.output
    assert len(result.output.splitlines()) <= 24
    assert (tmp_path / "p.png").stat().st_size > 1000


@pytest.mark.alone
def test_a_slow_server_fails():
    with serving(slow) as server:
        result = measure("latency", server.url, *SHORT, "--objective", "900ms", "--json")
    facts = json.loads(result.stdout)
    assert facts["verdict"] == "failed"
    assert facts["quantile_ms_at_least"] > 900
    assert result.exit_code == 1


def test_a_body_is_sent_with_its_headers(tmp_path):
    seen = []

    async def note(exchange):
        seen.append((exchange.method, exchange.body, b"X-Key: a b" in exchange.head))
        await exchange.answer()

    (tmp_path / "body.json").write_text('{"image": [1]}')
    with serving(note) as server:
        measure(
            "latency",
            server.url,
            "--rate",
            "60",
            "--seconds",
            "0.3",
            "--tries",
            "1",
            "--body",
            tmp_path / "body.json",
            "--header",
            "X-Key: a b",
        )
    assert set(seen[1:]) == {("POST", b'{"image": [1]}', True)}


@pytest.mark.alone
def test_overload_within_the_run_is_counted():
    async def sheds(exchange):
        if exchange.number > 5 and exchange.number % 3 == 0:
            await exchange.answer(503, b"", Retry_After="7")
        else:
            await exchange.answer()

    with serving(sheds) as server:
        result = measure("availability", server.url, *SHORT)
    assert result.exit_code == 1
    assert "x 503" in result.output
    assert "Retry-After" in result.output


def test_availability_passes_and_says_its_bound(good):
    result = measure("availability", good, *SHORT, "--objective", "99%", "--json")
    facts = json.loads(result.stdout)
    assert facts["verdict"] == "passed"
    assert facts["available_share_at_least"] > 0.99


def test_cost_names_the_price_and_its_date(good):
    result = measure("cost", good, *SHORT, "--objective", "900ms", "--json")
    facts = json.loads(result.stdout)
    assert facts["verdict"] == "passed"
    assert facts["tier"] == "simulated"
    assert facts["price_date"] == "2026-01-19"
    assert facts["usd_per_million"] > 0
    dear = measure("cost", good, *SHORT, "--objective", "900ms", "--usd-per-hour", "50")
    assert dear.exit_code == 1
    assert "a million" in " ".join(dear.output.split())


@pytest.mark.alone
def test_a_rate_that_one_replica_does_not_keep_is_not_priced():
    with serving(slow) as server:
        result = measure("cost", server.url, *SHORT, "--objective", "900ms", "--json")
    assert result.exit_code == 1
    assert "does not surely keep its objective" in json.loads(result.stdout)["summary"]


def test_a_rate_that_this_machine_cannot_send_is_said_first(good):
    result = measure("latency", good, "--rate", "1000000", "--seconds", "3")
    assert result.exit_code == 3
    assert "can't send 1,000,000 requests/s" in " ".join(result.output.split())


def test_an_interrupt_shows_what_was_measured(good):
    threading.Timer(2.0, lambda: signal.raise_signal(signal.SIGINT)).start()
    result = measure("latency", good, "--rate", "100", "--seconds", "60", "--json")
    facts = json.loads(result.stdout)
    assert result.exit_code == 3
    assert facts["interrupted"]
    assert facts["requests"] > 0
    assert facts["p50_ms"] > 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["latency", "nonsense"], "no address"),
        (["latency", "http://127.0.0.1:9/"], "Nothing answers"),
        (["latency", "http://h/", "--rate", "0"], "can't be made"),
        (["latency", "http://h/", "--objective", "fast"], "no time"),
        (["latency", "http://h/", "--quantile", "99"], "not between"),
        (["latency", "http://h/", "--body", "/no/such/file"], "can't be read"),
        (["latency", "http://h/", "--header", "nonsense"], "no header"),
        (["latency", "http://h/", "--schedule", "waves"], "no schedule"),
        (["availability", "http://h/", "--objective", "lots"], "no share"),
        (["cost", "http://h/", "--instance", "m99.huge"], "has no"),
        (["cost", "http://h/", "--idle-rate", "50"], "can't be"),
    ],
)
def test_bad_input_is_told_in_three_lines(arguments, says):
    result = measure(*arguments)
    assert result.exit_code == 2
    assert says in result.output
    assert 1 <= len(result.output.strip().splitlines()) <= 3
    as_json = json.loads(measure(*arguments, "--json").stdout)
    assert as_json["verdict"] == "not_measured"
    assert says in as_json["what"]


def test_a_body_that_is_not_json(tmp_path):
    (tmp_path / "body.json").write_text("{image:")
    result = measure("latency", "http://h/", "--body", tmp_path / "body.json")
    assert "is not JSON" in result.output


def test_a_redirect_names_the_address_to_measure():
    with serving(servers.redirects) as server:
        result = measure("latency", server.url, "--json")
    assert "/elsewhere itself" in json.loads(result.stdout)["next_step"]


def test_a_plot_that_cannot_be_written(good):
    result = measure("latency", good, *SHORT, "--plot", "/no/such/folder/p.png")
    assert result.exit_code == 2
    assert "could not be written" in result.output
