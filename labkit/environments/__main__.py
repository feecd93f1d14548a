"""`python3 -m labkit.environments NAME...` makes environments; `... lock NAME...` pins them."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

sys.dont_write_bytecode = True  # root's first run must not leave files that another user can't renew

from labkit.environments import interpreters  # noqa: E402
from labkit.environments.environment import REPOSITORY, Environment  # noqa: E402
from labkit.errors import WorkbookError  # noqa: E402


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python3 -m labkit.environments", description=__doc__)
    parser.add_argument("names", nargs="*", default=["core"], metavar="NAME", help="core unless named")
    parser.add_argument("--python", help="the interpreter to make them from")
    parser.add_argument("--upgrade", action="store_true", help="with lock: take the newest versions")
    parser.add_argument("--root", type=Path, default=REPOSITORY, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    try:
        if sys.version_info < (3, 11):  # noqa: UP036 (an older Python may start this: it hands over)
            command = [str(interpreters.find(options.python).executable), "-m", "labkit.environments"]
            os.execv(command[0], command + (sys.argv[1:] if arguments is None else arguments))  # noqa: S606
        from labkit.environments.install import ensure

        names = options.names
        if names[0] == "lock":
            return _lock(names[1:] or ["core"], options.root.resolve(), upgrade=options.upgrade)
        for name in names:
            ensure(name, root=options.root, wanted=options.python)
    except WorkbookError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted. The same command begins again, cleanly.", file=sys.stderr)
        return 130
    return 0


def _lock(names: list[str], root: Path, *, upgrade: bool) -> int:
    from labkit.environments.install import ensure
    from labkit.environments.lock import lock

    uv = Environment("core", root).path / "bin" / "uv"
    if not uv.exists():
        ensure("core", root=root)
    for name in names:
        changed = lock(name, root=root, uv=uv, upgrade=upgrade)
        print(f"environments/{name}.txt {'has changed' if changed else 'is as it was'}.", file=sys.stderr)
    if "core" in names:
        from labkit.environments import conda

        conda.write(root)
    return 0


if __name__ == "__main__":
    sys.exit(main())
