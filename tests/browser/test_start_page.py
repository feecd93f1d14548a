"""START_HERE in a real JupyterLab: it opens first, its cells run, its link opens the lab; so does a card."""

from __future__ import annotations

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from autograder.workspace import START_PAGE, make_copy
from labkit.course import Course, find_course
from labkit.models.store import models_folder, prepare

pytestmark = [pytest.mark.browser, pytest.mark.nightly]

REAL = find_course()


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """The real course with a learner's copy of its own."""
    prepare(models_folder() / "digits", say=lambda _: None)
    root = tmp_path_factory.mktemp("home") / "course"
    root.mkdir()
    for name in ("weeks", "projects", "build", "environments"):
        if (REAL.root / name).exists():
            (root / name).symlink_to(REAL.root / name, target_is_directory=True)
    made = Course(root)
    make_copy(made)
    return made


def test_it_shows_what_is_next_and_leads_there(browser, jupyter_server, course, screenshot):
    server = jupyter_server(course.learn)
    browser.set_window_size(1300, 2400)  # JupyterLab takes cells that are out of sight out of the page
    browser.get(server.page(f"lab/tree/{START_PAGE}.ipynb"))
    wait = WebDriverWait(browser, 40)
    ready = "return !!(window.jupyterapp && document.querySelector('.jp-Notebook .jp-Cell'))"
    wait.until(lambda b: b.execute_script(ready))
    idle = "return document.querySelector('.jp-Notebook-ExecutionIndicator')?.dataset.status === 'idle'"
    wait.until(lambda b: b.execute_script(idle))
    # JupyterLab's commands are for what has the focus, and where the machine is slow, nothing has it yet.
    browser.find_element(By.CSS_SELECTOR, ".jp-Notebook .jp-Cell").click()
    browser.execute_script("window.jupyterapp.commands.execute('notebook:run-all-cells')")
    table = wait.until(lambda b: b.find_element(By.CSS_SELECTOR, ".jp-Notebook table[role=table]"))
    wait.until(lambda b: "cores" in b.find_element(By.CSS_SELECTOR, ".jp-Notebook").text)
    assert "Next: " in browser.find_element(By.CSS_SELECTOR, ".jp-Notebook").text
    screenshot("start-here")

    first = course.labs[0]
    link = table.find_element(By.CSS_SELECTOR, f"a[href*='{first.name}']")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", link)
    link.click()
    wait.until(lambda b: f"{first.name}.ipynb" in b.find_element(By.CSS_SELECTOR, "#jp-main-dock-panel").text)


def test_the_launcher_has_cards_that_lead_there_and_say_how_far_one_is(browser, screenshot):
    wait = WebDriverWait(browser, 40)

    def card(words):
        found = browser.find_elements(
            By.XPATH, f"//div[contains(@class, 'jp-LauncherCard')][.//p[text()='{words}']]"
        )
        return next((each for each in found if each.is_displayed()), None)

    browser.execute_script("window.jupyterapp.commands.execute('launcher:create')")
    for words in ("Start here", "My progress", "This machine"):
        wait.until(lambda _, words=words: card(words))
    screenshot("launcher")
    card("My progress").click()
    wait.until(lambda b: b.find_elements(By.CSS_SELECTOR, ".jp-Terminal .xterm-screen"))
    screenshot("launcher-progress")
    browser.execute_script("window.jupyterapp.commands.execute('launcher:create')")
    wait.until(lambda _: card("Start here")).click()
    front = "return window.jupyterapp.shell.currentWidget?.title.label"
    wait.until(lambda b: b.execute_script(front) == f"{START_PAGE}.ipynb")
