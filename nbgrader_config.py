"""What nbgrader, formgrader and JupyterLab read when they start in this folder.

The settings themselves stand in `autograder.nbgrading.settings`, so that the command line uses the same.
"""

from pathlib import Path

from autograder.nbgrading.settings import configure

configure(get_config(), Path(__file__).resolve().parent)  # type: ignore[name-defined]  # noqa: F821
