"""The process that runs one notebook: `python -m autograder.nbgrading.execute NOTEBOOK OUT FOLDER LIMITS`.

It runs the notebook in the folder and leaves `executed.ipynb` and `ended.json` in the folder OUT. In a
sandbox it is a file of its own beside `labkit`: it imports nothing of `autograder`.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import DeadKernelError
from nbformat import NotebookNode

from labkit.processes import adopt_orphans, end_descendants

_EACH = 200  # bytes that an output takes beside its text


class _ThisInterpreter(AsyncKernelManager):
    """Starts kernels with our own interpreter, whatever kernelspec the notebook names."""

    @property
    def kernel_spec(self) -> KernelSpec:
        return KernelSpec(
            argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            display_name="Python 3",
            language="python",
        )


class CappedClient(NotebookClient):  # type: ignore[misc]
    """Executes a notebook within a time, and drops its outputs once there are too many bytes of them."""

    seconds = 0.0
    output_bytes_left = 0
    current_cell = 0
    out_of_time = False
    _killing: asyncio.Task[None] | None = None

    async def began(self, cell: NotebookNode, cell_index: int) -> None:
        """Note which cell runs; with the first, the time begins."""
        self.current_cell = cell_index + 1
        if self._killing is None:
            self._killing = asyncio.create_task(self._kill())

    async def _kill(self) -> None:
        """Kill the kernel when the time is up; the client then finds it dead."""
        await asyncio.sleep(self.seconds)
        self.out_of_time = True
        await self.km.shutdown_kernel(now=True)

    def output(self, outs: list[NotebookNode], msg: dict[str, Any], display_id: Any, cell_index: int) -> Any:
        """Take an output, if there is room for it."""
        size = len(json.dumps(msg["content"], default=str)) + _EACH
        if size > self.output_bytes_left:
            if self.output_bytes_left > 0:
                self.output_bytes_left = 0
                note = "[There was too much output; the rest was dropped.]\n"
                outs.append(nbformat.v4.new_output("stream", name="stdout", text=note))
            return None
        self.output_bytes_left -= size
        return super().output(outs, msg, display_id, cell_index)


def run(submitted: Path, out: Path, folder: Path, limits: dict[str, float]) -> dict[str, str]:
    """Execute the notebook; says how it ended and leaves the executed one."""
    notebook = nbformat.read(submitted, as_version=4)
    environment = dict(os.environ)
    if "WORKBOOK_KERNEL_PATH" in environment:
        environment["PYTHONPATH"] = environment.pop("WORKBOOK_KERNEL_PATH")
    client = CappedClient(
        notebook,
        timeout=None,
        allow_errors=True,
        kernel_manager_class=_ThisInterpreter,
        shutdown_kernel="immediate",
        record_timing=False,
        store_widget_state=False,
    )
    client.on_cell_execute = client.began
    client.seconds, client.output_bytes_left = limits["seconds"], int(limits["output_bytes"])
    ended: dict[str, str] = {"ended": "ran"}
    try:
        asyncio.run(client.async_execute(cwd=str(folder), env=environment))
    except DeadKernelError as error:
        reason = "timeout" if client.out_of_time else "crashed"
        ended = {"ended": reason, "cell": str(client.current_cell), "detail": str(error)}
    nbformat.write(notebook, out / "executed.ipynb")
    return ended


if __name__ == "__main__":
    adopt_orphans()
    submitted, out, folder = map(Path, sys.argv[1:4])
    try:
        result = run(submitted, out, folder, json.loads(sys.argv[4]))
        (out / "ended.json").write_text(json.dumps(result))
    finally:
        end_descendants()
