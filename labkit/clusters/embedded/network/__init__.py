"""What a kube-proxy and a cluster's name server do: Service addresses, load balancing, names."""
