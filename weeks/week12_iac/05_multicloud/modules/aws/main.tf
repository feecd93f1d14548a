# The bucket, the cluster and its GPU nodes on AWS: write them here.
