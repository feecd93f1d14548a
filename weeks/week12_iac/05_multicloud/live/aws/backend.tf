# Where the state of this configuration is kept, and locked: write it here.
