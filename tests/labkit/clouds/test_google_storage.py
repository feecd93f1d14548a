"""The emulated store of Google's: states that Terraform's own backend keeps there."""

from __future__ import annotations

import json

import pytest

from labkit.clouds.google_storage import GoogleStorageBeside
from labkit.errors import Unavailable
from labkit.terraform import Terraform
from labkit.terraform.shell import Shell

pytestmark = pytest.mark.slow
CONFIGURATION = """\
terraform {
  backend "gcs" {
    bucket = "states"
    prefix = "team"
  }
}

resource "terraform_data" "kept" {
  input = "speech"
}
"""


def test_a_state_is_kept_in_it(tmp_path):
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "main.tf").write_text(CONFIGURATION)
    shown = [*Terraform.shown(), *GoogleStorageBeside.shown()]
    with Shell(folder, log=tmp_path / "log", shown=shown) as shell, GoogleStorageBeside(shell) as store:
        assert not store.up()
        store.make_bucket("states")
        with Terraform(folder, store, shell=shell) as terraform:
            terraform.init()
            terraform.apply()
        assert store.objects("states") == ["team/default.tfstate"]
        state = json.loads(store.read("states", "team/default.tfstate"))
        assert [each["name"] for each in state["resources"]] == ["kept"]
        with pytest.raises(Unavailable, match="no boto3 session"):
            store.session()
