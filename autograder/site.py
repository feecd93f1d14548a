"""Lays the tree that Jupyter Book builds the site from: guides, and each lab as it looks when it was run.

A lab's page is its executed notebook where `make course` or `workbook run` left one, with its plots and
without the solutions; else the notebook as learners get it. Nothing is executed while the site is built.

    python -m autograder.site        # lays build/site
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import nbformat
import yaml
from nbformat import NotebookNode

from autograder.files import write_atomically
from autograder.notebooks import derive
from autograder.release import release_notebook
from autograder.sources import BEGIN_SOLUTION, END_SOLUTION
from labkit.course import Course, Lab, find_course

GUIDES = {
    "Learning": ["tour", "learner"],
    "Teaching": ["instructor", "grading", "isolation"],
    "Measuring and running": [
        *("measuring", "monitoring", "engines", "clusters", "clouds", "platform", "serving-comparison"),
    ],
    "Writing": ["author", "backends"],
    "About": ["first-notes", "resources", "tried-on"],
}
"""The guides by the site's parts, in order; those that are not written are left out."""

_WEEKS = {
    "week09_containers": "Week 9: containers",
    "week10_kubernetes": "Week 10: Kubernetes",
    "week11_serving": "Week 11: model serving",
    "week12_iac": "Week 12: infrastructure as code",
    "project1_production_service": "Project 1: a production service",
    "project2_multicloud_platform": "Project 2: a multi-cloud platform",
}
_SOLUTION = re.compile(rf"[ ]*{BEGIN_SOLUTION}\n.*?{END_SOLUTION}\n?", re.DOTALL)
_NOT_RUN = (
    "*This page shows the notebook as it is handed out. `make course` runs it; a site that is built "
    "afterwards shows its plots.*"
)


def lay_site(course: Course) -> Path:
    """Lay `build/site` afresh; gives the folder.

    Args:
        course: Whose labs and guides.
    """
    folder = course.build / "site"
    shutil.rmtree(folder, ignore_errors=True)
    docs = course.root / "docs"
    for page in sorted(docs.glob("*.md")):
        # A link out of docs/ leads into the repository, which is not a part of the site.
        write_atomically(folder / page.name, _without_outward_links(page.read_text()).encode())
    shutil.copytree(docs / "pictures", folder / "pictures")
    for lab in course.labs:
        text = nbformat.writes(_page(course, lab)).rstrip("\n") + "\n"
        write_atomically(folder / lab.assignment / f"{lab.name}.ipynb", text.encode())
    write_atomically(folder / "_toc.yml", yaml.safe_dump(_contents(course), sort_keys=False).encode())
    write_atomically(folder / "_config.yml", yaml.safe_dump(_CONFIG, sort_keys=False).encode())
    return folder


def _page(course: Course, lab: Lab) -> NotebookNode:
    """The lab's notebook for the site: with the outputs of its last run, without solutions."""
    ran = course.build / "run" / lab.assignment / f"{lab.name}.ipynb"
    released = release_notebook(derive(lab))
    texts = [_without_solutions(cell) for cell in derive(lab).cells]
    if ran.is_file():
        executed = nbformat.read(ran, as_version=4)
        cells = [
            cell for cell in executed.cells if "injected-parameters" not in cell.metadata.get("tags", [])
        ]
        if [_without_solutions(cell) for cell in cells] == texts:
            for shown, cell in zip(released.cells, cells, strict=True):
                if cell.cell_type == "code":
                    shown.outputs = [output for output in cell.outputs if output.output_type != "error"]
            return released
    released.cells.insert(1, nbformat.v4.new_markdown_cell(_NOT_RUN))
    return released


def _without_solutions(cell: NotebookNode) -> str:
    return _SOLUTION.sub("", cell.source)


def _without_outward_links(text: str) -> str:
    return re.sub(r"\[([^\]]*)\]\((?:\.\./)[^)]*\)", r"\1", text)


def _contents(course: Course) -> dict[str, Any]:
    docs = course.root / "docs"
    parts: list[dict[str, Any]] = [
        {
            "caption": _WEEKS.get(assignment, assignment),
            "chapters": [{"file": f"{assignment}/{lab.name}"} for lab in labs],
        }
        for assignment, labs in course.assignments.items()
    ]
    for caption, names in GUIDES.items():
        chapters = [{"file": name} for name in names if (docs / f"{name}.md").is_file()]
        if chapters:
            parts.append({"caption": caption, "chapters": chapters})
    return {"format": "jb-book", "root": "index", "parts": parts}


_CONFIG: dict[str, Any] = {
    "title": "Infrastructure & Deployment for Machine Learning",
    "author": "",
    "copyright": "",
    "logo": "",
    "only_build_toc_files": True,
    "execute": {"execute_notebooks": "off"},
    "html": {
        "use_issues_button": False,
        "use_repository_button": False,
        "home_page_in_navbar": True,
        "extra_footer": "",
    },
    "launch_buttons": {"notebook_interface": "", "binderhub_url": ""},
    "parse": {"myst_enable_extensions": ["colon_fence"]},
    "sphinx": {
        "recursive_update": True,
        "config": {
            "html_theme_options": {"navbar_persistent": []},  # one search box is enough
            "html_show_copyright": False,
            "html_show_sphinx": False,
            "suppress_warnings": ["mystnb.unknown_mime_type"],
            # Everything that a page needs lies beside it: the site is read without a network.
            "html_js_files": [],
            "language": "en",
        },
    },
}


if __name__ == "__main__":
    print(lay_site(find_course()))
