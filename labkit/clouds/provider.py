"""What leads programs to an emulated account, and away from every other: variables and provider settings."""

from __future__ import annotations

import os
from collections.abc import Mapping

_REGION = "us-east-1"
_ENDPOINTS = (
    "applicationautoscaling autoscaling budgets cloudwatch cloudwatchevents cloudwatchlogs dynamodb ec2 ecr "
    "eks elb iam kms resourcegroupstaggingapi route53 s3 sagemaker secretsmanager sns sqs ssm sts"
)


def environment(url: str) -> Mapping[str, str]:
    """The variables of a program that is to work on the emulated account.

    The S3 backend of Terraform and every current SDK read AWS_ENDPOINT_URL. They are all that the program
    should have of AWS: `labkit.terraform.shell` leaves the person's own variables out, and files are named
    that hold nothing.

    Args:
        url: Where the account answers.
    """
    return {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": _REGION,
        "AWS_DEFAULT_REGION": _REGION,
        "AWS_ENDPOINT_URL": url,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_CONFIG_FILE": os.devnull,
        "NO_PROXY": "127.0.0.1",
    }


def override(url: str) -> str:
    """The override file that turns a configuration's AWS provider (3.x) to the emulated account.

    Args:
        url: Where the account answers.
    """
    endpoints = "\n".join(f'    {name} = "{url}"' for name in _ENDPOINTS.split(" "))
    # The account's number is asked for: budgets need it. Few retries: what the emulator lacks, it will lack.
    return f"""# Written by the workbook for the emulated cloud; it lies here only while Terraform runs.
provider "aws" {{
  access_key                  = "test"
  secret_key                  = "test"
  region                      = "{_REGION}"
  s3_force_path_style         = true
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_region_validation      = true
  max_retries                 = 2

  endpoints {{
{endpoints}
  }}
}}
"""
