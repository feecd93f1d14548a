"""A pod's log is read while it is written; the program is a stand-in for kubectl that writes as it does."""

from pathlib import Path

import pytest

from labkit.clusters.kubectl import Kubectl
from labkit.clusters.pod_logs import PodLog

WRITES = r"""#!/bin/sh
echo "$@" > "$0.asked"
echo '2026-11-25T09:00:00.5Z {"step": 1, "loss": 2.3}'
echo '2026-11-25T09:00:01.123456789Z importing'
echo '2026-11-25T09:00:02Z {"step": 2, "loss": 2.1}'
echo '2026-11-25T09:00:03Z [3]'
printf 'half a li'
"""


@pytest.fixture
def follow(tmp_path):
    def make(script):
        program = tmp_path / "kubectl"
        program.write_text(script)
        program.chmod(0o755)
        return PodLog(Kubectl(Path("config"), "lab"), "train-0", program=program)

    return make


def test_it_keeps_what_was_said_and_when(follow, tmp_path):
    with follow(WRITES) as log:
        assert log.wait_for(2, 10)
    assert [one["step"] for one in log.said] == [1, 2]
    assert [text for _, text in log.lines][1] == "importing"
    first, last = log.timed()[0][0], log.timed()[-1][0]
    assert (last - first).total_seconds() == 1.5
    asked = (tmp_path / "kubectl.asked").read_text().split()
    assert asked == ["--kubeconfig=config", "-n", "lab", "logs", "-f", "--timestamps", "train-0"]


def test_it_stops_waiting_when_the_pod_has_ended(follow):
    with follow(WRITES) as log:
        assert not log.wait_for(3, 10)


def test_one_that_goes_on_is_ended(follow):
    log = follow("#!/bin/sh\nexec sleep 60\n")
    log.close(seconds=0.1)
    assert log.said == []
