"""Configurations and states that are at fault: one sentence each, by the real Terraform."""

from dataclasses import replace

import pytest

from labkit.clouds.emulated import EmulatedCloud
from labkit.errors import Unavailable
from labkit.terraform import StateLocked, Terraform, TerraformFault
from labkit.terraform.program import mirror
from labkit.terraform.programs import refuse_programs

PLAIN = 'resource "terraform_data" "a" {\n  input = "one"\n}\n'
HEAD = """\
terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 3.39"
    }
  }
}
"""
RESERVATION = """\
resource "aws_ec2_capacity_reservation" "a" {
  instance_type     = "t3.large"
  instance_platform = "Linux/UNIX"
  availability_zone = "us-east-1a"
  instance_count    = 1
}
"""


@pytest.fixture
def terraform(tmp_path):
    """Makes one of a text; without a provider, which is all that most of these faults need."""
    opened = []

    def make(text, cloud=None):
        folder = tmp_path / f"stack{len(opened)}"
        folder.mkdir()
        (folder / "main.tf").write_text(text)
        opened.append(Terraform(folder, cloud))
        return opened[-1]

    yield make
    for each in opened:
        each.close()


def test_text_that_does_not_parse_names_file_and_line(terraform):
    with pytest.raises(TerraformFault, match=r"main.tf does not parse: .* in line \d"):
        terraform('resource "terraform_data" "a" {\n  input = \n}\n').init()


def test_a_cycle_names_what_waits_for_each_other(terraform):
    stack = terraform(
        'resource "terraform_data" "a" {\n  input = terraform_data.b.id\n}\n'
        'resource "terraform_data" "b" {\n  input = terraform_data.a.id\n}\n'
    )
    stack.init()
    with pytest.raises(TerraformFault, match=r"These wait for each other: .*terraform_data") as told:
        stack.plan()
    assert told.value.next_step


def test_an_unknown_resource_type_is_named(terraform):
    stack = terraform(HEAD + 'resource "aws_gpu_farm" "a" {}\n')
    stack.init()
    found = stack.validate()
    assert "aws_gpu_farm" in found[0].detail
    assert (found[0].file, found[0].line) == ("main.tf", 9)


def test_a_provider_that_is_not_here_is_named(terraform):
    text = 'terraform {\n  required_providers {\n    g = { source = "hashicorp/google" }\n  }\n}\n'
    with pytest.raises(TerraformFault, match="hashicorp/google can't be had here"):
        terraform(text).init()


def test_a_locked_state_says_who_and_how_to_unlock(terraform):
    stack = terraform(PLAIN)
    stack.init()
    stack.apply()
    lock = stack.folder / "lock.py"
    lock.write_text(
        "import fcntl, pathlib, subprocess, sys\n"
        "held = open('terraform.tfstate', 'r+'); fcntl.lockf(held, fcntl.LOCK_EX)\n"
        "sys.exit(subprocess.run(sys.argv[1:]).returncode)\n"
    )
    stack.program = replace(stack.program, command=("python3", str(lock), *stack.program.command))
    with pytest.raises(StateLocked, match="The state is locked"):
        stack.plan()


def test_a_corrupt_state_says_what_to_put_in_its_place(terraform):
    stack = terraform(PLAIN)
    stack.init()
    stack.apply()
    (stack.folder / "terraform.tfstate").write_text('{"version": 4, "resour')
    with pytest.raises(TerraformFault, match="The state file can't be read") as told:
        stack.plan()
    assert "terraform.tfstate.backup" in told.value.next_step


def test_plan_apply_and_destroy_of_plain_data(terraform):
    stack = terraform(PLAIN)
    stack.init()
    plan = stack.plan()
    assert (str(plan), plan.empty) == ("Plan: 1 to create, nothing to update, nothing to delete.", False)
    assert plan.resources[0]["input"] == "one"
    stack.apply(plan)
    assert stack.plan().empty
    assert [each.address for each in stack.state()] == ["terraform_data.a"]
    stack.destroy()
    assert stack.state() == []


def test_a_call_that_the_emulator_lacks_is_said_at_once(terraform, tmp_path):
    cloud = EmulatedCloud(tmp_path / "cloud")
    cloud.up()
    try:
        stack = terraform(HEAD + RESERVATION, cloud)
        stack.init()
        with pytest.raises(Unavailable, match="The emulator lacks this call of ec2"):
            stack.apply()
        assert stack.seconds["apply"] < 60
    finally:
        cloud.down(purge=True)


def test_the_override_lies_there_only_while_terraform_runs(terraform, tmp_path):
    cloud = EmulatedCloud(tmp_path / "cloud")
    cloud.up()
    try:
        stack = terraform(HEAD, cloud)
        stack.init()
        assert sorted(path.name for path in stack.folder.glob("*.tf")) == ["main.tf"]
    finally:
        cloud.down(purge=True)


def test_the_mirror_refuses_a_provider_that_is_another(tmp_path, monkeypatch):
    monkeypatch.setattr("labkit.terraform.program.PROVIDER_SHA256", "0" * 64)
    with pytest.raises(Unavailable, match="not the one that HashiCorp built"):
        mirror(tmp_path / "mirror")
    assert not list((tmp_path / "mirror").rglob("terraform-provider-aws*"))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "main.tf",
            'resource "x" "a" {\n  provisioner "local-exec" {\n    command = "id"\n  }\n}\n',
        ),
        (
            "main.tf",
            'resource "x" "a" {\n  provisioner local-exec {\n    command = "id"\n  }\n}\n',
        ),
        ("modules/deep/x.tf", 'data "external" "a" {\n  program = ["id"]\n}\n'),
        ("main.tf", 'provider "aws" {\n  shared_credentials_file = "mine"\n}\n'),
        ("main.tf.json", "{}"),
        ("tests/a.tftest.hcl", 'provider "aws" {\n  profile = "p"\n}\n'),
    ],
)
def test_what_would_run_a_program_is_refused_unread(tmp_path, name, text):
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text(text)
    with pytest.raises(TerraformFault, match=name.split("/")[-1]):
        refuse_programs(tmp_path)


def test_words_in_comments_are_not_refused(tmp_path):
    (tmp_path / "main.tf").write_text(
        '# A provisioner "x" { would run a program; profile = "x" too.\n' + PLAIN
    )
    refuse_programs(tmp_path)
