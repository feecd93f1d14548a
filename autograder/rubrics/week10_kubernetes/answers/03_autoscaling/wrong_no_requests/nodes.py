"""Node scaling: first fit, the largest pods first."""

IDLE_SECONDS = 60


def plan(pending, nodes, size):
    """How many nodes to add, and which to remove."""
    free = []
    waiting = 0
    for pod in sorted(pending, key=lambda pod: (-pod["cpu"], -pod["memory"])):
        if pod["cpu"] > size["cpu"] or pod["memory"] > size["memory"]:
            continue
        waiting += 1
        for room in free:
            if pod["cpu"] <= room["cpu"] and pod["memory"] <= room["memory"]:
                break
        else:
            room = dict(size)
            free.append(room)
        room["cpu"] -= pod["cpu"]
        room["memory"] -= pod["memory"]
    idle = [node["name"] for node in nodes if not node["pods"] and node["idle_seconds"] >= IDLE_SECONDS]
    return {"add": len(free), "remove": [] if waiting else idle}
