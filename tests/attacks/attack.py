"""What an attack is: what it puts into its submission, and how its grading may end.

Nobody of them hands in a right answer, so whoever gets a point has forged it. `LOOT` is the file that each
writes what it could get hold of into; `{...}` stands for places that an attacker is assumed to know.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tiny_course import CELLS

LOOT = "loot.txt"
Tamper = Callable[[Path], None]


@dataclass(frozen=True)
class Attack:
    """One hostile submission.

    Attributes:
        code: What the notebook's exercise runs.
        ends: The statuses that its grading may end in.
        tamper: What is done to the folder that is handed in.
        slow: Whether it lasts as long as a notebook may.
    """

    code: str = "pass"
    ends: tuple[str, ...] = ("graded",)
    tamper: Tamper | None = None
    slow: bool = False


ATTACKS: dict[str, Attack] = {}
PRELUDE = f"""
import os, sys, time, subprocess, pathlib
def loot(text):
    with open("{CELLS}/{LOOT}", "a") as file:
        file.write(str(text) + "\\n")
def attempt(action):
    try:
        return action()
    except BaseException as error:
        return None
"""


def attack(
    name: str, code: str = "pass", *ends: str, tamper: Tamper | None = None, slow: bool = False
) -> None:
    """Add one."""
    ATTACKS[name] = Attack(PRELUDE + code, ends or ("graded",), tamper, slow)
