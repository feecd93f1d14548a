"""Which builds of torch, CUDA versions and NVIDIA drivers go together, by dated tables shipped as data."""

from labkit.cuda.compatibility import Compatibility, Driver, compatibility
from labkit.cuda.requirements import TorchRequirement, cpu_requirements

__all__ = ["Compatibility", "Driver", "TorchRequirement", "compatibility", "cpu_requirements"]
