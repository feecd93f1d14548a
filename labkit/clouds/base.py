"""What every cloud offers, whatever it runs on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from labkit.errors import WorkbookError
from labkit.verdicts import Tier


class CostRefused(WorkbookError):
    """Nobody said yes to what this would cost."""


class Cloud(Protocol):
    """An account that Terraform changes and that checks ask what is there."""

    name: str
    """The backend's name: `emulated`, `aws`, `gcp`."""

    tier: Tier
    """How real what is found in it is."""

    def up(self) -> bool:
        """Make it ready; gives whether something was started.

        Raises:
            Unavailable: It can't run here, or its credentials are not there.
        """
        ...

    def down(self, *, purge: bool = False) -> bool:
        """Stop what was started; gives whether there was anything to stop."""
        ...

    def environment(self) -> Mapping[str, str]:
        """The variables of a program that is to work on this account, and on no other."""
        ...

    def provider_override(self) -> str:
        """Terraform's provider settings for this account, as an override file; empty if it needs none."""
        ...

    def session(self) -> Any:
        """What makes boto3 clients of this account: `session().client("s3")`.

        Raises:
            Unavailable: The account is not one of AWS.
        """
        ...

    def agree_to_cost(self, what: str) -> None:
        """Go on if changing this account costs nothing, or if the person said yes to it.

        Args:
            what: What is about to be made, in words.

        Raises:
            CostRefused: It costs money, and nobody said yes.
        """
        ...
