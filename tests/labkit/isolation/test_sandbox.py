"""A fresh sandbox: who it is, what it sees, what it may use, and that nothing of it is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from labkit.errors import Unavailable, WorkFault
from labkit.isolation import isolation, janitor, stage
from labkit.isolation.cgroups import left_behind, places
from labkit.isolation.limits import MIB, Limits
from labkit.isolation.mounts import Shown
from labkit.isolation.privileges import FIRST_UID
from labkit.isolation.sandbox import Sandbox, probe

from .conftest import said, sandboxed_processes, until

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may make control groups and other users")


def mounted_on_tmp() -> list[str]:
    """The mounts of this machine where a sandbox makes its own."""
    places = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    return [
        place for place in places if place == stage.PLACE or place.startswith((stage.DISK, stage.staged(0)))
    ]


def bound(controller: str) -> bool:
    return any(place.controller == controller for place in places())


def test_it_is_nobody_and_may_do_nothing(run):
    facts = said(
        run(
            "import json, os, re\n"
            "status = dict(re.findall(r'^(\\w+):\\t(.*)$', open('/proc/self/status').read(), re.M))\n"
            "names = ('CapEff', 'CapBnd', 'CapPrm', 'NoNewPrivs', 'Seccomp', 'Groups', 'Uid')\n"
            "print(json.dumps({name: status[name].split() for name in names}))"
        )
    )
    assert {facts[name][0] for name in ("CapEff", "CapBnd", "CapPrm")} == {"0" * 16}
    assert (facts["NoNewPrivs"], facts["Seccomp"]) == (["1"], ["2"])
    if os.geteuid() == 0:
        assert facts["Groups"] == []
        assert len(set(facts["Uid"])) == 1
        assert int(facts["Uid"][0]) > FIRST_UID


def test_it_sees_programs_its_files_and_what_is_shown(run, tmp_path):
    hidden = tmp_path / "only-root"
    (hidden / "shown").mkdir(parents=True)
    (hidden / "shown" / "file").write_text("read me")
    (hidden / "secret").write_text("not me")
    hidden.chmod(0o700)
    work = tmp_path / "work"
    (work / "folder").mkdir(parents=True)
    (work / "folder" / "file").write_text("mine")
    (work / "link").symlink_to("/etc/shadow")
    facts = said(
        run(
            "import json, os\n"
            "def can(action):\n"
            "    try: return action()\n"
            "    except OSError: return None\n"
            f"print(json.dumps([open('{hidden}/shown/file').read(), can(lambda: os.listdir('{hidden}')),\n"
            f"  can(lambda: open('{hidden}/shown/file', 'w')), os.listdir('.'), open('folder/file').read(),\n"
            "  can(lambda: os.mkdir('/new')), can(lambda: os.listdir('/root')), sorted(os.environ),\n"
            "  open('/proc/1/environ').read() if can(lambda: open('/proc/1/environ')) else '',\n"
            "  sorted(map(int, filter(str.isdigit, os.listdir('/proc'))))]))",
            folder=work,
            shown=[Shown(hidden / "shown")],
            environment={"GIVEN": "1"},
        )
    )
    assert facts[:7] == ["read me", ["shown"], None, ["folder"], "mine", None, None]
    assert set(facts[7]) - {"PWD", "LC_CTYPE"} == {"GIVEN", "HOME", "LANG", "PATH", "PYTHONUNBUFFERED"}
    assert facts[8] == ""
    assert max(facts[9]) < 10


def test_it_has_a_network_with_nothing_but_itself(run):
    facts = said(
        run(
            "import json, os, socket\n"
            "server = socket.create_server(('127.0.0.1', 0))\n"
            "client = socket.create_connection(server.getsockname())\n"
            "lines = open('/proc/net/dev').read().splitlines()[2:]\n"
            "print(json.dumps([line.split(':')[0].strip() for line in lines]))"
        )
    )
    assert facts == ["lo"]


def test_calls_that_reach_out_are_refused(run):
    facts = said(
        run(
            "import ctypes, json, os, threading\n"
            "libc = ctypes.CDLL(None, use_errno=True)\n"
            "def number(call):\n"
            "    return ctypes.get_errno() if call() < 0 else 0\n"
            "thread = threading.Thread(target=lambda: None); thread.start(); thread.join()\n"
            "calls = [lambda: libc.unshare(0x10000000), lambda: libc.ptrace(0, 0, 0, 0),\n"
            "  lambda: libc.mount(b'x', b'/tmp', b'tmpfs', 0, None), lambda: libc.chroot(b'/tmp'),\n"
            "  lambda: libc.syscall(435, 0, 0), lambda: libc.socket(40, 1, 0)]\n"
            "print(json.dumps([number(call) for call in calls]))"
        )
    )
    assert facts == [1, 1, 1, 1, 38, 97]  # EPERM four times, ENOSYS, EAFNOSUPPORT


@pytest.mark.skipif(not bound("memory"), reason="no control group can be made here")
def test_memory_is_bound_for_all_processes_together(run):
    greedy = run(
        "import os, time\nfor _ in range(3): os.fork()\nblock = os.urandom(1 << 20) * 60\ntime.sleep(1)",
        limits=Limits(memory_bytes=200 * MIB),
    )
    assert greedy.memory_ran_out
    modest = run("block = bytes(60 << 20)", limits=Limits(memory_bytes=200 * MIB))
    assert not modest.memory_ran_out
    assert modest.exit_code == 0


def test_processes_are_bound(run):
    sandbox = run(
        "import json, os, time\ncount = 0\ntry:\n"
        "    while True:\n"
        "        if os.fork() == 0: time.sleep(60)\n"
        "        count += 1\n"
        "except OSError: print(json.dumps(count), flush=True)\nos._exit(0)",
        limits=Limits(processes=20),
    )
    assert 10 < said(sandbox) < 20


@pytest.mark.skipif(not bound("cpu"), reason="no control group can be made here")
def test_processors_are_bound(run):
    facts = said(
        run(
            "import json, os, time\nbegan = time.monotonic()\nos.fork()\n"
            "while time.monotonic() - began < 1.5: pass\n"
            "if os.getpid() > 2: os._exit(0)\nos.wait()\n"
            "print(json.dumps([sum(os.times()[:4]), time.monotonic() - began]))",
            limits=Limits(cores=0.3),
        )
    )
    used, wall = facts
    assert used <= 0.3 * wall + 0.15  # a quota is never exceeded, however busy the machine is


def test_the_disk_is_bound_in_bytes_and_files(run):
    facts = said(
        run(
            "import json\n"
            "def most(folder, count, size):\n"
            "    for n in range(count):\n"
            "        try: open(f'{folder}/{n}', 'wb').write(bytes(size))\n"
            "        except OSError: return n\n"
            "    return count\n"
            "print(json.dumps([most('.', 300, 0), most('/tmp', 40, 1), most('/dev/shm', 40, 1)]))",
            limits=Limits(disk_bytes=20 * MIB, files=200),
        )
    )
    # The folders share one disk; a checkout below /tmp takes some of its files as places to be mounted on.
    assert 190 <= facts[0] <= 200
    assert facts[1:] == [0, 0]
    by_bytes = said(
        run(
            "import json\nn = 0\ntry:\n    while True: open(str(n), 'wb').write(bytes(1 << 20)); n += 1\n"
            "except OSError: print(json.dumps(n))",
            limits=Limits(disk_bytes=20 * MIB),
        )
    )
    assert 15 <= by_bytes <= 20


def test_output_is_cut_and_read_away(run):
    sandbox = run("print('x' * 5_000_000)", limits=Limits(output_bytes=1000))
    assert sandbox.exit_code == 0
    assert len(sandbox.log.read_bytes()) < 1100


def test_what_it_left_can_be_read_after_its_end(run):
    sandbox = run("open('made', 'w').write('by me')\nraise SystemExit(7)")
    assert sandbox.exit_code == 7
    assert (sandbox.home / "made").read_text() == "by me"


def test_files_that_do_not_fit_are_the_learner_s_fault(run, tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    (work / "big").write_bytes(bytes(3 * MIB))
    with pytest.raises(WorkFault, match="don't fit"):
        run("pass", folder=work, limits=Limits(disk_bytes=2 * MIB))


def test_covered_folders_look_empty(run, tmp_path):
    (tmp_path / "shown" / "below").mkdir(parents=True)
    (tmp_path / "shown" / "below" / "answer").write_text("42")
    inside = f"{tmp_path}/shown"
    code = f"import json, os\nprint(json.dumps([os.listdir('{inside}'), os.listdir('{inside}/below')]))"
    sandbox = run(code, shown=[Shown(tmp_path / "shown")], covered=[f"{inside}/below"])
    assert said(sandbox) == [["below"], []]


@as_root
def test_nothing_is_left_running(run):
    sandbox = run(
        "import os, time\nif os.fork() == 0:\n    os.setsid()\n    os.fork() and exit()\n    time.sleep(99)",
        seconds=0,
    )
    sandbox.wait(20)
    groups = list(sandbox.group.folders.values())
    sandbox.stop()
    assert not sandboxed_processes()
    assert not [folder for folder in groups if folder.exists()]


@as_root
def test_a_killed_starter_leaves_groups_alone_and_the_janitor_takes_those(tmp_path):
    mounts = mounted_on_tmp()
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom labkit.isolation.sandbox import Sandbox\n"
        f"log = Path({str(tmp_path / 'log')!r})\n"
        "made = Sandbox([sys.executable, '-c', 'import time; time.sleep(99)'], log=log)\n"
        "print('started', flush=True)\ntime.sleep(99)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        assert starter.stdout.readline() == "started\n"
        assert sandboxed_processes(starter.pid)
        starter.send_signal(signal.SIGKILL)
    assert until(lambda: not sandboxed_processes(starter.pid))
    assert until(lambda: janitor.clear() >= 0 and not list(left_behind()))
    assert mounted_on_tmp() == mounts


@as_root
def test_without_root_it_isolates_as_well(tmp_path):
    tmp_path.chmod(0o777)
    for parent in tmp_path.parents[:2]:
        parent.chmod(0o755)
    code = (
        "import sys\nfrom pathlib import Path\nfrom labkit.isolation.sandbox import Sandbox\n"
        'inside = \'import os; print(os.path.exists("/root"), sorted(os.listdir("/home")))\'\n'
        f"with Sandbox([sys.executable, '-c', inside], log=Path({str(tmp_path / 'log')!r})) as made:\n"
        "    made.wait(20); made.stop(); print(made.last_lines(1)[0], made.exit_code); print(made.isolation)"
    )
    answer = subprocess.run(
        ["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups", sys.executable, "-B", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[3],
    )
    if "can't open file" in answer.stderr or "Permission denied" in answer.stderr:
        pytest.skip("this repository can't be read by others")
    lines = answer.stdout.splitlines()
    assert lines[0] == "False ['learner'] 0", answer.stderr
    assert lines[1].startswith("sandbox: our user in a namespace of its own, no network")


def test_a_sandbox_that_does_not_work_here_is_found_before_anything_is_graded(monkeypatch, tmp_path):
    assert probe().sandboxed
    probe.cache_clear()
    (tmp_path / "bwrap").write_text(
        "#!/bin/sh\necho 'bwrap: No permissions to create a new namespace' >&2\nexit 1\n"
    )
    (tmp_path / "bwrap").chmod(0o755)
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents[:2]:
        parent.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin")
    isolation.require.cache_clear()
    with pytest.raises(Unavailable, match="could not be started"):
        probe()
    monkeypatch.undo()
    isolation.require.cache_clear()
    assert probe().sandboxed


def test_without_bubblewrap_it_says_what_brings_it(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    isolation.require.cache_clear()
    with pytest.raises(Unavailable, match=r"bubblewrap is not installed. To install: .*apt-get install"):
        Sandbox(["true"], log=tmp_path / "log")
    monkeypatch.undo()
    isolation.require.cache_clear()


@pytest.mark.parametrize(
    ("name", "value"),
    [("user/max_user_namespaces", "0"), ("kernel/apparmor_restrict_unprivileged_userns", "1")],
)
def test_closed_user_namespaces_are_found_by_reading(tmp_path, name, value):
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).write_text(f"{value}\n")
    assert isolation._closed(tmp_path) == f"{name.replace('/', '.')} is {value}."
