"""Object storage on loopback: S3 servers, and the one way by which the machines of a platform reach them."""

from labkit.storage.emulated import EmulatedStore
from labkit.storage.gateway import Access, Fault, Gateway, Request
from labkit.storage.machines import Machine
from labkit.storage.seaweed import SeaweedStore
from labkit.storage.store import Store

__all__ = ["Access", "EmulatedStore", "Fault", "Gateway", "Machine", "Request", "SeaweedStore", "Store"]
