"""When pods fit on no node, more replicas are no help: somebody has to add nodes, and remove them again."""


def plan(pending, nodes, size):
    """What a node autoscaler should do now.

    Args:
        pending: Pods that no node has room for: dicts with `cpu` (thousandths of a core) and `memory` (MiB).
        nodes: The nodes: dicts with `name`, `pods` (how many run there) and `idle_seconds` (since when none).
        size: What a new node has: a dict with `cpu` and `memory`.

    Returns:
        A dict: `add`, how many nodes to add; `remove`, a list of the names of those to remove.
    """
    # Add as few as will do. A pod that is larger than a node is not helped by any number of them.
    # Remove those that have been empty for a minute or longer, but none while pods wait.
    raise NotImplementedError("plan is yours to write")
