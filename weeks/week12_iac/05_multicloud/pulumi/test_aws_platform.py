"""Tests of the platform on AWS: they have to notice when it breaks a promise. Write them here."""

import aws_platform
from declared import declared


def test_the_bucket_has_the_platforms_name():
    found = declared(
        aws_platform.build, name="vision", gpu_nodes={"min": 0, "max": 4}, labels={"team": "vision"}
    )
    assert found.of("Bucket")[0].inputs["bucket"] == "vision-models"
