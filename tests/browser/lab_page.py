"""What tests do in an open JupyterLab: wait, read, run a command of its own."""

from __future__ import annotations

from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait


def focused(browser):
    """JupyterLab's commands are for what has the focus, and where the machine is slow, nothing has it yet."""
    browser.find_element(By.CSS_SELECTOR, ".jp-Notebook .jp-Cell").click()
    return "Idle" in body(browser)


def body(browser):
    return browser.find_element(By.TAG_NAME, "body").text


def command(browser, name, /, **arguments):
    browser.execute_script("window.jupyterapp.commands.execute(arguments[0], arguments[1])", name, arguments)


def tables(browser):
    return [t.text for t in browser.find_elements(By.CSS_SELECTOR, ".jp-Notebook table[role=table]")]


def wait_for(browser, condition, seconds=180):
    passing = [NoSuchElementException, StaleElementReferenceException]
    WebDriverWait(browser, seconds, ignored_exceptions=passing).until(condition)
