"""Real accounts, with the credentials that the machine has: AWS and Google Cloud.

What is made there costs money, so nothing is applied before the person said yes. What the workbook makes is
tagged, and `left_behind` finds it again.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from labkit.clouds.base import CostRefused
from labkit.errors import Unavailable
from labkit.verdicts import Tier

AGREED = "WORKBOOK_CLOUD_COSTS"
"""Holds `yes` where nobody can be asked."""

TAG = "workbook"
"""The tag, or label, of all that the workbook makes."""


class _Real:
    """What real accounts have in common."""

    name: str
    tier = Tier.REAL

    def down(self, *, purge: bool = False) -> bool:
        """Nothing runs here; what Terraform made, Terraform destroys."""
        return False

    def agree_to_cost(self, what: str) -> None:
        """Ask the person on their terminal, once for each thing; WORKBOOK_CLOUD_COSTS=yes says yes to all.

        Raises:
            CostRefused: Nobody said yes.
        """
        if os.environ.get(AGREED, "").lower() == "yes":
            return
        question = f"{what} is made in your own {self.name} account, and costs money until it is destroyed."
        if sys.stdin is not None and sys.stdin.isatty():
            print(question, file=sys.stderr)
            if input("Type yes to go on: ").strip().lower() == "yes":
                return
        raise CostRefused(
            f"Nothing was made: {question}",
            next_step=f"To agree, set {AGREED}=yes; to pay nothing, use CLOUD = 'emulated'.",
        )


class AwsCloud(_Real):
    """The AWS account of the ambient credentials (variables, profile, role)."""

    name = "aws"

    def up(self) -> bool:
        """Ask whose credentials they are; starts nothing.

        Raises:
            Unavailable: There are none, or AWS refuses them.
        """
        try:
            self.session().client("sts").get_caller_identity()
        except (BotoCoreError, ClientError) as error:
            raise Unavailable(
                "AWS does not take this machine's credentials.",
                why=" ".join(str(error).split())[:200],
                next_step="`aws sso login` or AWS_PROFILE brings some; CLOUD = 'emulated' needs none.",
            ) from error
        return False

    def environment(self) -> Mapping[str, str]:
        """The person's own variables of AWS, as they are."""
        return {name: value for name, value in os.environ.items() if name.startswith("AWS_")}

    def provider_override(self) -> str:
        """The tag that all is given; region and credentials stay the person's."""
        return (
            "# Written by the workbook; it lies here only while Terraform runs.\n"
            f'provider "aws" {{\n  default_tags {{\n    tags = {{ {TAG} = "week12" }}\n  }}\n}}\n'
        )

    def session(self) -> Any:
        """boto3 with the ambient credentials."""
        return boto3.Session(region_name=os.environ.get("AWS_REGION"))

    def left_behind(self) -> list[str]:
        """The ARNs of all that carries the workbook's tag in this region."""
        pages = (
            self.session()
            .client("resourcegroupstaggingapi")
            .get_paginator("get_resources")
            .paginate(TagFilters=[{"Key": TAG}])
        )
        return sorted(found["ResourceARN"] for page in pages for found in page["ResourceTagMappingList"])


class GcpCloud(_Real):
    """The Google Cloud project of the application-default credentials."""

    name = "gcp"

    def up(self) -> bool:
        """Look for credentials and a project; starts nothing.

        Raises:
            Unavailable: One is missing.
        """
        project = os.environ.get("GOOGLE_CLOUD_PROJECT") or os.environ.get("GOOGLE_PROJECT")
        named = os.environ.get("GOOGLE_APPLICATION_CREDENTIALS")
        usual = Path.home() / ".config" / "gcloud" / "application_default_credentials.json"
        if not project or not (Path(named) if named else usual).is_file():
            raise Unavailable(
                "There are no credentials of Google Cloud on this machine.",
                why=f"{'No project is named' if not project else 'No key file was found'}.",
                next_step="Run `gcloud auth application-default login` and set GOOGLE_CLOUD_PROJECT.",
            )
        return False

    def environment(self) -> Mapping[str, str]:
        """The person's own variables of Google Cloud, as they are."""
        return {
            name: value for name, value in os.environ.items() if name.startswith(("GOOGLE_", "CLOUDSDK_"))
        }

    def provider_override(self) -> str:
        """The label that all is given."""
        return (
            "# Written by the workbook; it lies here only while Terraform runs.\n"
            f'provider "google" {{\n  default_labels = {{ {TAG} = "week12" }}\n}}\n'
        )

    def session(self) -> Any:
        """Nothing: boto3 is for AWS.

        Raises:
            Unavailable: Always.
        """
        raise Unavailable("Google Cloud has no boto3 session.", next_step="Use CLOUD = 'aws' or 'emulated'.")
