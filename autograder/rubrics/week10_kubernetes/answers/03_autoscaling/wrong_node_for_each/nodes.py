"""Node scaling without packing."""


def plan(pending, nodes, size):
    """A node for each pod."""
    idle = [node["name"] for node in nodes if not node["pods"] and node["idle_seconds"] >= 60]
    return {"add": len(pending), "remove": [] if pending else idle}
