# The interface, the same on both clouds: bucket_url, cluster, gpu_pool. Write it here.
