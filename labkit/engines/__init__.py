"""Container engines behind one small interface: connect to one, build images with it, run them."""

from labkit.engines.base import Build, BuildFault, Container, Engine, EngineLost, Image, Layer, Output, Step
from labkit.engines.choice import connect

__all__ = [
    "Build",
    "BuildFault",
    "Container",
    "Engine",
    "EngineLost",
    "Image",
    "Layer",
    "Output",
    "Step",
    "connect",
]
