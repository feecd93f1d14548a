"""Model servers behind one small interface: start one, get its endpoint, stop it with all that it started."""

from labkit.serving.base import Endpoint, ModelServer
from labkit.serving.script import ScriptServer

__all__ = ["Endpoint", "ModelServer", "ScriptServer"]
