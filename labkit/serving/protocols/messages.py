"""Classes of protobuf messages, read from the contracts beside this file; nothing generated is kept."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

HERE = Path(__file__).parent


@cache
def _pool(contract: str) -> DescriptorPool:
    with tempfile.TemporaryDirectory() as folder:
        described = Path(folder) / "described"
        # A process of its own: within one, protoc keeps every file that it has seen.
        subprocess.run(
            [
                *(sys.executable, "-m", "grpc_tools.protoc", f"-I{HERE}"),
                *(f"--descriptor_set_out={described}", f"{contract}.proto"),
            ],
            check=True,
        )
        pool = DescriptorPool()
        for file in FileDescriptorSet.FromString(described.read_bytes()).file:
            pool.Add(file)
    return pool


@cache
def message_class(contract: str, name: str) -> Any:
    """The class of a message.

    Args:
        contract: The contract's file without its ending, `inference`.
        name: The message's full name, `inference.ModelInferRequest`.
    """
    return GetMessageClass(_pool(contract).FindMessageTypeByName(name))
