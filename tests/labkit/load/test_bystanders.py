from __future__ import annotations

import math
import os
import subprocess
import sys
import time

from labkit.load.bystanders import Bystanders, listening_process

BUSY = [sys.executable, "-c", "print(1, flush=True)\nwhile True: pass"]


def busy_loop():
    process = subprocess.Popen(BUSY, stdout=subprocess.PIPE)
    process.stdout.readline()
    return process


def test_another_program_counts_and_the_server_does_not():
    server, other = busy_loop(), busy_loop()
    try:
        beside_other, beside_none = Bystanders(server.pid), Bystanders(os.getpid())
        time.sleep(1.0)
        # Both loops descend from this process; to the first server, the second is a stranger.
        assert beside_other.share() > beside_none.share()
    finally:
        for process in (server, other):
            process.kill()
            process.communicate()


def test_without_a_server_nothing_is_known():
    assert math.isnan(Bystanders(None).share())


def test_a_server_that_has_gone_is_not_known():
    process = busy_loop()
    process.kill()
    process.communicate()
    assert math.isnan(Bystanders(process.pid).share())


def test_who_listens_is_found_on_this_machine_alone(serve):
    from tests.labkit.load import servers

    server = serve(servers.well_behaved)
    assert listening_process(server.url) == os.getpid()
    assert listening_process("http://192.0.2.1:80/") is None
    assert listening_process("http://127.0.0.1:9/") is None
