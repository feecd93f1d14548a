"""All attacks, by name."""

from attacks import programs, submissions
from attacks.attack import ATTACKS, LOOT, Attack

__all__ = ["ATTACKS", "LOOT", "Attack", "programs", "submissions"]
