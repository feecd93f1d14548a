"""What an S3 server on loopback is to its users."""

from __future__ import annotations

from typing import Any, Protocol

import boto3
from botocore.config import Config

from labkit.verdicts import Tier

REGION = "us-east-1"


class Store(Protocol):
    """An S3 server that was started here.

    Attributes:
        name: Which, for people.
        tier: How real it is.
    """

    name: str
    tier: Tier

    @property
    def url(self) -> str:
        """Where it answers."""
        ...

    def up(self) -> None:
        """Start it, and return when it answers.

        Raises:
            Unavailable: It did not start.
        """
        ...

    def down(self) -> None:
        """Stop it."""
        ...


def client(url: str) -> Any:
    """A boto3 client of the S3 server at that address, whatever credentials the person has."""
    settings = Config(
        s3={"addressing_style": "path"},
        retries={"total_max_attempts": 2},
        proxies={},
        connect_timeout=5,
        read_timeout=20,
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    return boto3.Session("platform", "platform", region_name=REGION).client(
        "s3", endpoint_url=url, config=settings
    )
