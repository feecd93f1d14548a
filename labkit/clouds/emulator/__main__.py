"""AWS on loopback: `python -m labkit.clouds.emulator FOLDER [PORT]`, by moto, with our patches.

The folder gets `port` and, when everything answers, `pid`. What the account holds lives in memory alone.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from types import FrameType

# Before moto reads it: without the managed policies, a role for EKS can't be given one.
os.environ["MOTO_IAM_LOAD_MANAGED_POLICIES"] = "true"

from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import make_server

from labkit.clouds.emulator import patches, refusals


class QuietHandler(MotoRequestHandler):  # type: ignore[misc]  # moto is not in this environment
    """Says nothing of each request."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Nothing."""


def write(path: Path, text: str) -> None:
    """Write a file in one step."""
    draft = path.with_name(f"{path.name}.draft")
    draft.write_text(text)
    draft.replace(path)


def main() -> None:
    """Serve until SIGTERM."""
    folder = Path(sys.argv[1])
    port = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    patches.apply()
    dispatcher = DomainDispatcherApplication(refusals.answering(create_backend_app))
    server = make_server(
        "127.0.0.1", port, refusals.Refusing(dispatcher), threaded=True, request_handler=QuietHandler
    )
    signal.signal(signal.SIGTERM, _leave)
    write(folder / "port", str(server.server_port))
    write(folder / "pid", str(os.getpid()))
    server.serve_forever()


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)


if __name__ == "__main__":
    main()
