"""Configurations that attack whoever plans or applies them, in the guard's sandbox."""

from __future__ import annotations

import contextlib
import shutil
import socket
import time

import pytest

from autograder.stacks import Stack
from labkit.errors import WorkbookError, WorkFault
from labkit.isolation import guard
from labkit.isolation.isolation import require
from labkit.terraform import TerraformFault
from labkit.terraform.stack import Terraform

try:
    require()
    MISSING = ""
except Exception as error:
    MISSING = str(error)

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(MISSING), reason=MISSING or "there is a sandbox")]

READS = """\
output "users" {
  value = file("/etc/passwd")
}

output "home" {
  value = try(join(",", fileset("/root", "*")), "none")
}

output "variables" {
  value = try(file("/proc/1/environ"), "none")
}
"""

RUNS = """\
resource "terraform_data" "attack" {
  provisioner "local-exec" {
    command = <<-EOT
      id -u > made-uid
      ls /work /root /var/run/docker.sock > made-list 2>&1
      (echo > /dev/tcp/127.0.0.1/PORT) > made-network 2>&1 && echo reached >> made-network
      ln -s /etc/shadow workbook_override.tf
      dd if=/dev/zero of=made-full bs=1M count=2000 > made-disk 2>&1
      rm -f made-full
      (sleep 300 &) ; for i in $(seq 2000); do (sleep 60 &) ; done > made-fork 2>&1
      true
    EOT
    interpreter = ["bash", "-c"]
    on_failure  = continue
  }
}
"""


@pytest.fixture
def listening():
    """A server of the machine that nobody inside may reach."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


@pytest.fixture
def stack(tmp_path, monkeypatch):
    """Makes a judged stack of a text, under the guard of grading, without the check on its words."""
    opened = []
    monkeypatch.setattr("autograder.stacks.refuse_programs", lambda folder: None)
    before = guard.current()
    guard.use(guard.Sandboxed())

    def make(text, **files):
        folder = tmp_path / f"work{len(opened)}"
        folder.mkdir()
        (folder / "main.tf").write_text(text)
        for name, content in files.items():
            (folder / name).write_text(content)
        opened.append(Stack(folder, tmp_path, say=lambda line: None))
        return opened[-1]

    yield make
    for each in opened:
        each.close()
    guard.use(before)


def read(stack, name):
    """A file that the attack left inside, by a command inside."""
    return stack.terraform.shell.run(["sh", "-c", f"head -c 4000 {name}"]).output


def test_file_reads_nothing_of_the_machine(stack):
    judged = stack(READS)
    judged.initialised  # noqa: B018
    judged.terraform.apply()
    found = judged.terraform.outputs()
    assert found["users"].count("\n") == 1, "the machine's users were read"
    assert "learner" in found["users"]
    assert found["home"] in ("none", "")
    assert "PATH" not in found["variables"] or "learner" in found["variables"]


def test_a_provisioner_does_nothing_outside(stack, listening):
    judged = stack(RUNS.replace("PORT", str(listening.getsockname()[1])))
    judged.initialised  # noqa: B018
    began = time.monotonic()
    with contextlib.suppress(WorkbookError):  # it may well have ended itself
        judged.terraform.apply()
    assert time.monotonic() - began < 120
    with pytest.raises(BlockingIOError):
        listening.accept()
    home = judged.terraform.shell.home
    left = {path.name for path in home.iterdir()}
    assert (home / "workbook_override.tf").is_symlink() or "workbook_override.tf" not in left
    judged.close()
    assert not list(home.glob("made-*"))


def test_a_link_planted_for_us_is_not_written_through(stack, tmp_path):
    target = tmp_path / "outside"
    target.write_text("ours")
    judged = stack("")
    judged.terraform.shell.run(["ln", "-s", str(target), "workbook_override.tf"])
    with pytest.raises(WorkFault, match=r"workbook_override\.tf: No such file"):
        judged.initialised  # noqa: B018
    assert target.read_text() == "ours"


def test_a_provider_of_their_own_is_not_taken(stack, tmp_path):
    text = 'terraform {\n  required_providers {\n    evil = { source = "example.com/evil/evil" }\n  }\n}\n'
    with pytest.raises(TerraformFault, match="can't be had here"):
        stack(text).initialised  # noqa: B018


def test_a_module_from_elsewhere_is_not_fetched(stack):
    for source in ("git::https://example.com/x.git", "https://example.com/x.zip"):
        judged = stack(f'module "m" {{\n  source = "{source}"\n}}\n')
        with pytest.raises(TerraformFault):
            judged.initialised  # noqa: B018
        judged.close()


def test_what_terraform_left_of_theirs_is_not_taken_along(stack, tmp_path):
    folder = tmp_path / "planted"
    (folder / ".terraform" / "providers").mkdir(parents=True)
    (folder / ".terraform.lock.hcl").write_text("not a lock")
    (folder / "terraform.tfstate").write_text("{}")
    (folder / "main.tf").write_text('resource "terraform_data" "a" {}\n')
    with Stack(folder, tmp_path, say=lambda line: None) as judged:
        assert judged.plan.changes[0].actions == ("create",)
    shutil.rmtree(folder)


def test_the_sandbox_shows_only_what_terraform_needs():
    shown = {each.inside for each in Terraform.shown()}
    assert all("autograder" not in place and "rubrics" not in place for place in shown)
