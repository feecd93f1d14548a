"""The contract of the real accounts, held against the emulator; on AWS and Google Cloud it is not tried."""

import pytest

from labkit.clouds.base import CostRefused
from labkit.clouds.real import AGREED, AwsCloud, GcpCloud
from labkit.errors import Unavailable


@pytest.fixture
def credentials(cloud, monkeypatch):
    """Ambient credentials, of an account that happens to be the emulated one."""
    monkeypatch.delenv(AGREED, raising=False)
    for name, value in cloud.environment().items():
        monkeypatch.setenv(name, value)


def test_aws_takes_the_ambient_credentials(credentials):
    assert not AwsCloud().up()
    assert AwsCloud().environment()["AWS_ACCESS_KEY_ID"] == "test"


def test_aws_without_credentials_says_what_brings_some(credentials, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(Unavailable, match="aws sso login"):
        AwsCloud().up()


def test_what_was_left_behind_is_found_by_its_tag(credentials):
    cloud = AwsCloud()
    s3 = cloud.session().client("s3")
    for name in ("ours", "theirs"):
        s3.create_bucket(Bucket=name)
    s3.put_bucket_tagging(Bucket="ours", Tagging={"TagSet": [{"Key": "workbook", "Value": "week12"}]})
    assert cloud.left_behind() == ["arn:aws:s3:::ours"]
    assert 'workbook = "week12"' in cloud.provider_override()


@pytest.mark.parametrize("cloud_type", [AwsCloud, GcpCloud])
def test_nothing_is_applied_before_somebody_said_yes(cloud_type, monkeypatch):
    monkeypatch.delenv(AGREED, raising=False)
    with pytest.raises(CostRefused, match="costs money until it is destroyed"):
        cloud_type().agree_to_cost("A cluster")
    monkeypatch.setenv(AGREED, "yes")
    cloud_type().agree_to_cost("A cluster")


def test_google_cloud_without_credentials_says_what_brings_some(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("GOOGLE_CLOUD_PROJECT", "GOOGLE_PROJECT", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(Unavailable, match="gcloud auth application-default login"):
        GcpCloud().up()
