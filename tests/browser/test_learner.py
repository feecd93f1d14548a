"""A learner's path in a real JupyterLab: open the lab, check, read why it failed, edit, check again."""

from __future__ import annotations

import json

import httpx
import nbformat
import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from autograder.handouts import lay_handout
from autograder.loading import load_rubric
from labkit.course import find_course
from labkit.models.store import models_folder, prepare

pytestmark = pytest.mark.browser

LAB = find_course().lab("week11/fastapi_server")
REFERENCE = load_rubric(LAB).answers / "reference"


@pytest.fixture(scope="module")
def learn(tmp_path_factory):
    """A learner's folder; of the notebook only what this walk needs, so that it takes seconds."""
    prepare(models_folder() / "digits", say=lambda _: None)
    learn = tmp_path_factory.mktemp("learn")
    lay_handout(LAB, learn / LAB.assignment / LAB.name)
    notebook = nbformat.read(LAB.notebook, as_version=4)
    wanted = ("# Serve a model", "import json", "## Your server", '"predictions")', '"rejects_bad_input")')
    notebook.cells = [c for c in notebook.cells if any(text in c.source for text in wanted)]
    nbformat.write(notebook, learn / LAB.assignment / f"{LAB.name}.ipynb")
    return learn


@pytest.fixture(scope="module")
def jupyter(learn, jupyter_server):
    return jupyter_server(learn)


def run_all(browser):
    browser.execute_script("window.jupyterapp.commands.execute('notebook:run-all-cells')")


def tables(browser):
    return [t.text for t in browser.find_elements(By.CSS_SELECTOR, ".jp-Notebook table[role=table]")]


def wait_for(browser, condition, seconds=90):
    WebDriverWait(browser, seconds).until(condition)


def test_a_failed_check_says_why_and_an_edit_mends_it(browser, jupyter, learn, screenshot):
    browser.get(jupyter.page(f"lab/tree/{LAB.assignment}/{LAB.name}.ipynb"))
    ready = "return !!(window.jupyterapp && document.querySelector('.jp-Notebook .jp-Cell'))"
    wait_for(browser, lambda b: b.execute_script(ready))
    wait_for(browser, lambda b: "Idle" in b.find_element(By.TAG_NAME, "body").text)

    assert "official Jupyter news" not in browser.find_element(By.TAG_NAME, "body").text

    run_all(browser)
    wait_for(browser, lambda b: any("answered 404" in text for text in tables(b)))
    wait_for(browser, lambda b: any("blocked" in text for text in tables(b)))
    screenshot("learner-failed")

    # The learner writes a server in JupyterLab's editor, whose save is this request.
    path = f"{jupyter.url}/api/contents/{LAB.assignment}/{LAB.name}/serve.py"
    saved = httpx.put(
        path,
        headers={"Authorization": f"token {jupyter.token}"},
        content=json.dumps(
            {"type": "file", "format": "text", "content": (REFERENCE / "serve.py").read_text()}
        ),
    )
    assert saved.status_code == 200
    run_all(browser)
    wait_for(browser, lambda b: any("12 of 12 kinds answered 422" in text for text in tables(b)))
    assert any("200 of 200 within 0.001" in text for text in tables(browser))
    body = browser.find_element(By.TAG_NAME, "body").text
    assert "Traceback" not in body
    screenshot("learner-passed")

    kept = json.loads((learn / ".workbook" / "results" / "week11-fastapi_server.report.json").read_text())
    assert {o["check"]: o["verdict"] for o in kept["outcomes"]} == {
        "predictions": "passed",
        "rejects_bad_input": "passed",
    }


def test_the_seed_stays_as_it_was_handed_out(learn):
    handed_out = LAB.handout / "seed_server.py"
    assert (learn / LAB.assignment / LAB.name / "seed_server.py").read_bytes() == handed_out.read_bytes()


def test_nothing_of_a_check_stays_in_the_learners_folder(learn):
    folder = learn / LAB.assignment / LAB.name
    assert not list(folder.glob("*.log"))
    assert (folder / "serve.py").is_file()
