"""Node scaling: try with ever more nodes until all that can fit do."""


def fits(pods, count, size):
    """Whether so many new nodes hold the pods, the largest first."""
    free = [[size["cpu"], size["memory"]] for _ in range(count)]
    for cpu, memory in pods:
        for room in free:
            if cpu <= room[0] and memory <= room[1]:
                room[0] -= cpu
                room[1] -= memory
                break
        else:
            return False
    return True


def plan(pending, nodes, size):
    """How many nodes to add, and which to remove."""
    pods = [(pod["cpu"], pod["memory"]) for pod in pending]
    pods = sorted((pod for pod in pods if pod[0] <= size["cpu"] and pod[1] <= size["memory"]), reverse=True)
    count = next(number for number in range(len(pods) + 1) if fits(pods, number, size))
    empty = [node["name"] for node in nodes if node["pods"] == 0 and node["idle_seconds"] >= 60]
    return {"add": count, "remove": empty if not pods else []}
