"""From the learners' package to the first passed check, as a new learner goes: pip, a terminal, a browser.

`pytest -m "" -s tests/browser/test_package.py` says how long each step took.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from lab_page import body, command, focused, tables, wait_for

from autograder.classroom.bundle import make_bundle
from autograder.classroom.wheel import make_wheel
from autograder.loading import load_rubric
from labkit.course import find_course
from labkit.errors import WorkbookError
from labkit.processes import Process

pytestmark = [pytest.mark.browser, pytest.mark.nightly]

REAL = find_course()
LAB = REAL.labs[0]
PART = "pinned"
ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)/lab\S*\?token=(\w+)")
READY = """
const panel = window.jupyterapp.shell.currentWidget;
return panel?.context?.path.endsWith(arguments[0]) && panel.sessionContext.session?.kernel?.status === "idle";
"""
"""Whether that notebook is in front and its kernel waits for work."""
RUN = """
const notebook = window.jupyterapp.shell.currentWidget.content;
const holds = cell => cell.model.sharedModel.source.includes(arguments[0]);
notebook.activeCellIndex = notebook.widgets.findIndex(holds);
window.jupyterapp.commands.execute("notebook:run-cell");
"""
"""Runs the first cell of the notebook in front that holds a text."""
RAN = """
const notebook = window.jupyterapp.shell.currentWidget.content;
return notebook.activeCell.model.executionCount !== null;
"""


class Clock:
    """Says how long each step took, and how long it has been since the beginning."""

    def __init__(self) -> None:
        self.began = self.last = time.monotonic()

    def step(self, what: str) -> None:
        now = time.monotonic()
        print(f"{what}: {now - self.last:.0f} s, {now - self.began:.0f} s since the beginning", flush=True)
        self.last = now


def open_page(browser, url):
    browser.get(url)
    wait_for(browser, lambda b: b.execute_script("return !!window.jupyterapp"))
    wait_for(browser, lambda b: b.execute_script("return !!document.querySelector('.jp-Notebook .jp-Cell')"))
    wait_for(browser, focused)


@pytest.fixture
def wheel(tmp_path):
    try:
        bundle = make_bundle(REAL, tmp_path / "package" / "course.zip", dirty=True)
    except WorkbookError as error:
        pytest.skip(str(error))
    return make_wheel(REAL, bundle)


def test_from_the_package_to_the_first_passed_check(wheel, tmp_path, browser, screenshot):
    clock = Clock()
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    programs = tmp_path / "venv" / "bin"
    subprocess.run([programs / "pip", "install", "--quiet", "--no-index", wheel], check=True)
    clock.step("wheel installed")

    folder = tmp_path / "my_course"
    subprocess.run([programs / "workbook", "start", folder], check=True, cwd=tmp_path, timeout=1800)
    clock.step("workbook start")

    first_check(programs, folder, tmp_path, browser, screenshot, clock)


def first_check(programs, folder, home, browser, screenshot, clock):
    """Opens the course as `workbook lab` does, and goes from START_HERE to the first check."""
    kept = folder / "learn" / ".workbook" / "results" / f"{LAB.id.replace('/', '-')}.report.json"
    settings = home / ".jupyter" / "jupyter_lab_config.json"
    settings.parent.mkdir()
    settings.write_text('{"LabApp": {"expose_app_in_browser": true}}')  # for the commands below
    jupyter = Process(
        [str(programs / "workbook"), "lab"],
        cwd=folder,
        log=home / "lab.log",
        environment={"HOME": str(home), "BROWSER": "true", "PATH": os.environ["PATH"]},
    )
    try:
        address = opened_at(jupyter, home / "lab.log")
        port, token = ADDRESS.search(address).groups()
        open_page(browser, address)
        clock.step("workbook lab, START_HERE open")

        command(browser, "notebook:run-all-cells")
        wait_for(browser, lambda b: "Next:" in body(b) and LAB.title in body(b))
        screenshot("package-start")
        clock.step("START_HERE run")

        link = browser.find_element("partial link text", LAB.title)
        browser.execute_script("arguments[0].click()", link)
        wait_for(browser, lambda b: b.execute_script(READY, f"{LAB.name}.ipynb"))
        browser.execute_script(RUN, "from autograder import check")
        wait_for(browser, lambda b: b.execute_script(RAN))
        text = (load_rubric(LAB).answers / "reference" / "Dockerfile").read_text()
        saved = httpx.put(  # what JupyterLab's editor sends when the learner saves
            f"http://127.0.0.1:{port}/api/contents/{LAB.assignment}/{LAB.name}/Dockerfile",
            headers={"Authorization": f"token {token}"},
            content=json.dumps({"type": "file", "format": "text", "content": text}),
        )
        assert saved.status_code == 200
        browser.execute_script(RUN, f'check("{LAB.id}", "{PART}")')
        wait_for(browser, lambda b: any("passed" in table for table in tables(b)))
        wait_for(browser, lambda _: kept.is_file())
        clock.step("the first check passed")
        screenshot("package-passed")
    finally:
        jupyter.stop()
    assert {o["check"]: o["verdict"] for o in json.loads(kept.read_text())["outcomes"]} == {PART: "passed"}


def opened_at(jupyter: Process, log: Path) -> str:
    """The address that JupyterLab says, once it has started."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and jupyter.exit_code is None:
        if found := ADDRESS.search(log.read_text() if log.is_file() else ""):
            return found[0]
        time.sleep(0.2)
    pytest.fail("JupyterLab did not start:\n" + "\n".join(jupyter.last_lines(20)))
