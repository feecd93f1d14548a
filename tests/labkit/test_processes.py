import subprocess
import sys
import time

import psutil
import pytest

from labkit.processes import LOG_BYTES, Process


def python(code, tmp_path):
    return Process([sys.executable, "-c", code], cwd=tmp_path, log=tmp_path / "log")


def wait_for(condition, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def lives(pid):
    """Whether it runs; one that has ended and was not yet collected by its parent does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_stop_ends_the_whole_family_also_what_ignores_sigterm(tmp_path):
    stubborn = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up'); time.sleep(60)"
    )
    process = python(
        f"import subprocess, sys; subprocess.run([sys.executable, '-c', {stubborn!r}])", tmp_path
    )
    wait_for(lambda: "up" in process.last_lines())
    family = process.family()
    assert len(family) == 2
    process.stop(grace=0.3)
    wait_for(lambda: not any(lives(member.pid) for member in family))


def test_the_log_is_capped_and_the_writer_never_waits(tmp_path):
    process = python(f"print('x' * {LOG_BYTES * 3}); print('end')", tmp_path)
    wait_for(lambda: process.exit_code is not None)
    process.stop()
    assert process.exit_code == 0
    assert LOG_BYTES <= (tmp_path / "log").stat().st_size < LOG_BYTES + 200
    assert "the rest was dropped" in process.last_lines()[-1]


@pytest.mark.skipif(
    sys.platform != "linux", reason="the kernel tells children of their parent's end on Linux only"
)
def test_a_process_ends_with_the_one_that_started_it(tmp_path):
    starter = (
        "import sys, time; from pathlib import Path; from labkit.processes import Process\n"
        "p = Process([sys.executable, '-c', 'import time; time.sleep(60)'], cwd=Path('.'), log=Path('log'))\n"
        "print(p.pid, flush=True); time.sleep(60)"
    )
    outer = subprocess.Popen([sys.executable, "-c", starter], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert outer.stdout is not None
    pid = int(outer.stdout.readline())
    outer.kill()
    outer.communicate()
    wait_for(lambda: not lives(pid))
