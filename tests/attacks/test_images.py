"""Images as attacks: what a hostile Dockerfile or container can't do to the machine or to others' work."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from attacks.fenced_engine import IMAGE, fenced_engine

from labkit.engines import BuildFault, fenced, machine
from labkit.engines.docker import DockerEngine
from labkit.errors import Unavailable, WorkFault
from labkit.isolation.limits import MIB, Limits

BASE = f"FROM {IMAGE}\n"
LIMITS = Limits(memory_bytes=400 * MIB, processes=200, cores=2.0, disk_bytes=1500 * MIB)


@pytest.fixture(scope="module")
def engine():
    with fenced_engine("workbook-attacks", LIMITS) as engine:
        yield engine


@pytest.fixture(autouse=True)
def usable_afterwards(engine):
    yield
    with engine.run(IMAGE, ["python3", "-c", "print(6 * 7)"]) as container:
        assert container.wait(30).text == "42\n"


@pytest.fixture
def attack(engine, tmp_path):
    """Builds a Dockerfile with these lines, and a program that a step may run; gives what it printed."""

    def build(*lines: str, program: str = "", seconds: float = 60) -> str:
        (tmp_path / "attack.py").write_text(program)
        run = ["COPY attack.py /", "RUN python3 /attack.py"] if program else []
        (tmp_path / "Dockerfile").write_text("\n".join([BASE.strip(), *run, *lines]) + "\n")
        return engine.build(tmp_path, fresh=True, seconds=seconds).log

    return build


def test_a_build_that_forks_without_end(attack, engine):
    program = "import os\nwhile True:\n    os.fork()\n"
    # Of a thousand processes' last words, the one that names the limit may not be among those that came out.
    with pytest.raises(BuildFault, match=r"A step started more processes than a build may have|os\.fork\(\)"):
        attack(program=program)
    deadline = time.monotonic() + 10
    while machine.processes_in_cgroup(f"{engine.daemon.group}/containers"):
        assert time.monotonic() < deadline, "its processes go on"
        time.sleep(0.1)


def test_a_build_that_fills_the_disk(attack):
    free = psutil.disk_usage("/var/tmp").free
    with pytest.raises(BuildFault, match="A step filled the disk that the build has"):
        attack("RUN dd if=/dev/zero of=/big bs=1M")
    assert free - psutil.disk_usage("/var/tmp").free < LIMITS.disk_bytes * 1.2


def test_a_build_that_takes_all_memory(attack):
    program = "kept = []\nwhile True:\n    kept.append(bytearray(50 << 20))\n"
    with pytest.raises(BuildFault, match="A step took more memory than a build may have"):
        attack(program=program)


def test_a_build_that_hangs(attack):
    with pytest.raises(BuildFault, match="not built within 3 s: it was still at `RUN sleep"):
        attack("RUN sleep 1000", seconds=3)


ESCAPES = """
import ctypes, os, stat
libc = ctypes.CDLL(None, use_errno=True)

def tried(name, how):
    try:
        how()
        print("ESCAPED by", name)
    except OSError as error:
        print(name, "was refused:", error.strerror)

def mount(source, kind):
    os.makedirs("/mnt/x", exist_ok=True)
    if libc.mount(source, b"/mnt/x", kind, 0, None):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

def device(name, kind, number):
    os.mknod(name, kind | 0o600, os.makedev(*number))
    os.read(os.open(name, os.O_RDONLY), 1)

def own_cgroup():
    open("/sys/fs/cgroup/memory/memory.limit_in_bytes", "w").write("-1")

for source, kind in ((b"proc", b"proc"), (b"tmpfs", b"tmpfs"), (b"/dev/vda", b"ext4")):
    tried(f"mount of {source}", lambda: mount(source, kind))
tried("the disk", lambda: device("/tmp/disk", stat.S_IFBLK, (254, 0)))
tried("memory", lambda: device("/tmp/mem", stat.S_IFCHR, (1, 1)))
tried("a control group", own_cgroup)
tried("a kernel setting", lambda: open("/proc/sys/kernel/core_pattern", "w").write("|/x"))
tried("the clock", lambda: __import__("time").clock_settime(0, 1))
for name in ("/var/run/docker.sock", "/run/docker.sock", "/run/ml-workbook", "/var/lib/ml-workbook"):
    tried(name, lambda: os.stat(name))
print("users:", open("/proc/self/uid_map").read().split())
print("processes:", [name for name in os.listdir("/proc") if name.isdigit()][:5])
"""


def test_a_build_that_wants_the_host(attack):
    said = attack(program=ESCAPES)
    assert "was refused" in said
    assert "ESCAPED" not in said
    assert "users: ['0', '1800000000', '65536']" in said
    with pytest.raises(BuildFault):
        attack("RUN --mount=type=bind,source=/etc,target=/host cat /host/shadow")
    with pytest.raises(BuildFault):
        attack("RUN --security=insecure true")


REACH = """
import socket, urllib.request
places = {places!r}
for place in places:
    try:
        socket.create_connection(tuple(place), 2).close()
        print("REACHED", place)
    except OSError as error:
        print(place, "refused:", error)
for place in [*map(":".join, [(host, str(port)) for host, port in places]), "example.com:443"]:
    with socket.create_connection(("10.201.0.1", 3128), 5) as proxy:
        proxy.sendall(f"CONNECT {{place}} HTTP/1.1\\r\\n\\r\\n".encode())
        print("the proxy to", place, "says", proxy.recv(100).split(b"\\r\\n")[0])
    with socket.create_connection(("10.201.0.1", 3128), 5) as proxy:
        proxy.sendall(f"GET http://{{place}}/ HTTP/1.1\\r\\n\\r\\n".encode())
        print("the proxy to", place, "says", proxy.recv(100).split(b"\\r\\n")[0])
