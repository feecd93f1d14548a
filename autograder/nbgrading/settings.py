"""Where nbgrader's folders lie, and how nbgrader is set up: one place for the command line and formgrader."""

from __future__ import annotations

import logging
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbgrader
from traitlets.config import Config

from autograder.classroom import late
from autograder.notebooks import ANSWER_STUB
from labkit.course import Course

if TYPE_CHECKING:
    from nbgrader.apps.api import NbGraderAPI

_TEMPLATES = Path(__file__).parent / "templates"
NBGRADER_TEMPLATES = Path(nbgrader.__file__).parent / "server_extensions" / "formgrader" / "templates"
COURSE_ID = "ml-infrastructure"
CODE_STUB = "# Write your code here.\nraise NotImplementedError"


@dataclass(frozen=True)
class Folders:
    """nbgrader's tree below the course's build folder.

    Attributes:
        root: nbgrader's course directory.
    """

    root: Path

    @classmethod
    def of(cls, course: Course) -> Folders:
        """The tree of a course."""
        return cls((course.build / "nbgrader").resolve())

    @property
    def gradebook_url(self) -> str:
        """The gradebook, as SQLAlchemy names it."""
        return f"sqlite:///{self.root / 'gradebook.db'}"

    @property
    def exports(self) -> Path:
        """Where the CSV files go."""
        return self.root / "exports"

    def source(self, assignment: str) -> Path:
        """The instructor's version, laid by `make notebooks`."""
        return self.root / "source" / assignment

    def release(self, assignment: str) -> Path:
        """The learners' version."""
        return self.root / "release" / assignment

    def submitted(self, learner: str, assignment: str) -> Path:
        """What a learner handed in."""
        return self.root / "submitted" / learner / assignment

    def autograded(self, learner: str, assignment: str) -> Path:
        """What was made of it: formgrader shows this."""
        return self.root / "autograded" / learner / assignment

    def feedback(self, learner: str, assignment: str) -> Path:
        """The pages that go back to the learner."""
        return self.root / "feedback" / learner / assignment

    def own_word(self, learner: str, assignment: str) -> Path:
        """What a learner's own copy said of itself when it was handed in."""
        return self.root / "own_words" / assignment / f"{learner}.json"

    @property
    def grading(self) -> Path:
        """What runs of grading leave for each other."""
        return self.root / "grading"

    def result(self, learner: str, assignment: str) -> Path:
        """The record of one submission's grading."""
        return self.root / "results" / assignment / f"{learner}.json"


def configure(config: Config, repository: Path) -> None:
    """Set nbgrader up for the course in `repository`, in place."""
    put_tools_on_path()
    folders = Folders.of(Course(repository))
    folders.root.mkdir(parents=True, exist_ok=True)
    _configure(config, folders)
    late.configure(config, repository)


def _configure(config: Config, folders: Folders) -> None:
    config.CourseDirectory.root = str(folders.root)
    config.CourseDirectory.course_id = COURSE_ID
    config.CourseDirectory.db_url = folders.gradebook_url
    config.ClearSolutions.text_stub = ANSWER_STUB
    config.ClearSolutions.code_stub = {"python": CODE_STUB}
    config.FormgradeExtension.debug = False  # formgrader would print this configuration above its first page
    config.GenerateFeedback.exporter_class = "autograder.nbgrading.feedback_page.FeedbackExporter"
    config.FeedbackExporter.extra_template_basedirs = [str(_TEMPLATES), str(NBGRADER_TEMPLATES)]
    config.GenerateFeedback.preprocessors = [
        "autograder.nbgrading.feedback_page.Grades",
        "nbconvert.preprocessors.CSSHTMLHeaderPreprocessor",
    ]
    # nbgrader's own `autograde`, formgrader's lightning bolt too, would run the learner's notebook together
    # with its checks. Both go the way of `workbook grade` instead.
    config.Autograde.sanitize_preprocessors = ["autograder.nbgrading.handover.KeepAsSubmitted"]
    config.Autograde.autograde_preprocessors = ["autograder.nbgrading.handover.GradeFromOutside"]
    config.ExchangeFactory.collect = "autograder.nbgrading.exchange.CollectPlainFiles"
    config.Autograde.exclude_overwriting = _handed_out(folders.root / "source")


def put_tools_on_path() -> None:
    """Let nbgrader find `alembic`, which it calls by name, where no environment is activated."""
    if shutil.which("alembic") is None:
        os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])


def _handed_out(source: Path) -> dict[str, list[str]]:
    """The files of each assignment that learners edit: nbgrader would put the stubs back over them."""
    return {
        assignment.name: sorted(
            str(path.relative_to(assignment))
            for path in assignment.rglob("*")
            if path.is_file() and path.suffix != ".ipynb"
        )
        for assignment in sorted(source.glob("*"))
    }


def nbgrader_api(course: Course) -> NbGraderAPI:
    """The interface of nbgrader itself, set up for the course."""
    from nbgrader.apps.api import NbGraderAPI

    logging.disable(logging.CRITICAL)  # it says on every start that there is no exchange, if there is none
    try:
        return NbGraderAPI(config=nbgrader_config(course))
    finally:
        logging.disable(logging.NOTSET)


def nbgrader_config(course: Course) -> Config:
    """The settings as nbgrader's classes take them."""
    config: Any = Config()
    configure(config, course.root)
    config.NbGraderAPI.log_level = "ERROR"
    return config


def lay_config(course: Course) -> None:
    """Put a configuration into nbgrader's course directory, for a JupyterLab that starts there."""
    folders = Folders.of(course)
    folders.root.mkdir(parents=True, exist_ok=True)
    (folders.root / "nbgrader_config.py").write_text(
        "# Written by `workbook release`; the settings stand in autograder/nbgrading/settings.py.\n"
        "from pathlib import Path\n\n"
        "from autograder.nbgrading.settings import configure\n\n"
        "configure(get_config(), Path(__file__).resolve().parent.parent.parent)\n"
    )
