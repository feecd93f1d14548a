"""Labs with the network cut: in a network namespace that has a loopback device and nothing else."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from autograder import resources
from labkit.course import find_course
from labkit.errors import Unavailable

WEEK = "week12"


@pytest.mark.nightly
def test_a_prefetched_week_runs_with_the_network_cut(tmp_path):
    if os.geteuid() != 0 or shutil.which("unshare") is None or shutil.which("ip") is None:
        pytest.skip("cutting the network off takes root, unshare and ip")
    try:
        resources.require("cloud")
    except Unavailable as lacking:
        pytest.skip(str(lacking))
    workbook = [str(Path(sys.executable).with_name("workbook"))]
    subprocess.run([*workbook, "prefetch", WEEK], cwd=find_course().root, check=True, timeout=900)
    # One that runs already is outside the namespace, and the one that is started in it is of no use after.
    subprocess.run([*workbook, "down", "cloud"], cwd=find_course().root, check=True)
    script = 'ip link set lo up; ! ip route | grep -q . && exec "$@"'
    ran = subprocess.run(
        ["unshare", "--net", "sh", "-c", script, "sh", *workbook, "run", WEEK, "-p", "FAST", "True"],
        cwd=find_course().root,
        capture_output=True,
        text=True,
        timeout=1200,
    )
    subprocess.run([*workbook, "down", "cloud"], cwd=find_course().root, check=True)
    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-2000:]
