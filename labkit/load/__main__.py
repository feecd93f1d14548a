"""`python -m labkit.load PLAN RECORDING`: the load process that `labkit.load.run` starts."""

import sys

from labkit.load.process import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
