# The interface, the same on both clouds: name, region, gpu_nodes, labels. Write it here.
