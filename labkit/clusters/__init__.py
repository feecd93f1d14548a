"""Kubernetes clusters behind one small interface."""

from labkit.clusters.base import Capabilities, Cluster
from labkit.clusters.choice import connect

__all__ = ["Capabilities", "Cluster", "connect"]
