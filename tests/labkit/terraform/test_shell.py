"""Commands across a pipe: their output, their time, and nothing of the person's own clouds."""

import os
import signal
import threading
import time

import pytest

from labkit.isolation import guard
from labkit.terraform.shell import Shell


@pytest.fixture(params=[guard.Unguarded, guard.Sandboxed])
def shell(request, tmp_path):
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "there").write_text("yes")
    with Shell(folder, log=tmp_path / "log", guard=request.param()) as running:
        yield running


def test_output_comes_line_by_line_with_the_exit_code(shell):
    lines = []
    ended = shell.run(["sh", "-c", "cat there; echo; echo two >&2; exit 3"], say=lines.append)
    assert (ended.exit_code, lines, ended.timed_out) == (3, ["yes", "two"], False)


def test_a_program_that_is_not_there_is_said(shell):
    assert shell.run(["no-such-program"]).exit_code == 127


def test_files_stay_between_two_commands_and_are_written_from_inside(shell):
    shell.run(["sh", "-c", "echo one > kept"])
    shell.write("given", "two\n")
    assert shell.run(["cat", "kept", "given"]).output == "one\ntwo"
    shell.remove("given")
    assert shell.run(["cat", "given"]).exit_code == 1


def test_when_its_time_is_up_a_command_may_let_go(shell):
    ended = shell.run(["sh", "-c", "trap 'echo let go; exit 9' INT; while :; do sleep 0.1; done"], seconds=1)
    assert ended.timed_out
    assert "let go" in ended.output
    assert ended.seconds < 8


def test_an_interrupt_reaches_the_command(shell):
    def interrupt():
        time.sleep(1)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        shell.run(["sh", "-c", "trap 'echo let go > told; exit 9' INT; while :; do sleep 0.1; done"])
    assert shell.run(["cat", "told"]).output == "let go"


def test_the_persons_own_credentials_stay_outside(tmp_path, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "GOOGLE_APPLICATION_CREDENTIALS", "TF_VAR_secret"):
        monkeypatch.setenv(name, "real")
    with Shell(tmp_path, log=tmp_path / "log") as shell:
        given = shell.run(["env"], environment={"AWS_REGION": "us-east-1"}).output
    assert "real" not in given
    assert "AWS_REGION=us-east-1" in given


def test_what_was_started_beside_ends_with_the_shell(tmp_path):
    with Shell(tmp_path, log=tmp_path / "log") as shell:
        shell.start(["sh", "-c", "echo $$ > pid; exec sleep 60"])
        deadline = time.monotonic() + 5
        while not (tmp_path / "pid").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        pid = int((tmp_path / "pid").read_text())
        os.kill(pid, 0)
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail("it still runs")
