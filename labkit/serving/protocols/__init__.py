"""What the frameworks speak: one dialect each, from numbers to a request body and back from an answer."""

from labkit.serving.protocols.dialects import DIALECTS, MODEL, Dialect
from labkit.serving.protocols.messages import message_class

__all__ = ["DIALECTS", "MODEL", "Dialect", "message_class"]
