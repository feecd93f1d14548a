"""Clouds behind one small interface: an emulated account that starts by itself, AWS, or Google Cloud."""

from labkit.clouds.base import Cloud, CostRefused
from labkit.clouds.choice import connect

__all__ = ["Cloud", "CostRefused", "connect"]
