"""Attacks by what is handed in: files that are no files, names, notebooks, and the pages made of them."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import nbformat
from attacks.attack import ATTACKS, Tamper, attack
from tiny_course import CELLS

# ---- pages ------------------------------------------------------------------------------------------------

attack(
    "script_in_outputs",
    "from IPython.display import HTML, Javascript, SVG, display\n"
    "display(HTML('<script>steal()</script><img src=x onerror=steal()>'), Javascript('steal()'))\n"
    "display({{'text/html': '<svg onload=steal()>', 'application/javascript': 'steal()', 'text/markdown': '<b onclick=steal()>',\n"
    "         'image/svg+xml': '<svg onload=steal()>', 'application/vnd.jupyter.widget-view+json': {{'model_id': 'x'}},\n"
    "         'image/png': 'iVBORw0KGgo=\"><script>steal()</script>', 'text/latex': '\\\\href{{javascript:steal()}}{{x}}'}}, raw=True)\n"
    "print('<script>steal()</script>\\x1b]0;title\\x07\\x1b[2J')\n"
    "raise ValueError('<script>steal()</script>')",
)


# ---- what is handed in ------------------------------------------------------------------------------------


def _notebook(folder: Path) -> Path:
    return folder / f"{CELLS}.ipynb"


def _change(change: Callable[[nbformat.NotebookNode], None]) -> Tamper:
    def tamper(folder: Path) -> None:
        notebook = nbformat.read(_notebook(folder), as_version=4)
        change(notebook)
        _notebook(folder).write_text(json.dumps(notebook))

    return tamper


def _links_handed_in(folder: Path) -> None:
    (folder / "outside").symlink_to("/etc")
    (folder / CELLS / "made.txt").symlink_to("/etc/passwd")
    (folder / "loop").symlink_to("loop")


def _too_big(folder: Path) -> None:
    with _notebook(folder).open("w") as file:
        file.write('{"nbformat": 4, "cells": [], "metadata": {"x": "' + "y" * 60_000_000 + '"}}')


def _hostile_metadata(notebook: nbformat.NotebookNode) -> None:
    notebook.metadata["widgets"] = {
        "application/vnd.jupyter.widget-state+json": {"state": "<script>steal()</script>"}
    }
    notebook.metadata["title"] = "</title><script>steal()</script>"
    notebook.metadata["kernelspec"] = {
        "name": "</script><script>steal()",
        "display_name": "x",
        "language": "x",
    }
    for cell in notebook.cells:
        cell.metadata["nbgrader"] = {**cell.metadata.get("nbgrader", {}), "points": 1000, "grade": True}


def _hostile_cells(notebook: nbformat.NotebookNode) -> None:
    """Cells of other kinds, names, tags, attachments, and widgets as Jupyter saves them."""
    view = {"application/vnd.jupyter.widget-view+json": {"model_id": "m", "version_major": 2}}
    model = {
        "model_name": "HTMLModel",
        "model_module": "@jupyter-widgets/controls",
        "model_module_version": "2.0.0",
        "state": {"value": "<img src=x onerror=steal()>"},
    }
    state = {"version_major": 2, "version_minor": 0, "state": {"m": model}}
    notebook.metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": state}
    page = {"text/html": ["<script>", "steal()</script>"], "text/plain": "x"}
    outputs = [
        nbformat.v4.new_output("display_data", data={**view, **page}),
        nbformat.v4.new_output("stream", name='x"><script>steal()</script>', text="<script>steal()</script>"),
        nbformat.v4.new_output(
            "error", ename="<script>steal()</script>", evalue="", traceback=["<b onclick=steal()>"]
        ),
    ]
    tags = {"tags": ['x" onmouseover="steal()', "<script>steal()</script>"]}
    raw = {"raw_mimetype": "text/html", "format": "text/html", **tags}
    picture = {"x.svg": {"image/svg+xml": "PHN2ZyBvbmxvYWQ9c3RlYWwoKT4="}}
    notebook.cells += [
        nbformat.v4.new_raw_cell("<script>steal()</script><img src=x onerror=steal()>", metadata=raw),
        nbformat.v4.new_raw_cell("&lt;script&gt;steal()&lt;/script&gt;"),
        nbformat.v4.new_code_cell("1", outputs=outputs, metadata=tags),
        nbformat.v4.new_markdown_cell("![x](attachment:x.svg)", attachments=picture, metadata=tags),
        nbformat.v4.new_markdown_cell(
            "$\\href{javascript:steal()}{x}$ <iframe srcdoc='<script>steal()</script>'></iframe>"
        ),
        nbformat.v4.new_markdown_cell(
            "<base href='//x'><style>*{display:none}</style><form action=javascript:steal()>"
        ),
    ]


def _path_tricks(folder: Path) -> None:
    for name in (
        *(
            "..\\..\\canary",
            "%2e%2e%2fcanary",
            "....",
            ".. ",
            "~",
            "$HOME",
            "C:\\canary",
            "CON.txt",
            "*",
            "-rf",
        ),
        *(
            "--checkpoint-action=exec=touch canary",
            "$(touch canary)",
            ";touch canary;.txt",
            "`touch canary`.ipynb",
        ),
        *(
            "..\uff0f..\uff0fcanary",
            "\u2025\u2215canary",
            "m\u0430de.txt",
            "caf\u00e9",
            "cafe\u0301",
            "\u202egpj.exe",
        ),
        *("\x1b]0;title\x07", "two\nlines.ipynb", "a" * 255, "=1+1.csv", "<script>steal()</script>.ipynb"),
    ):
        with suppress(OSError):
            (folder / name.replace("/", "\u2215")).write_text("touch canary")
    os.close(os.open(os.fsencode(folder) + b"/\xff\xfe.ipynb", os.O_CREAT))


def _zip_bomb(folder: Path) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join([*(packer.compress(bytes(1 << 20)) for _ in range(64)), packer.flush()])
    _notebook(folder).write_bytes(bomb)
    for name in ("answers.zip", "weights.npz", "image.tar.gz"):
        (folder / CELLS / name).write_bytes(bomb)


def _hostile_markdown(notebook: nbformat.NotebookNode) -> None:
    for number, text in enumerate(
        (
            "<script>steal()</script><img src=x onerror=steal()>",
            "[a](javascript:steal()) [b](javascript&#58;steal()) [c](java&#x73;cript&colon;steal())",
            "[d](javascript\\:steal()) [e](<java\tscript:steal()>) [f](&#1;javascript:steal())",
            "[g][h]\n\n[h]: javascript&amp;#58;steal()\n\n<javascript:steal()>",
            '&lt;script&gt;steal()&lt;/script&gt; ![x](x"onerror="steal\\(\\))',
            "<!-- --!><script>steal()</script>\n\n```html\n<script>steal()</script>\n```",
        )
    ):
        notebook.cells.insert(0, nbformat.v4.new_markdown_cell(text, id=f"bad-{number}"))


attack("zip_bomb_for_a_notebook", "pass", "invalid", tamper=_zip_bomb)
attack("path_tricks_in_names", tamper=_path_tricks)
attack("links_handed_in", tamper=_links_handed_in)
attack("notebook_of_60_mb", "pass", "invalid", tamper=_too_big)
attack("not_json", "pass", "invalid", tamper=lambda folder: _notebook(folder).write_text("{") and None)
attack(
    "nested_json",
    "pass",
    "invalid",
    tamper=lambda folder: _notebook(folder).write_text("[" * 100_000) and None,
)
attack("no_notebook", "pass", "missing", tamper=lambda folder: _notebook(folder).unlink())
attack("hostile_metadata", tamper=_change(_hostile_metadata))
attack("hostile_cells", tamper=_change(_hostile_cells))
attack("hostile_markdown", tamper=_change(_hostile_markdown))

PAGES = {
    name: ATTACKS[name]
    for name in ("script_in_outputs", "hostile_metadata", "hostile_cells", "hostile_markdown")
}
"""Those that would run script in a page; each calls `steal()`."""
