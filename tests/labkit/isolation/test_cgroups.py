"""Control groups of both versions: where they go, what is written, and who clears them away.

Version 1 binds for real in test_sandbox; version 2 is held against a tree of files as the kernel lays it.
"""

from __future__ import annotations

import os

from labkit.isolation.cgroups import Group, Place, left_behind, places
from labkit.isolation.limits import MIB, Limits

LIMITS = Limits(memory_bytes=100 * MIB, processes=10, cores=0.5)


def lay(folder, **files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


def test_version_2_goes_below_the_nearest_group_that_hands_its_controllers_on(tmp_path):
    root = tmp_path / "cgroup"
    lay(root, cgroup__subtree_control="cpu memory pids\n")
    lay(root / "user.slice", cgroup__subtree_control="memory pids\n")
    lay(root / "user.slice" / "session", cgroup__subtree_control="\n")
    own = tmp_path / "own"
    own.write_text("0::/user.slice/session\n")
    found = {place.controller: place for place in places(root, own)}
    assert found == {
        "memory": Place("memory", 2, root / "user.slice"),
        "pids": Place("pids", 2, root / "user.slice"),
        "cpu": Place("cpu", 2, root),
    }


def test_version_1_goes_below_our_own_and_both_may_be_there(tmp_path):
    root = tmp_path / "cgroup"
    lay(root / "memory" / "ours")
    lay(root / "cpu,cpuacct")
    lay(root / "unified", cgroup__subtree_control="pids\n")
    own = tmp_path / "own"
    own.write_text("3:memory:/ours\n2:cpu,cpuacct:/\n0::/\n")
    found = {(place.controller, place.version): place.folder for place in places(root, own)}
    assert found == {
        ("memory", 1): root / "memory" / "ours",
        ("cpu", 1): root / "cpu,cpuacct",
        ("pids", 2): root / "unified",
    }


def test_limits_as_version_2_takes_them(tmp_path):
    group = Group.make(LIMITS, [Place(name, 2, tmp_path) for name in ("memory", "pids", "cpu")])
    (folder,) = set(group.folders.values())
    assert (folder / "memory.max").read_text() == str(100 * MIB)
    assert (folder / "pids.max").read_text() == "10"
    assert (folder / "cpu.max").read_text() == "50000 100000"
    assert group.joining == [str(folder / "cgroup.procs")]
    assert not group.memory_ran_out
    (folder / "memory.events").write_text("low 0\nhigh 0\nmax 12\noom 1\noom_kill 1\n")
    (folder / "pids.events").write_text("max 3\n")
    assert group.memory_ran_out
    assert group.processes_ran_out


def test_limits_as_version_1_takes_them(tmp_path):
    places_ = [Place(name, 1, tmp_path / name) for name in ("memory", "pids", "cpu")]
    for place in places_:
        place.folder.mkdir()
    group = Group.make(LIMITS, places_)
    assert (group.folders["memory"] / "memory.limit_in_bytes").read_text() == str(100 * MIB)
    assert (group.folders["cpu"] / "cpu.cfs_quota_us").read_text() == "50000"
    assert len(group.joining) == 3


def test_what_can_not_be_written_does_not_bind_and_is_not_said_to(tmp_path):
    group = Group.make(LIMITS, [Place("pids", 1, tmp_path / "is-not-there")])
    assert group.folders == {}
    assert group.versions == {}
    assert group.joining == []


def test_groups_of_the_dead_are_found_and_those_of_the_living_are_not(tmp_path):
    place = Place("pids", 1, tmp_path)
    living = Group.make(LIMITS, [place]).folders["pids"]
    gone = tmp_path / "workbook-4194305-1-0"
    gone.mkdir()
    reused = tmp_path / f"workbook-{os.getpid()}-1-0"  # our number, of a process before us
    reused.mkdir()
    (tmp_path / "workbook-of-somebody").mkdir()
    assert set(left_behind([place])) == {gone, reused}
    assert living.exists()
