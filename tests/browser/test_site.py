"""The site, built and looked at: nothing from elsewhere, no breach of WCAG 2 that axe-core finds."""

from __future__ import annotations

import functools
import http.server
import json
import subprocess
import sys
import threading

import pytest
from axe_selenium_python import Axe

from autograder.site import lay_site
from labkit.course import find_course
from labkit.environments import ensure
from labkit.models.store import models_folder, prepare

pytestmark = [pytest.mark.browser, pytest.mark.nightly]

COURSE = find_course()
# What the guidelines ask (WCAG 2, A and AA); axe-core's own advice on how pages are built concerns the theme.
_OPTIONS = json.dumps({"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa"]}})
PAGES = ("index.html", "learner.html", "first-notes.html", "week11_serving/01_fastapi_server.html")


@pytest.fixture(scope="module")
def site():
    """The built site, served on loopback; gives its address and the paths that were asked for."""
    prepare(models_folder() / "digits", say=lambda _: None)
    folder = lay_site(COURSE)
    jupyter_book = ensure("docs").path / "bin" / "jupyter-book"
    subprocess.run([jupyter_book, "build", "--quiet", folder], check=True, timeout=300, stdout=sys.stderr)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            """Say nothing."""

    handler = functools.partial(Quiet, directory=str(folder / "_build" / "html"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("page", PAGES)
def test_everybody_can_read_it(browser, site, screenshot, page, scheme):
    browser.get(f"{site}/{page}")
    browser.execute_script(
        f"localStorage.setItem('mode', '{scheme}'); localStorage.setItem('theme', '{scheme}')"
    )
    browser.get(f"{site}/{page}")
    screenshot(f"site-{page.replace('/', '-').removesuffix('.html')}-{scheme}")
    axe = Axe(browser)
    axe.inject()
    found = axe.run(options=_OPTIONS)["violations"]
    said = [f"{each['id']}: {each['nodes'][0]['html'][:300]}" for each in found]
    assert not said, "\n".join(said)


def test_nothing_comes_from_elsewhere(browser, site):
    browser.get(f"{site}/{PAGES[-1]}")
    names = "return performance.getEntriesByType('resource').map(entry => entry.name)"
    assert [name for name in browser.execute_script(names) if not name.startswith(site)] == []
