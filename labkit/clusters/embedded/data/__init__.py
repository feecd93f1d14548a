"""Definitions, field numbers and defaults of the kinds that the embedded cluster serves, as data."""
