"""The backends, one module a framework, found through the entry points of the group `labkit.serving`."""
