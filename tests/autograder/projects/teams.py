"""A sample team's submission to each project at three levels: the rubrics' answers, one over the other."""

from __future__ import annotations

import shutil
from pathlib import Path

from autograder.answers import answers_of
from autograder.loading import load_rubric
from labkit.course import Lab, find_course

LEVELS = ("good", "weaker", "wrong")
TEAMS = {
    "project1": {
        "good": ["reference"],
        # It answers well; but it never scales, and releases whatever comes.
        "weaker": ["reference", "wrong_min_is_max", "wrong_blind_switch"],
        # Besides, its answers are wrong, and its alerts come when the month's budget is gone.
        "wrong": ["reference", "wrong_min_is_max", "wrong_blind_switch", "wrong_constant", "wrong_late"],
    },
    "project2": {
        "good": ["reference"],
        # Training and registry hold; but it plans by the price of an hour, and its edge forgets its model.
        "weaker": ["reference", "wrong_cheapest_hour", "wrong_memory_only"],
        # Besides, it takes damaged bytes for sound ones, and two promoters both win.
        "wrong": ["reference", "wrong_cheapest_hour", "wrong_trusts_bytes", "wrong_read_then_write"],
    },
}


def project(name: str) -> Lab:
    """The lab of a project."""
    return next(lab for lab in find_course().labs if lab.id == name)


def submission(name: str, level: str, target: Path) -> Path:
    """Lay what the team hands in; gives the lab's folder."""
    lab = project(name)
    answers = {answer.name: answer for answer in answers_of(load_rubric(lab))}
    answers["blank"].lay(target)
    ignore = shutil.ignore_patterns("answer.toml", "__pycache__")
    for each in TEAMS[name][level]:
        # Its own files alone: what it lies upon would bury those of the answer before.
        folder = answers[each].folder
        assert folder is not None
        shutil.copytree(folder, target / lab.name, dirs_exist_ok=True, ignore=ignore)
    return target / lab.name
