"""Inside the environment `pulumi`: says what a program declares, and runs tests on several copies of one.

`python -I pulumi_process.py declared FOLDER MODULE ARGUMENTS`, with the arguments of `build` as JSON, or
`python -I pulumi_process.py tested TEST FOLDER...`. It imports nothing of ours, and answers with one line of
JSON behind `ANSWER`.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import IO, Any

ANSWER = "answer: "
SECONDS = 30.0
_PR_SET_DUMPABLE = 4


def say(answer: dict[str, Any]) -> None:
    """Answer whoever asked."""
    print(f"\n{ANSWER}{json.dumps(answer, default=str)}", flush=True)


def declare(folder: str, module: str, arguments: str) -> None:
    """Say what the program declares."""
    sys.path.insert(0, folder)
    sys.dont_write_bytecode = True
    try:
        found = importlib.import_module("declared").declared(
            importlib.import_module(module).build, **json.loads(arguments)
        )
    except BaseException as error:  # whatever it raises is an answer
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(last.filename).name} line {last.lineno}"
        say({"error": f"{type(error).__name__}: {error}"[:500], "place": place})
        return
    resources = [{"type": r.type, "name": r.name, "inputs": r.inputs} for r in found.resources]
    say({"resources": resources, "outputs": found.outputs})


def run_tests(test: str, folders: list[str]) -> None:
    """Run a test on each copy, each in a process of its own; the packages are imported once for all."""
    import pulumi_aws
    import pytest

    if sys.platform == "linux":
        # What a test does can't be said in this process's name: its files and memory are shut to the others.
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    for kind in (pulumi_aws.s3.Bucket, pulumi_aws.ec2.Vpc, pulumi_aws.iam.Role, pulumi_aws.eks.Cluster):
        kind.__name__  # noqa: B018 (a module is imported when something of it is first asked for)
    gc.freeze()  # what is there by now is nobody's garbage
    waiting, ended = list(folders), {}
    running: dict[int, tuple[str, IO[bytes], float]] = {}
    while waiting or running:
        while waiting and len(running) < (os.cpu_count() or 1):
            folder = waiting.pop(0)
            output: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (closed when its test has ended)
            child = os.fork()
            if child == 0:
                os.dup2(output.fileno(), 1)
                os.dup2(output.fileno(), 2)
                _test(pytest, test, folder)
            running[child] = (folder, output, time.monotonic() + SECONDS)
        for child, (folder, output, deadline) in list(running.items()):
            done, status = os.waitpid(child, os.WNOHANG)
            if not done and time.monotonic() > deadline:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                done, status = child, 9
            if done:
                del running[child]
                output.seek(0)
                said = [line for line in output.read().decode(errors="replace").splitlines() if line.strip()]
                output.close()
                ended[folder] = {"code": os.waitstatus_to_exitcode(status), "said": _words(said)}
        time.sleep(0.01)
    say({"tested": ended})


def _test(pytest: Any, test: str, folder: str) -> None:
    code = 70
    try:
        os.chdir(folder)
        sys.path.insert(0, str(Path.cwd()))
        sys.dont_write_bytecode = True
        options = ("--no-header", "--tb=line", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir=.")
        code = int(pytest.main(["-q", *options, test]))
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _words(said: list[str]) -> str:
    """What failed, and how it ended."""
    return " / ".join(
        [*[line for line in said if line.startswith(("FAILED", "ERROR", "E "))][:2], *said[-1:]]
    )[:400]


if __name__ == "__main__":
    if sys.argv[1] == "declared":
        declare(*sys.argv[2:5])
    else:
        run_tests(sys.argv[2], sys.argv[3:])
