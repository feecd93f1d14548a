"""Where the learner's backends keep a state, seen in the stores: lab 5."""

import shutil

from autograder.rubric import progress
from autograder.rubrics.week12_iac.conftest import STATE_BUCKET, prepare
from labkit.clouds.beside import AccountBeside
from labkit.clouds.google_storage import GoogleStorageBeside
from labkit.errors import WorkFault
from labkit.terraform import Terraform, hcl
from labkit.terraform.programs import refuse_programs
from labkit.terraform.shell import Shell


def backend_of(folder, kind):
    """The backend block of that kind in a configuration; an empty one if there is none."""
    for block in hcl.blocks_of(folder):
        for found in block.of("backend") if block.type == "terraform" else ():
            if found.labels == (kind,):
                return found
    return hcl.Block("backend", (kind,), {}, (), 0)


def kept_in(cloud, submitted, scratch):
    """What lies in a cloud's place for states when something was applied with the learner's backend there.

    Raises:
        WorkFault: It can't be applied with it.
    """
    live, folder = submitted / "live" / cloud, scratch / f"state-{cloud}"
    if (live / "backend.tf").is_symlink() or not (live / "backend.tf").is_file():
        raise WorkFault(f"There is no backend.tf in live/{cloud}.")
    folder.mkdir()
    shutil.copyfile(live / "backend.tf", folder / "backend.tf")
    refuse_programs(folder)
    # What is applied needs no provider: where the state goes is the backend's business alone.
    (folder / "main.tf").write_text('resource "terraform_data" "platform" {\n  input = "speech"\n}\n')
    shown = [*Terraform.shown(), *AccountBeside.shown(), *GoogleStorageBeside.shown()]
    with Shell(folder, log=scratch / f"state-{cloud}.log", shown=shown) as shell:
        return (_in_s3 if cloud == "aws" else _in_google)(folder, shell)


def _in_s3(folder, shell):
    account = AccountBeside(shell)
    account.up()
    try:
        prepare(account.session())
        _apply(folder, account, shell)
        found = account.session().client("s3").list_objects_v2(Bucket=STATE_BUCKET)
        return [each["Key"] for each in found.get("Contents", [])]
    finally:
        account.down()


def _in_google(folder, shell):
    with GoogleStorageBeside(shell) as store:
        store.make_bucket(STATE_BUCKET)
        _apply(folder, store, shell)
        return store.objects(STATE_BUCKET)


def _apply(folder, cloud, shell):
    with Terraform(folder, cloud, say=progress, shell=shell) as terraform:
        terraform.init()
        terraform.apply()