with socket.create_connection(("10.201.0.1", 3128), 5) as proxy:
    proxy.sendall(b"A" * 100_000)
"""


@pytest.fixture
def listener():
    """A socket on all addresses of this machine that nobody may connect to."""
    with socket.create_server(("0.0.0.0", 0)) as listening:
        listening.setblocking(False)
        yield listening
        with pytest.raises(BlockingIOError):
            listening.accept()


@pytest.fixture
def program(listener):
    addresses = {
        a.address for each in psutil.net_if_addrs().values() for a in each if a.family == socket.AF_INET
    }
    port = listener.getsockname()[1]
    places = [(address, port) for address in sorted(addresses)]
    return REACH.format(places=[*places, ("10.201.0.1", 2375), ("10.201.0.1", 22), ("1.1.1.1", 53)])


def test_a_build_that_wants_the_network(attack, program):
    said = attack(program=program)
    assert "REACHED" not in said
    assert "403 Forbidden" in said
    assert "HTTP/1.1 200" not in said


def test_a_container_that_reaches_out(engine, program):
    with engine.run(IMAGE, ["python3", "-c", program]) as container:
        said = container.wait(60).text
    assert "REACHED" not in said
    assert "403 Forbidden" in said


def test_a_container_that_listens_is_reached_through_its_relay_alone(engine):
    serve = ["python3", "-m", "http.server", "8080"]
    before = {c.laddr.port for c in psutil.net_connections("tcp") if c.status == psutil.CONN_LISTEN}
    with engine.run(IMAGE, serve, ports=[8080]) as container:
        container.wait_for_port(8080)
        url = container.url(8080)
        with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as line:
            line.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert line.recv(100).startswith(b"HTTP/1.0 200")
        own = psutil.Process().children(recursive=True)
        ours = {c.laddr for p in own for c in p.net_connections("tcp") if c.status == psutil.CONN_LISTEN}
        assert {place.ip for place in ours if place.port not in before} <= {"127.0.0.1"}
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])))


def test_an_image_that_says_it_is_huge(engine, tmp_path, monkeypatch):
    monkeypatch.setattr("labkit.engines.docker.IMAGE_BYTES", 250 * MIB)
    (tmp_path / "Dockerfile").write_text(f"{BASE}RUN truncate -s 300M /huge\n")
    image = engine.build(tmp_path).image
    assert image.bytes < 1000 * MIB
    for ask in (engine.files, engine.layer_files):
        with pytest.raises(WorkFault, match="holds more than"):
            ask(image.id)
    (tmp_path / "Dockerfile").write_text(f"{BASE}RUN truncate -s 1T /huge\n")
    with pytest.raises(BuildFault, match="not built within 3 s"):
        engine.build(tmp_path, seconds=3)


def test_a_command_that_prints_without_end(engine):
    with (
        engine.run(IMAGE, ["sleep", "60"]) as container,
        pytest.raises(WorkFault, match="did not end in the container within 2 s"),
    ):
        container.exec(["yes"], seconds=2)


def test_a_context_with_links_to_this_machine(attack, tmp_path):
    (tmp_path / "link").symlink_to("/etc/shadow")
    (tmp_path / "folder").symlink_to("/etc")
    for name in ("link", "folder", "folder/hostname"):
        with pytest.raises(BuildFault, match="COPY found no"):
            attack(f"COPY {name} /got/")
    attack("COPY . /got/", 'RUN test "$(readlink /got/folder)" = /etc')


def test_a_line_without_end(attack):
    with pytest.raises(BuildFault, match="A line of the Dockerfile is too long"):
        attack(f"RUN echo {'a' * 2_000_000}")


def test_a_frontend_of_ones_own(engine, tmp_path):
    (tmp_path / "Dockerfile").write_text(f"# syntax=somebody/frontend:1\n{BASE}")
    with pytest.raises(Unavailable, match="syntax=somebody/frontend:1"):
        engine.build(tmp_path)


ABANDON = """
import sys, time
from pathlib import Path
from labkit.engines import disks
from labkit.engines.fenced import FencedDaemon
from labkit.isolation.limits import MIB
daemon = FencedDaemon.beside(Path(sys.argv[1]))
disks.make(daemon.disk, 1024 * MIB)
daemon.up(print)
print(daemon.group, flush=True)
time.sleep(60)
"""


def test_a_grader_that_is_killed_leaves_nothing_that_the_next_does_not_clear(engine):
    folder = Path("/var/tmp/workbook-killed")
    grader = subprocess.Popen([sys.executable, "-c", ABANDON, str(folder)], stdout=subprocess.PIPE, text=True)
    group = grader.stdout.readline().strip()
    assert machine.processes_in_cgroup(group)
    os.kill(grader.pid, signal.SIGKILL)
    grader.communicate()
    deadline = time.monotonic() + 10
    while machine.processes_in_cgroup(group):
        assert time.monotonic() < deadline, "the engine goes on"
        time.sleep(0.05)
    assert fenced.clear(folder) == 1
    folder.rmdir()
    assert machine.cgroup_folders(group) == []


def test_the_engine_ending_is_said_and_it_comes_again(engine, attack):
    assert isinstance(engine, DockerEngine)
    for process in psutil.Process(engine.daemon._process().pid).children(recursive=True):
        if process.name() == "dockerd":
            process.kill()
    deadline = time.monotonic() + 10
    while engine.daemon.is_up():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    attack("RUN true")
