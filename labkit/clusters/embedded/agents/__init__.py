"""Node agents: they watch the pods that are bound to their nodes and write their status, as a kubelet does."""
