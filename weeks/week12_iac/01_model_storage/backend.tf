# Where the state is kept: in the bucket ml-terraform-state, encrypted, one command at a time. Write it here.
