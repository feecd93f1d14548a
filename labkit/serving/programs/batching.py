"""Puts the rows of several requests together, for servers that do not bring that themselves."""

import asyncio
from collections import deque
from concurrent.futures import ThreadPoolExecutor

import numpy as np


class Batcher:
    """One thread that runs the model, and the requests that wait for it.

    A batch leaves when it holds `size` rows, or when the first of it has waited for `delay` seconds. A single
    request of more rows leaves whole.

    Args:
        run: Gives the answers of rows `(n, width)`.
        size: The most rows of a batch; 1 puts nothing together.
        delay: The most seconds that a request waits for others.
    """

    def __init__(self, run, size: int, delay: float) -> None:
        self._run = run
        self._size = size
        self._delay = delay
        self._waiting: deque[tuple[np.ndarray, asyncio.Future]] = deque()
        self._arrived = asyncio.Event()
        self._thread = ThreadPoolExecutor(1)
        self._task: asyncio.Task | None = None

    async def predict(self, rows: np.ndarray) -> np.ndarray:
        """The answers of these rows."""
        loop = asyncio.get_running_loop()
        if self._size == 1:
            return await loop.run_in_executor(self._thread, self._run, rows)
        if self._task is None:
            self._task = loop.create_task(self._work())
        done = loop.create_future()
        self._waiting.append((rows, done))
        self._arrived.set()
        return await done

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._first()
            batch = self._taken()
            rows = np.concatenate([rows for rows, _ in batch])
            try:
                answers = await loop.run_in_executor(self._thread, self._run, rows)
            except Exception as error:
                for _, done in batch:
                    if not done.done():
                        done.set_exception(error)
                continue
            start = 0
            for rows, done in batch:
                if not done.done():  # whoever asked may have gone
                    done.set_result(answers[start : start + len(rows)])
                start += len(rows)

    async def _first(self) -> None:
        """Wait until somebody waits, and then for others until the batch is full or the time is over."""
        while not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
        loop = asyncio.get_running_loop()
        until = loop.time() + self._delay
        while sum(len(rows) for rows, _ in self._waiting) < self._size and (left := until - loop.time()) > 0:
            self._arrived.clear()
            try:
                await asyncio.wait_for(self._arrived.wait(), left)
            except TimeoutError:
                return

    def _taken(self) -> list:
        """The requests of the next batch: one at least."""
        batch = [self._waiting.popleft()]
        rows = len(batch[0][0])
        while self._waiting and rows + len(self._waiting[0][0]) <= self._size:
            batch.append(self._waiting.popleft())
            rows += len(batch[-1][0])
        return batch
