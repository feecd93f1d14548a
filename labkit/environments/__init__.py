"""Makes the isolated Python environments on first use.

Runs on the standard library alone, by whatever Python a bare machine has:
`python3 -m labkit.environments core`. Installing is uv's work; this package finds the interpreter, hands
pip's configuration on to uv (which does not read it), chooses where torch comes from, and knows afterwards
in milliseconds that nothing is missing.
"""

from __future__ import annotations

from labkit.environments.environment import REPOSITORY, Environment
from labkit.environments.install import ensure, remove

__all__ = ["REPOSITORY", "Environment", "ensure", "remove"]
