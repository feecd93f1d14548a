"""Rules and a dashboard for any cluster: targets that are down, pods that restart, replicas that lack."""
