"""The emulated account: what our patches mend, what it refuses, and that it comes and goes."""

import base64
import json

import pytest
from botocore.exceptions import ClientError

from labkit.clouds import connect
from labkit.clouds.emulated import EmulatedCloud
from labkit.errors import WorkbookError


@pytest.fixture(scope="module")
def client(cloud):
    return cloud.session().client


def role(iam, service):
    trust = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}],
    }
    return iam.create_role(RoleName=service.split(".")[0], AssumeRolePolicyDocument=json.dumps(trust))["Role"]


def test_a_role_takes_a_managed_policy(client):
    iam = client("iam")
    role(iam, "eks.amazonaws.com")
    iam.attach_role_policy(RoleName="eks", PolicyArn="arn:aws:iam::aws:policy/AmazonEKSClusterPolicy")
    found = iam.list_attached_role_policies(RoleName="eks")["AttachedPolicies"]
    assert [each["PolicyName"] for each in found] == ["AmazonEKSClusterPolicy"]


def test_a_node_group_has_no_remote_access_that_nobody_asked_for(client):
    arn, eks = role(client("iam"), "ec2.amazonaws.com")["Arn"], client("eks")
    subnets = [each["SubnetId"] for each in client("ec2").describe_subnets()["Subnets"]][:2]
    eks.create_cluster(name="c", roleArn=arn, resourcesVpcConfig={"subnetIds": subnets})
    eks.create_nodegroup(clusterName="c", nodegroupName="n", subnets=subnets, nodeRole=arn)
    found = eks.describe_nodegroup(clusterName="c", nodegroupName="n")["nodegroup"]
    assert not found.get("remoteAccess")


def test_a_launch_template_keeps_its_own_tags_out_of_what_it_launches(client):
    ec2 = client("ec2")
    ec2.create_launch_template(
        LaunchTemplateName="gpu",
        LaunchTemplateData={"InstanceType": "t3.medium"},
        TagSpecifications=[{"ResourceType": "launch-template", "Tags": [{"Key": "owner", "Value": "ml"}]}],
    )
    versions = ec2.describe_launch_template_versions(LaunchTemplateName="gpu")["LaunchTemplateVersions"]
    assert "TagSpecifications" not in versions[0]["LaunchTemplateData"]
    assert ec2.describe_launch_templates(LaunchTemplateNames=["gpu"])["LaunchTemplates"][0]["Tags"]


def test_a_model_and_an_endpoint_have_nothing_that_nobody_asked_for(client):
    sagemaker = client("sagemaker")
    arn = role(client("iam"), "sagemaker.amazonaws.com")["Arn"]
    sagemaker.create_model(ModelName="m", ExecutionRoleArn=arn, PrimaryContainer={"Image": "i"})
    assert not sagemaker.describe_model(ModelName="m").get("VpcConfig")
    variant = {
        "VariantName": "v",
        "ModelName": "m",
        "InitialInstanceCount": 1,
        "InstanceType": "ml.t2.medium",
    }
    sagemaker.create_endpoint_config(EndpointConfigName="e", ProductionVariants=[variant])
    assert "DataCaptureConfig" not in sagemaker.describe_endpoint_config(EndpointConfigName="e")


def test_a_budget_tells_whom_it_tells(client):
    budgets, account = client("budgets"), "123456789012"
    notification = {"NotificationType": "ACTUAL", "ComparisonOperator": "GREATER_THAN", "Threshold": 80.0}
    budgets.create_budget(
        AccountId=account,
        Budget={
            "BudgetName": "b",
            "BudgetLimit": {"Amount": "100", "Unit": "USD"},
            "TimeUnit": "MONTHLY",
            "BudgetType": "COST",
        },
        NotificationsWithSubscribers=[
            {
                "Notification": notification,
                "Subscribers": [{"SubscriptionType": "EMAIL", "Address": "ml@example.com"}],
            }
        ],
    )
    found = budgets.describe_subscribers_for_notification(
        AccountId=account, BudgetName="b", Notification=notification
    )
    assert [each["Address"] for each in found["Subscribers"]] == ["ml@example.com"]


def test_a_policy_against_plain_http_closes_no_bucket(client):
    s3 = client("s3")
    s3.create_bucket(Bucket="closed")
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": "arn:aws:s3:::closed/*",
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    s3.put_bucket_policy(
        Bucket="closed", Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    )
    s3.put_object(Bucket="closed", Key="k", Body=b"x")
    del statement["Condition"]
    s3.put_bucket_policy(
        Bucket="closed", Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    )
    with pytest.raises(ClientError, match="403"):
        s3.put_object(Bucket="closed", Key="k", Body=b"x")


def test_a_call_that_it_lacks_is_refused_with_a_word(client):
    with pytest.raises(ClientError, match="The emulator lacks this call of ec2") as told:
        client("ec2").describe_capacity_block_offerings(CapacityDurationHours=24)
    assert told.value.response["Error"]["Code"] == "NotInTheEmulator"


@pytest.mark.parametrize("service", ["lambda", "batch", "codebuild"])
def test_services_that_run_programs_are_not_let_in(client, service):
    call = {
        "lambda": lambda: client("lambda").list_functions(),
        "batch": lambda: client("batch").describe_job_queues(),
        "codebuild": lambda: client("codebuild").list_projects(),
    }[service]
    with pytest.raises(ClientError, match=f"The emulator has no service {service}"):
        call()


def test_it_is_started_once_and_forgets_all_when_it_stops(tmp_path):
    account = EmulatedCloud(tmp_path / "cloud")
    try:
        assert account.up()
        assert not account.up()
        account.session().client("s3").create_bucket(Bucket="one")
        assert account.down()
        assert not account.down()
        assert account.up()
        assert account.session().client("s3").list_buckets()["Buckets"] == []
    finally:
        account.down(purge=True)
    assert not list((tmp_path / "cloud").iterdir())


def test_two_accounts_do_not_meet(cloud, tmp_path):
    other = EmulatedCloud(tmp_path / "cloud")
    other.up()
    try:
        other.session().client("s3").create_bucket(Bucket="mine-alone")
        names = [each["Name"] for each in cloud.session().client("s3").list_buckets()["Buckets"]]
        assert "mine-alone" not in names
        assert other.url != cloud.url
    finally:
        other.down(purge=True)


def test_a_cloud_that_nobody_knows_is_said(monkeypatch):
    monkeypatch.delenv("WORKBOOK_CLOUD", raising=False)
    with pytest.raises(WorkbookError, match="There are: auto, aws, emulated, gcp"):
        connect("azure")


def test_user_data_is_kept_as_it_is(client):
    # Launch templates of node groups carry it; Terraform compares it byte for byte.
    text = base64.b64encode(b"#!/bin/sh\necho").decode()
    ec2 = client("ec2")
    ec2.create_launch_template(LaunchTemplateName="user-data", LaunchTemplateData={"UserData": text})
    found = ec2.describe_launch_template_versions(LaunchTemplateName="user-data")["LaunchTemplateVersions"]
    assert found[0]["LaunchTemplateData"]["UserData"] == text
