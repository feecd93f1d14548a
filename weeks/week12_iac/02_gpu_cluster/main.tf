# The cluster ml-cluster, its GPU nodes, and the roles of both: write them here.
