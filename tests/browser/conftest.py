"""A real browser and a real JupyterLab for the tests that look at pages."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from autograder.commands.lab import jupyter_settings
from labkit.processes import Process

REPOSITORY = Path(__file__).resolve().parents[2]
TOKEN = "a-token-for-this-test"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """Headless Chromium that reaches loopback only."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("Chromium and its driver are not installed (apt-get install chromium chromium-driver).")
    profile = tmp_path_factory.mktemp("chromium")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in (
        "--headless=new",
        "--no-sandbox",  # Chromium's own sandbox does not work for root; the pages are ours
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--window-size=1300,900",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        f"--user-data-dir={profile}",
    ):
        options.add_argument(argument)
    chrome = webdriver.Chrome(
        options=options, service=Service(driver, log_output=str(profile / "driver.log"))
    )
    chrome.set_page_load_timeout(60)
    yield chrome
    chrome.quit()


@dataclass(frozen=True)
class Jupyter:
    """A running JupyterLab.

    Attributes:
        url: Where it answers, without a slash at the end.
        token: What opens it.
        process: It, and all that it started.
    """

    url: str
    token: str
    process: Process

    def page(self, path: str) -> str:
        """The address of a page, with the token."""
        return f"{self.url}/{path.lstrip('/')}{'&' if '?' in path else '?'}token={self.token}"

    def get(self, path: str) -> httpx.Response:
        """What the server answers to a request of its own interface."""
        return httpx.get(f"{self.url}/{path.lstrip('/')}", headers={"Authorization": f"token {self.token}"})


@pytest.fixture(scope="module")
def jupyter_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Path], Jupyter]]:
    """Starts JupyterLab in a folder, apart from the person's own settings; all are stopped at the end."""
    started: list[Process] = []

    def start(folder: Path) -> Jupyter:
        home = tmp_path_factory.mktemp("jupyter")
        port = _free_port()
        process = Process(
            [
                *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"),
                *("--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}", "--ServerApp.port_retries=0"),
                *(f"--IdentityProvider.token={TOKEN}", f"--ServerApp.root_dir={folder}"),
                "--LabApp.expose_app_in_browser=True",
            ],
            cwd=folder,
            log=home / "log",
            environment={
                **jupyter_settings(),
                "HOME": str(home),
                "JUPYTER_CONFIG_DIR": str(home / "config"),
                "JUPYTER_DATA_DIR": str(home / "data"),
                "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
                "IPYTHONDIR": str(home / "ipython"),
                "PYTHONPATH": os.pathsep.join(
                    filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH", "")])
                ),
            },
        )
        started.append(process)
        server = Jupyter(f"http://127.0.0.1:{port}", TOKEN, process)
        _wait(server)
        return server

    yield start
    for process in started:
        process.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait(server: Jupyter, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if server.process.exit_code is not None:
            break
        try:
            if server.get("api/status").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    pytest.fail("JupyterLab did not start:\n" + "\n".join(server.process.last_lines(40)))


@pytest.fixture(scope="module")
def screenshot(browser: webdriver.Chrome) -> Callable[[str], Path]:
    """Keeps a picture of the whole page in build/screenshots."""

    def take(name: str) -> Path:
        path = REPOSITORY / "build" / "screenshots" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        size = browser.get_window_size()
        height = browser.execute_script("return document.documentElement.scrollHeight")
        browser.set_window_size(size["width"], min(max(height + 140, 500), 6000))
        try:
            browser.save_screenshot(str(path))
        finally:
            browser.set_window_size(size["width"], size["height"])
        return path

    return take
