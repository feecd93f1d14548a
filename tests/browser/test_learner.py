"""A learner's path in a real JupyterLab: open the lab, check, read why it failed, hint, edit, progress."""

from __future__ import annotations

import json

import httpx
import nbformat
import pytest
from lab_page import body, command, focused, tables, wait_for
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from autograder.loading import load_rubric
from autograder.workspace import make_copy
from labkit.course import Course, find_course
from labkit.models.store import models_folder, prepare

pytestmark = pytest.mark.browser

REAL = find_course()
LAB = REAL.lab("week11/fastapi_server")
RUBRIC = load_rubric(LAB)
WANTED = ("# Serve a model", "import json", "## Your server", '"predictions")', '"rejects_bad_input")')
"""Of the notebook only what this walk needs, so that it takes seconds."""


@pytest.fixture(scope="module")
def learn(tmp_path_factory):
    """The learner's copy of the real course, below a folder of its own."""
    prepare(models_folder() / "digits", say=lambda _: None)
    root = tmp_path_factory.mktemp("course")
    for name in ("weeks", "build"):
        (root / name).symlink_to(REAL.root / name, target_is_directory=True)
    course = Course(root)
    make_copy(course)
    path = course.learn / LAB.assignment / f"{LAB.name}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.cells = [c for c in notebook.cells if any(text in c.source for text in WANTED)]
    asking = f'from autograder import hint; hint("{LAB.id}", "predictions")'
    notebook.cells.append(nbformat.v4.new_code_cell(asking))
    nbformat.write(notebook, path)
    return course.learn


@pytest.fixture(scope="module")
def jupyter(learn, jupyter_server):
    return jupyter_server(learn)


@pytest.fixture(scope="module")
def lab(browser, jupyter):
    """JupyterLab with the lab's notebook open."""
    browser.get(jupyter.page(f"lab/tree/{LAB.assignment}/{LAB.name}.ipynb"))
    ready = "return !!(window.jupyterapp && document.querySelector('.jp-Notebook .jp-Cell'))"
    wait_for(browser, lambda b: b.execute_script(ready))
    wait_for(browser, focused)
    return browser


def verdicts(report):
    """What a kept report says of each check."""
    return {o["check"]: o["verdict"] for o in json.loads(report.read_text())["outcomes"]}


def show(browser, text):
    """Scroll the notebook to the table that holds that text."""
    for table in browser.find_elements(By.CSS_SELECTOR, ".jp-Notebook table[role=table]"):
        if text in table.text:
            browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", table)


def in_terminal(browser, line):
    """Type a command line into JupyterLab's open terminal."""
    ActionChains(browser).click(browser.find_element(By.CSS_SELECTOR, ".jp-Terminal")).perform()
    ActionChains(browser).send_keys(line, Keys.ENTER).perform()


def colours(browser, selector):
    """The text's and the page's colour there."""
    script = (
        "const style = getComputedStyle(document.querySelector(arguments[0]));"
        "return [style.color, getComputedStyle(document.body).backgroundColor]"
    )
    return browser.execute_script(script, selector)


def test_a_failed_check_says_why(lab, screenshot):
    assert "official Jupyter news" not in body(lab)
    command(lab, "notebook:run-all-cells")
    wait_for(lab, lambda b: any("answered 404" in text for text in tables(b)))
    wait_for(lab, lambda b: any("blocked" in text for text in tables(b)))
    show(lab, "answered 404")
    screenshot("learner-failed")


def test_a_cell_of_one_s_own_gives_a_hint(lab):
    wait_for(lab, lambda b: "2 more for this check" in body(b))
    assert RUBRIC.check("predictions").hints[0] in body(lab)


def test_a_terminal_beside_it_gives_the_next(lab, learn, screenshot):
    command(lab, "terminal:create-new", cwd=LAB.assignment)
    wait_for(lab, lambda b: b.find_elements(By.CSS_SELECTOR, ".jp-Terminal .xterm-screen"))
    said = learn / LAB.assignment / "hint.txt"
    in_terminal(lab, f"workbook check {LAB.id} --hint | tee {said}")
    wait_for(lab, lambda _: said.is_file() and "how many you took is counted" in said.read_text())
    assert RUBRIC.check("predictions").hints[1][:40] in said.read_text()
    screenshot("learner-hint")
    said.unlink()
    kept = json.loads((learn / ".workbook" / "results" / "week11-fastapi_server.hints.json").read_text())
    assert kept == {"predictions": 2}


def test_an_edit_mends_it(lab, jupyter, learn, screenshot):
    # The learner writes a server in JupyterLab's editor, whose save is this request.
    path = f"{jupyter.url}/api/contents/{LAB.assignment}/{LAB.name}/serve.py"
    text = (RUBRIC.answers / "reference" / "serve.py").read_text()
    saved = httpx.put(
        path,
        headers={"Authorization": f"token {jupyter.token}"},
        content=json.dumps({"type": "file", "format": "text", "content": text}),
    )
    assert saved.status_code == 200
    command(lab, "docmanager:open", path=f"{LAB.assignment}/{LAB.name}.ipynb")
    command(lab, "notebook:run-all-cells")
    wait_for(lab, lambda b: any("12 of 12 kinds answered 422" in text for text in tables(b)))
    assert any("200 of 200 within 0.001" in text for text in tables(lab))
    assert "Traceback" not in body(lab)
    show(lab, "200 of 200")
    screenshot("learner-passed")

    kept = learn / ".workbook" / "results" / "week11-fastapi_server.report.json"
    wait_for(lab, lambda _: verdicts(kept) == {"predictions": "passed", "rejects_bad_input": "passed"})


def test_the_table_reads_well_in_the_dark_theme(lab, screenshot):
    command(lab, "apputils:change-theme", theme="JupyterLab Dark")
    dark = "return document.body.dataset.jpThemeLight === 'false'"
    wait_for(lab, lambda b: b.execute_script(dark))
    show(lab, "200 of 200")
    screenshot("learner-dark")
    text, page = colours(lab, ".jp-Notebook table[role=table] td")
    assert contrast(text, page) > 4.5
    command(lab, "apputils:change-theme", theme="JupyterLab Light")


def contrast(one, other):
    """The contrast of two colours, from 1 to 21, as WCAG 2 has it."""

    def luminance(colour):
        parts = [float(part) / 255 for part in colour.partition("(")[2].rstrip(")").split(",")[:3]]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_progress_shows_what_is_done(lab, learn, screenshot):
    page = learn / "progress.html"
    command(lab, "terminal:open", name="1")
    wait_for(lab, lambda b: b.find_elements(By.CSS_SELECTOR, ".jp-Terminal .xterm-screen"))
    said = learn / "said.txt"
    in_terminal(lab, f"clear; workbook progress; touch {said}")
    wait_for(lab, lambda _: said.is_file())
    screenshot("learner-terminal")

    lab.get(page.as_uri())
    assert "6 of 15 points · 2 hints taken" in body(lab)
    assert "Next: knows how many requests a promise needs, in “Serve a model over HTTP”." in body(lab)
    assert "p99 under 100 ms" in body(lab)
    for scheme in ("light", "dark"):
        lab.execute_cdp_cmd(
            "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        )
        screenshot(f"progress-{scheme}")
