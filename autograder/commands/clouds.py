"""What `workbook up cloud` and `workbook down cloud` do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from labkit.clouds.emulated import EmulatedCloud
from labkit.terraform.program import find_program, mirror


def up(say: Callable[[str], None]) -> dict[str, Any]:
    """Start the emulated account unless it runs, and lay Terraform's provider; gives what is printed."""
    cloud = EmulatedCloud()
    started = cloud.up()
    return {
        "cloud": cloud.name,
        "address": cloud.url,
        "tier": cloud.tier.value,
        "terraform": find_program().name,
        "provider": "hashicorp/aws 3.39.0" if mirror() else "from the registry",
        "started": started,
    }


def down(purge: bool) -> dict[str, Any]:
    """Stop the emulated account, and with it all that it holds; gives what is printed."""
    stopped = EmulatedCloud().down(purge=purge)
    return {"cloud": "stopped" if stopped else "was not running", "purged": purge}
