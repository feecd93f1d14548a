# The state stays here.
