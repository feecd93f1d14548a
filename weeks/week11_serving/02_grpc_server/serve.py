"""Your model server. Start it with `PORT=50051 METRICS_PORT=9090 python serve.py`."""

import asyncio
import os

import grpc

# Your servicer goes here; the notebook says what it has to keep.
# Beside this file lie the contract (model.proto), the code that was generated from it (model_pb2.py,
# model_pb2_grpc.py: the notebook makes them), the network's code (model.py) and its weights.


async def main() -> None:
    server = grpc.aio.server()
    server.add_insecure_port(f"127.0.0.1:{os.environ['PORT']}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main())
