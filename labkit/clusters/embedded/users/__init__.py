"""Who may ask the cluster for what: its owner everything, a guest what the restrictions leave."""
