"""`python -m labkit.serving [NAME ...]` makes frameworks' environments; without names it lists them."""

from __future__ import annotations

import sys

from labkit.errors import WorkbookError
from labkit.serving.choice import backend, backends


def main(names: list[str]) -> int:
    """The command line; returns the exit code."""
    if not names:
        for name, each in sorted(backends().items()):
            print(f"{name:20} {each.title:32} {each.lacks() or 'ready'}")
        return 0
    try:
        for name in names:
            backend(name).make_ready()
    except WorkbookError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
