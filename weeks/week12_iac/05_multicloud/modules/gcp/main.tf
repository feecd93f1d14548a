# The bucket, the cluster and its GPU nodes on Google Cloud: write them here.
