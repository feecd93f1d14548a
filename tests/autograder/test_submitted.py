"""What of a handed-in notebook may be shown: outputs that stay are text and images, and nothing else."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from typing import Any

import nbformat
import pytest
from PIL import Image

from autograder.nbgrading.submitted import IMAGE_PIXELS, make_harmless, without_tags


def encoded(width: int, height: int, kind: str = "PNG") -> str:
    file = io.BytesIO()
    Image.new("L", (width, height)).save(file, kind)
    return base64.b64encode(file.getvalue()).decode()


def png_that_says(width: int, height: int) -> str:
    """A small file whose header promises an image of that size."""
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunk = struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + chunk).decode()


def shown(data: dict[str, Any]) -> dict[str, Any]:
    """What stays of an output."""
    cell = nbformat.v4.new_code_cell("1", outputs=[nbformat.v4.new_output("display_data", data=data)])
    notebook = nbformat.v4.new_notebook(cells=[cell])
    make_harmless(notebook)
    return dict(cell.outputs[0].data) if cell.outputs else {}


@pytest.mark.parametrize(("kind", "name"), [("image/png", "PNG"), ("image/jpeg", "JPEG")])
def test_images_stay(kind: str, name: str) -> None:
    image = encoded(20, 10, name)
    assert shown({kind: image}) == {kind: image}
    assert shown({kind: f"{image[:40]}\n{image[40:]}\n", "text/html": "<b>"}) == {kind: image}


@pytest.mark.parametrize(
    "image",
    [
        encoded(20, 10) + '"><script>steal()</script>',
        encoded(20, 10)[:40] + '"><b onclick=steal()>' + encoded(20, 10)[40:],
        encoded(20, 10, "JPEG"),  # not of the kind that it says
        "PHN2ZyBvbmxvYWQ9c3RlYWwoKT4=",
        "javascript:steal()",
        "",
        png_that_says(60_000, 60_000),
        png_that_says(IMAGE_PIXELS // 1000, 1001),
        png_that_says(0, 0),
    ],
)
def test_what_is_no_image_of_a_page_s_size_does_not(image: Any) -> None:
    assert shown({"image/png": image}) == {}
    assert shown({"image/png": image, "text/plain": "a figure"}) == {"text/plain": "a figure"}


@pytest.mark.parametrize(
    "kind",
    [
        *("text/html", "text/markdown", "text/latex", "image/svg+xml", "application/javascript"),
        *("application/vnd.jupyter.widget-view+json", "application/pdf", "text/vnd.mermaid"),
    ],
)
def test_nothing_else_stays(kind: str) -> None:
    assert shown({kind: "<script>steal()</script>"}) == {}


def test_a_stream_has_one_of_two_names() -> None:
    outputs = [
        nbformat.v4.new_output("stream", name=name, text="said") for name in ("stderr", 'x"><script>steal()')
    ]
    cell = nbformat.v4.new_code_cell("1", outputs=outputs)
    make_harmless(nbformat.v4.new_notebook(cells=[cell]))
    assert [output.name for output in cell.outputs] == ["stderr", "stdout"]


def test_markdown_reads_as_before_and_holds_no_tag() -> None:
    text = "1 < 2 and a<b>c</b>, [here](https://example.org), *so* & `x`"
    plain = without_tags(text)
    assert plain.replace("\u2060", "") == text
    assert "<b" not in plain
    assert "](https://example.org)" in plain
