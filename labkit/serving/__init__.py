"""Model servers behind one small interface: start one, get its endpoint, stop it with all that it started.

A `ScriptServer` runs a script of the learner's; a `FrameworkServer` runs `model.onnx` in one of the serving
frameworks, as a `Deployment` says:

    from labkit.serving import Deployment, server_for

    with server_for(Deployment(framework="triton", batch_size=32, batch_delay_ms=2)) as server:
        server.make_ready()
        endpoint = server.start(folder_with_model_onnx)
        with server.caller(endpoint) as caller:
            print(caller.predict(rows))
"""

from labkit.serving.base import Endpoint, ModelServer
from labkit.serving.caller import Answer, Caller, NoAnswer
from labkit.serving.choice import backend, backends, server_for
from labkit.serving.deployment import Deployment, Signature
from labkit.serving.framework import FrameworkServer
from labkit.serving.script import ScriptServer

__all__ = [
    "Answer",
    "Caller",
    "Deployment",
    "Endpoint",
    "FrameworkServer",
    "ModelServer",
    "NoAnswer",
    "ScriptServer",
    "Signature",
    "backend",
    "backends",
    "server_for",
]
