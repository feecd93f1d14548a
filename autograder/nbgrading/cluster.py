"""The same units of work on a Dask cluster: submissions travel there as data, what was found travels back.

`python -m autograder.nbgrading.cluster` starts one here, on loopback.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from distributed import Client, Future, LocalCluster, get_worker, wait

import autograder
import labkit
from autograder.nbgrading.judging import Part
from autograder.nbgrading.packing import pack, unpack
from autograder.nbgrading.preparing import Phase
from autograder.nbgrading.worker import Place, Unit
from autograder.nbgrading.workers import LocalWorkers, Returned
from labkit.errors import WorkbookError

PORT = 8786
_WAIT_SECONDS = 30.0
_AHEAD = 2
"""Units that are on their way for each thread of the cluster."""
_kept = threading.local()


# ---- there ------------------------------------------------------------------------------------------------


def grade_there(job: bytes, unit: str, source: bytes, code: str) -> dict[str, Any]:
    """Do one unit of work on a worker of the cluster; runs there.

    Args:
        job: The job's folder, packed.
        unit: The unit, as JSON.
        source: What was handed in, or what the static checks left, packed.
        code: The hash of the code that sent it.

    Returns:
        `more`, `error` and `errno` as in `Returned`, and `found`, the packed folder.
    """
    if code != code_hash():
        return {"error": "This worker has another version of the workbook.", "version": True}
    workers, place = _workers_for(job)
    with tempfile.TemporaryDirectory(dir=place.scratch, prefix="unit-") as scratch:
        folder = Path(scratch) / "source"
        unpack(source, folder)
        asked = replace(Unit.from_json(unit), source=str(folder))
        (returned,) = workers.run([asked])
    home = Path(place.spool) / asked.learner
    found = b"" if returned.error else pack(home / ("static" if returned.more else "done"))
    shutil.rmtree(home, ignore_errors=True)
    return {"more": returned.more, "error": returned.error, "errno": returned.errno, "found": found}


def _workers_for(job: bytes) -> tuple[LocalWorkers, Place]:
    """This thread's own worker process, the same as long as the job is the same."""
    key = hashlib.sha256(job).hexdigest()
    if getattr(_kept, "key", "") != key:
        if hasattr(_kept, "workers"):
            _kept.workers.__exit__(None, None, None)
        home = Path(tempfile.mkdtemp(dir=get_worker().local_directory, prefix="grading-"))
        unpack(job, home / "job")
        place = Place(str(home / "job"), str(home / "spool"), str(home), str(home / "logs"))
        _kept.place = place
        _kept.workers = LocalWorkers(place, jobs=1, say=lambda phase: None)
        _kept.key = key
    return _kept.workers, _kept.place


@cache
def code_hash() -> str:
    """The hash of the workbook's own code: both sides must have the same."""
    digest = hashlib.sha256()
    for package in (autograder, labkit):
        root = Path(str(package.__file__)).parent
        for path in sorted(root.rglob("*.py")):
            if "rubrics" not in path.parts:  # they travel with the job
                digest.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


# ---- here -------------------------------------------------------------------------------------------------


@dataclass
class DaskWorkers:
    """A Dask cluster that does the units.

    Attributes:
        place: The job's folder, and the spool that results come back to.
        address: Of the scheduler, `tcp://host:8786`.
        say: Told of each phase; from there nothing is heard before the end.
    """

    place: Place
    address: str
    say: Callable[[Phase], None]

    def run(self, units: Iterable[Unit]) -> Iterator[Returned]:
        """Do the units; gives each once, in the order in which they end.

        Raises:
            WorkbookError: The cluster is gone, has no workers, or has another version of the workbook.
        """
        job = pack(Path(self.place.job))
        under_way: dict[Future, Unit] = {}
        source = iter(units)
        waiting = next(source, None)
        while waiting is not None or under_way:
            while waiting is not None and len(under_way) < _AHEAD * self._threads():
                self.say(Phase(waiting.learner, "", "sent"))
                packed = pack(Path(waiting.source))
                unit = replace(waiting, source="").to_json()
                future = self._client.submit(
                    grade_there, job, unit, packed, code_hash(), pure=False, retries=2
                )
                under_way[future] = waiting
                waiting = next(source, None)
            try:
                done = wait(list(under_way), timeout=_WAIT_SECONDS, return_when="FIRST_COMPLETED").done
            except TimeoutError:
                continue  # each turn asks for the workers anew
            for future in done:
                yield self._take(future, under_way.pop(future))
                future.release()

    def _threads(self) -> int:
        """How many submissions the cluster judges at once."""
        try:
            self._client.wait_for_workers(1, timeout=_WAIT_SECONDS)
            return max(1, sum(int(threads) for threads in self._client.nthreads().values()))
        except (OSError, TimeoutError) as error:
            raise WorkbookError(
                f"The Dask cluster at {self.address} has no workers.",
                next_step="Start some, then run the same command again: it goes on from here.",
            ) from error

    def _take(self, future: Future, unit: Unit) -> Returned:
        """Put what came back into the spool."""
        try:
            said = future.result()
        except Exception as error:  # whatever the cluster says of a worker that was lost
            return Returned(unit, error=f"{type(error).__name__}: {error}")
        if said.get("version"):
            raise WorkbookError(
                f"The workers at {self.address} have another version of the workbook.",
                next_step="Install the same version there, then run the same command again.",
            )
        if said["error"]:
            return Returned(unit, error=said["error"], errno=said["errno"])
        home = Path(self.place.spool) / unit.learner
        target = home / (Part.STATIC if said["more"] else "done")
        fresh = home / "new"
        for folder in (fresh, target):
            shutil.rmtree(folder, ignore_errors=True)
        home.mkdir(parents=True, exist_ok=True)
        unpack(said["found"], fresh)
        fresh.rename(target)
        return Returned(unit, more=said["more"])

    def __enter__(self) -> Self:
        """Connect.

        Raises:
            WorkbookError: Nobody answers at that address.
        """
        try:
            self._client = Client(self.address, timeout=10)
        except (OSError, TimeoutError, ValueError) as error:
            raise WorkbookError(
                f"There is no Dask scheduler at {self.address}.",
                why=f"{str(error).splitlines()[0]}." if str(error) else "",
                next_step="Start one here with make scheduler, or check the address.",
            ) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the cluster; what was not begun there is dropped."""
        self._client.close()


def main() -> None:
    """Start a cluster on this machine that listens on loopback alone, until it is interrupted."""
    parser = argparse.ArgumentParser(prog="python -m autograder.nbgrading.cluster", description=main.__doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--port", type=int, default=PORT)
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with LocalCluster(
        n_workers=asked.workers,
        threads_per_worker=1,
        host="127.0.0.1",
        scheduler_port=asked.port,
        dashboard_address="127.0.0.1:0",
    ) as cluster:
        print(cluster.scheduler_address, flush=True)
        try:
            signal.pause()
        except KeyboardInterrupt:
            print("Stopped.", file=sys.stderr)


if __name__ == "__main__":
    main()
