"""Sandboxes that are forked from a loaded process: as isolated as fresh ones, many at a time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from labkit.errors import Unavailable, WorkFault
from labkit.isolation import janitor
from labkit.isolation.cgroups import places
from labkit.isolation.limits import MIB, Limits
from labkit.isolation.zygote import Forked, Zygote

from .conftest import need_sandbox, sandboxed_processes, until

WORK = """
import json, os, subprocess, sys, time
LOADED = os.getpid()
def preload(modules):
    def work(task, answers):
        scope = {"say": lambda value: os.write(answers, json.dumps(value).encode() + b"\\n")}
        exec(task["code"], {**globals(), **scope})
    return work
"""
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may make control groups and other users")


@pytest.fixture(scope="module")
def zygote(tmp_path_factory) -> Iterator[Zygote]:
    need_sandbox()
    file = tmp_path_factory.mktemp("zygote") / "work.py"
    file.write_text(WORK)
    with Zygote(file) as made:
        yield made


@pytest.fixture
def fork(zygote, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()

    def forked(code: str, seconds: float = 20.0, folder: Path = empty, **limits) -> tuple[list, Forked]:
        heard = bytearray()
        made = zygote.fork({"code": code}, folder=folder, limits=Limits(**limits))
        made.in_time = made.read(seconds, heard.extend)
        return [json.loads(line) for line in heard.splitlines()], made

    return forked


def test_it_is_nobody_sees_little_and_starts_without_our_variables(fork, tmp_path):
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "mine").write_text("mine")
    said, forked = fork(
        "status = dict(line.split(':\\t', 1) for line in open('/proc/self/status'))\n"
        "say([status[n].strip() for n in ('CapEff', 'CapBnd', 'NoNewPrivs', 'Seccomp')])\n"
        "say([os.listdir('.'), sorted(os.listdir('/')), os.getpid(), os.path.exists('/root')])\n"
        "say(open('/proc/self/environ').read())\n"
        "say(sorted(os.environ))\n"
        "say([os.readlink(f'/proc/self/fd/{n}').split(':')[0] for n in (0, 1, 2)])\n"
        "say([os.path.exists(f'/proc/self/fd/{n}') for n in range(3, 64)].count(True))\n"
        "say([line.split(':')[0].strip() for line in open('/proc/net/dev').readlines()[2:]])\n"
        "open('left', 'w').write('x')",
        folder=tmp_path / "work",
    )
    with forked:
        assert said[0] == ["0" * 16, "0" * 16, "1", "2"]
        files, top, pid, root = said[1]
        assert (files, pid, root) == (["mine"], 2, False)
        assert (
            {"home", "usr", "proc", "tmp"}
            <= set(top)
            <= set(top) - {"root", "sys", "work", "old"} | {Path(sys.prefix).parts[1]}
        )
        assert not set(os.environ) & {"PYTEST_CURRENT_TEST"} & set(said[2].replace("=", "\0").split("\0"))
        assert "HOME" in said[3]
        assert said[4] == ["/dev/null", "pipe", "pipe"]
        assert said[5] == 1  # where it answers
        assert said[6] == ["lo"]
        assert (forked.home / "left").read_text() == "x"
        assert forked.log == b""


def test_each_has_a_user_files_and_processes_of_its_own(zygote, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    code = (
        "open('/tmp/mine', 'w').write('x'); open('/dev/shm/mine', 'w')\n"
        "time.sleep(0.5)\n"
        "say([os.getuid(), os.listdir('/tmp'), sorted(map(int, filter(str.isdigit, os.listdir('/proc'))))])"
    )
    heard: list[bytearray] = [bytearray() for _ in range(4)]

    def one(number: int) -> None:
        with zygote.fork({"code": code}, folder=empty, limits=Limits()) as forked:
            forked.read(20, heard[number].extend)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    facts = [json.loads(text) for text in heard]
    ours = {Path(sys.prefix).parts[2]} if Path(sys.prefix).is_relative_to("/tmp") else set()
    assert all(set(files) - ours == {"mine"} for _, files, _ in facts)
    assert all(processes == [1, 2] for *_, processes in facts)
    if os.geteuid() == 0:
        assert len({fact[0] for fact in facts}) == 4


def test_it_can_not_write_to_what_it_sees_nor_leave(fork):
    said, forked = fork(
        "import ctypes\nlibc = ctypes.CDLL(None)\n"
        "def tried(action):\n"
        "    try: return action() or 'done'\n"
        "    except OSError as error: return type(error).__name__\n"
        f"paths = ('/usr/x', '/etc/passwd', {sys.executable!r}, '/dev/x', '/x')\n"
        "say([tried(lambda: open(path, 'a')) for path in paths])\n"
        "say([libc.unshare(0x10000000), libc.chroot(b'/tmp'), libc.ptrace(16, 1, 0, 0)])\n"
        "say(tried(lambda: open('/proc/1/mem', 'rb')))\n"
        "say(tried(lambda: os.kill(1, 9)))",
    )
    forked.close()
    assert set(said[0]) <= {"OSError", "PermissionError"}
    assert said[1] == [-1, -1, -1]
    assert said[2] == "PermissionError"


@pytest.mark.skipif(not [p for p in places() if p.controller == "memory"], reason="no control group here")
def test_memory_is_bound(fork):
    _, forked = fork("block = os.urandom(1 << 20) * 300", memory_bytes=150 * MIB)
    forked.close()
    assert forked.memory_ran_out


def test_time_processes_disk_and_output_are_bound(fork):
    said, forked = fork("say('so far')\nwhile True: pass", seconds=0.5)
    forked.close()
    assert said == ["so far"]
    assert not forked.in_time
    said, forked = fork(
        "n = 0\ntry:\n"
        "    while True:\n        if os.fork() == 0: time.sleep(60)\n        n += 1\n"
        "except OSError: say(n)\nos._exit(0)",
        processes=15,
    )
    forked.close()
    assert said[0] < 15
    said, forked = fork(
        "n = 0\ntry:\n"
        "    while True: open(str(n), 'wb').write(bytes(1 << 20)); n += 1\nexcept OSError: say(n)",
        disk_bytes=8 * MIB,
    )
    forked.close()
    assert 4 <= said[0] <= 8
    said, forked = fork("os.write(1, b'x' * 1_000_000)\nsay('done')", output_bytes=1000)
    forked.close()
    assert said == ["done"]
    assert len(forked.log) == 1000


@as_root
def test_daemons_end_with_it(fork):
    _, forked = fork(
        "if os.fork() == 0:\n    os.setsid()\n    if os.fork(): os._exit(0)\n"
        "    os.closerange(0, 64)\n    time.sleep(99)"
    )
    forked.close()
    assert not sandboxed_processes()


def test_what_does_not_fit_is_said(zygote, tmp_path):
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "big").write_bytes(bytes(3 * MIB))
    with pytest.raises(WorkFault, match="don't fit"):
        zygote.fork({"code": ""}, folder=tmp_path / "work", limits=Limits(disk_bytes=2 * MIB))


def test_a_file_that_can_not_be_loaded_is_said(tmp_path):
    need_sandbox()
    (tmp_path / "work.py").write_text("import nothing_of_that_name")
    with pytest.raises(Unavailable, match="nothing_of_that_name"):
        Zygote(tmp_path / "work.py")
    (tmp_path / "work.py").write_text(
        "import threading, time\ndef preload(modules):\n"
        "    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
    )
    with pytest.raises(Unavailable, match="2 threads"):
        Zygote(tmp_path / "work.py")


@as_root
def test_when_the_one_who_started_it_is_killed_all_ends(tmp_path, monkeypatch):
    (tmp_path / "work.py").write_text(WORK)
    (tmp_path / "empty").mkdir()
    code = (
        "from pathlib import Path\n"
        "from labkit.isolation.zygote import Zygote\nfrom labkit.isolation.limits import Limits\n"
        f"here = Path({str(tmp_path)!r})\nzygote = Zygote(here / 'work.py')\nprint(zygote._process.pid)\n"
        "forked = zygote.fork({'code': 'time.sleep(99)'}, folder=here / 'empty', limits=Limits())\n"
        "print('started', flush=True)\nforked.read(99, print)"
    )
    (tmp_path / "tmp").mkdir()
    variables = {**os.environ, "TMPDIR": str(tmp_path / "tmp")}
    starting = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=variables
    )
    with starting as starter:
        assert starter.stdout is not None
        loaded = int(starter.stdout.readline())
        assert starter.stdout.readline() == "started\n"
        assert until(lambda: bool(sandboxed_processes(starter.pid)))
        starter.send_signal(signal.SIGKILL)
    assert until(lambda: not sandboxed_processes(starter.pid))
    assert until(lambda: not Path(f"/proc/{loaded}").exists())
    assert list((tmp_path / "tmp").iterdir())
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    janitor.clear()
    assert list((tmp_path / "tmp").iterdir()) == []
