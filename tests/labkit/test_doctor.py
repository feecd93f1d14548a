"""What `workbook doctor` finds, on this machine and on made-up ones."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from autograder.commands import doctor as command
from labkit import debian
from labkit.doctor import Diagnosis, Hardware, Part, examine
from labkit.isolation import isolation

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def bare(tmp_path):
    """A machine of Debian on which nothing is installed, with a GPU and a limit of memory and processors."""
    files = {
        "etc/os-release": 'NAME="Debian GNU/Linux"\nVERSION_ID="12"\nID=debian\n',
        "sys/fs/cgroup/memory.max": f"{2**30}\n",
        "sys/fs/cgroup/cpu.max": "100000 100000\n",
        "proc/driver/nvidia/gpus/0000:01:00.0/information": "Model: \t\t NVIDIA Test\nIRQ: 1\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return debian.Machine(root=tmp_path, superuser=False, terminal=False)


def part(diagnosis: Diagnosis, what: str) -> Part:
    return next(part for part in diagnosis.parts if part.what == what)


@pytest.mark.alone
def test_this_machine_in_less_than_two_seconds():
    began = time.monotonic()
    diagnosis = examine(REPOSITORY)
    assert time.monotonic() - began < 2
    assert json.loads(json.dumps(diagnosis.as_json()))["complete"] is not bool(diagnosis.missing)
    assert part(diagnosis, "model server").runs_on.startswith("FastAPI ")
    assert all(part.command for part in diagnosis.missing)


def test_limits_and_gpu_of_a_container(bare):
    diagnosis = examine(REPOSITORY, bare)
    assert str(diagnosis.hardware) == "Debian 12 · 1 core · 1 GiB · NVIDIA Test"
    assert part(diagnosis, "GPU").tier == "real"


def test_the_browser_s_command_depends_on_who_may_install(bare):
    browser = part(examine(REPOSITORY, bare), "browser")
    assert browser.command.startswith("sudo apt-get install --no-install-recommends -y chromium")
    assert browser.fix == ()
    root = debian.Machine(root=bare.root, superuser=True, terminal=False)
    assert part(examine(REPOSITORY, root), "browser").fix == ("make", "browser")


def test_a_course_without_a_model_and_with_other_pins(tmp_path, bare):
    (tmp_path / "environments").mkdir()
    (tmp_path / "environments/core.txt").write_text("typer==0.0.1 \\\nno-such-thing==1 ; platform == 'x'\n")
    diagnosis = examine(tmp_path, bare)
    assert part(diagnosis, "model").command == "make model"
    assert "1 of 1 packages differ" in part(diagnosis, "Python").missing
    assert part(diagnosis, "Python").fix == ("make", "setup")


def run(monkeypatch, found: list[Diagnosis], *arguments: str):
    answers = iter(found)
    monkeypatch.setattr(command, "examine", lambda root=None: next(answers))
    app = typer.Typer()
    app.command()(command.doctor)
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "100"})


def diagnosis(tmp_path: Path, *parts: Part) -> Diagnosis:
    return Diagnosis(str(tmp_path), Hardware("Debian 12", 2, 24.0, ""), list(parts))


def test_one_screen(tmp_path, monkeypatch):
    whole = diagnosis(tmp_path, Part("GPU", "measurements", "none", None))
    shown = run(monkeypatch, [whole]).stdout
    assert shown.startswith("Debian 12 · 2 cores · 24 GiB · no GPU\n")
    assert "not measured here" in shown
    assert shown.rstrip().endswith("Nothing is missing.")


def test_fix_runs_what_it_can_and_shows_the_rest(tmp_path, monkeypatch):
    model = Part("model", "week 11", "-", None, "not trained", "touch made", ("touch", "made"))
    browser = Part("browser", "tests", "-", None, "not installed", "sudo apt-get install chromium")
    after = diagnosis(tmp_path, browser)
    result = run(monkeypatch, [diagnosis(tmp_path, model, browser), after], "--fix")
    assert result.exit_code == 0
    assert (tmp_path / "made").exists()
    assert "sudo apt-get install chromium" in result.stdout


def test_a_fix_that_fails_ends_in_one(tmp_path, monkeypatch):
    model = Part("model", "week 11", "-", None, "not trained", "false", ("false",))
    found = diagnosis(tmp_path, model)
    result = run(monkeypatch, [found, found], "--fix", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["parts"][0]["missing"] == "not trained"


def test_the_sandbox_says_how_it_isolates_or_what_brings_it(monkeypatch, tmp_path, bare):
    isolation.require.cache_clear()
    monkeypatch.setenv("PATH", str(tmp_path))
    missing = part(examine(REPOSITORY, bare), "sandbox")
    assert missing.missing.startswith("There is no sandbox")
    assert missing.command.startswith("sudo apt-get install --no-install-recommends -y bubblewrap")
    root = debian.Machine(root=bare.root, superuser=True, terminal=False)
    assert part(examine(REPOSITORY, root), "sandbox").fix == ("make", "sandbox")
    monkeypatch.undo()
    isolation.require.cache_clear()
