"""Inside: calls one function for each frame that comes, and answers with a frame.

`python -m labkit.isolation.function_process READ WRITE MODULE:FUNCTION`
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from typing import Any

from labkit.isolation.plain import HEAD, decode, encode


def main(reading: int, writing: int, name: str) -> None:
    """Answer calls until there are no more."""
    sys.path.insert(0, os.environ["WORKBOOK_FOLDER"])
    module, _, function = name.partition(":")
    called: Callable[..., Any] | None = None
    with os.fdopen(reading, "rb") as asked, os.fdopen(writing, "wb") as answers:
        while head := asked.read(HEAD.size):
            arguments = decode(asked.read(*HEAD.unpack(head)))
            try:
                if called is None:
                    called = getattr(importlib.import_module(module), function)
                answer = encode({"value": called(*arguments)})
            except BaseException as error:  # whatever it raises is an answer
                answer = encode({"error": f"{type(error).__name__}: {error}"[:1000]})
            answers.write(answer)
            answers.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
