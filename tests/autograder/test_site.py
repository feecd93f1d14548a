"""The site's tree: labs with the outputs of their last run, never with a solution; no loose ends."""

from __future__ import annotations

import nbformat
import pytest
import yaml

from autograder.notebooks import derive
from autograder.site import lay_site


@pytest.fixture
def course(small_course):
    small_course.write("docs/index.md", "# Here\n\n[How](../CONTRIBUTING.md) and [a guide](tour.md).\n")
    small_course.write("docs/tour.md", "# A tour\n")
    small_course.write("docs/pictures/none.txt", "")
    return small_course


def executed(course, *, edited: bool = False):
    """What a run leaves: outputs in place, the parameters of the run injected, an error in a check cell."""
    notebook = derive(course.adding)
    for number, cell in enumerate(c for c in notebook.cells if c.cell_type == "code"):
        cell.outputs = [nbformat.v4.new_output("stream", text=f"output {number}")]
    injected = nbformat.v4.new_code_cell("FAST = True", metadata={"tags": ["injected-parameters"]})
    notebook.cells.insert(2, injected)
    if edited:
        notebook.cells[0].source += " changed since"
    target = course.build / "run" / course.adding.assignment / f"{course.adding.name}.ipynb"
    target.parent.mkdir(parents=True)
    nbformat.write(notebook, target)


def page(course):
    folder = lay_site(course)
    return nbformat.read(folder / course.adding.assignment / f"{course.adding.name}.ipynb", as_version=4)


def test_a_run_s_outputs_are_shown_and_its_solutions_are_not(course):
    executed(course)
    shown = page(course)
    outputs = [cell.outputs[0].text for cell in shown.cells if cell.cell_type == "code"]
    assert outputs == [f"output {number}" for number in range(len(outputs))]
    assert "doubled_by_addition" not in nbformat.writes(shown)
    assert "FAST = True" not in nbformat.writes(shown)


@pytest.mark.parametrize("ran_before_an_edit", [False, True])
def test_without_a_run_of_this_notebook_it_is_shown_as_handed_out(course, ran_before_an_edit):
    if ran_before_an_edit:
        executed(course, edited=True)
    shown = page(course)
    assert "as it is handed out" in shown.cells[1].source
    assert not any(cell.get("outputs") for cell in shown.cells)


def test_the_contents_name_what_is_there(course):
    folder = lay_site(course)
    parts = yaml.safe_load((folder / "_toc.yml").read_text())["parts"]
    files = [chapter["file"] for part in parts for chapter in part["chapters"]]
    assert files == [f"{course.adding.assignment}/{course.adding.name}", "tour"]
    assert (folder / "index.md").read_text() == "# Here\n\nHow and [a guide](tour.md).\n"
