"""What the embedded engine asks of the machine under it: links, packet filter, cgroups, mounts, processes."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from labkit.engines import places
from labkit.errors import Unavailable
from labkit.processes import end as end_processes

_CGROUPS = Path("/sys/fs/cgroup")
_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
_DOCKERS_CHAINS = re.compile(r"^DOCKER(-[A-Z0-9-]+)?$")


def lacks() -> tuple[str, str] | None:
    """Why dockerd can't run here, and what to do; None if nothing speaks against it."""
    if sys.platform != "linux":
        return f"It needs Linux, and this is {sys.platform}.", "Install Docker Desktop and start it."
    if os.geteuid() != 0:
        return "It needs root.", "Install Docker or Podman and set DOCKER_HOST, or run this as root."
    if not any(_CGROUPS.iterdir()) if _CGROUPS.is_dir() else True:
        return "There are no control groups here.", "Set DOCKER_HOST to an engine elsewhere."
    return None


# ---- links and packet filter ------------------------------------------------------------------------------


def ip(*arguments: str) -> str:
    """Run iproute2's `ip`.

    Raises:
        Unavailable: It refused.
    """
    ran = subprocess.run([_tool("ip"), *arguments], capture_output=True, text=True, check=False)
    if ran.returncode:
        raise Unavailable(f"`ip {' '.join(arguments)}` was refused.", why=ran.stderr.strip()[-200:])
    return ran.stdout


def links() -> list[str]:
    """The names of all network links."""
    return [name for _, name in socket.if_nameindex()]


def remove_links(names: Iterable[str]) -> None:
    """Remove those of the links that are there."""
    for name in set(names) & set(links()):
        try:
            ip("link", "delete", name)
        except Unavailable:
            if name in links():  # it did not just go by itself
                raise


def networks() -> list[ipaddress.IPv4Network]:
    """The networks that this machine is in or has a route to."""
    found = []
    for route in json.loads(ip("-4", "-json", "route") or "[]"):
        with suppress(ValueError):
            found.append(ipaddress.IPv4Network(route["dst"]))
    return found


def can_filter() -> bool:
    """Whether links and the packet filter may be changed here; without it containers share our network."""
    if shutil.which("iptables", path=_PATH) is None:
        return False
    if _iptables("-t", "nat", "-S") is None:
        return False
    probe = f"mlwb{os.getpid() % 100000}"
    try:
        ip("link", "add", "name", probe, "type", "bridge")
    except Unavailable:
        return False
    remove_links([probe])
    return True


def note_forwarding() -> None:
    """Note how packets are forwarded before the first dockerd changes it."""
    note = _forwarding_note()
    if _another_dockerd() and note.is_file():
        return
    policy = re.search(r"-P FORWARD (\w+)", _iptables("-S", "FORWARD") or "")
    before = {"ip_forward": _FORWARD.read_text().strip(), "policy": policy[1] if policy else "ACCEPT"}
    note.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    note.write_text(json.dumps(before))


def restore_forwarding() -> None:
    """Put that back, unless another dockerd needs it."""
    note = _forwarding_note()
    if _another_dockerd() or not note.is_file():
        return
    before = json.loads(note.read_text())
    _iptables("-P", "FORWARD", str(before["policy"]))
    with suppress(OSError):
        _FORWARD.write_text(f"{before['ip_forward']}\n")
    note.unlink()


def _forwarding_note() -> Path:
    """Each network has a note of its own."""
    network = re.sub(r"\D", "", str(Path("/proc/self/ns/net").readlink()))
    return places.running(f"forwarding-{network}.json")


def remove_chains(bridges: Sequence[str], subnet: str) -> None:
    """Take out the packet filter's rules of these bridges, and Docker's chains if nobody else uses them."""
    wanted = [*bridges, subnet] if subnet else list(bridges)
    for table, rule in _rules(wanted, chains=not _another_dockerd()):
        _iptables("-t", table, "-D", *rule.split()[1:])
    if _another_dockerd():
        return
    for table in ("filter", "nat"):
        said = _iptables("-t", table, "-S") or ""
        names = [name for name in re.findall(r"^-N (\S+)", said, re.MULTILINE) if _DOCKERS_CHAINS.match(name)]
        for flag in ("-F", "-X"):
            for name in names:
                _iptables("-t", table, flag, name)


def rules_of(bridges: Sequence[str]) -> list[str]:
    """The packet filter's rules that name one of these bridges."""
    return [rule for _, rule in _rules(bridges, chains=False)]


def _rules(words: Sequence[str], *, chains: bool) -> list[tuple[str, str]]:
    found = []
    for table in ("filter", "nat"):
        for line in (_iptables("-t", table, "-S") or "").splitlines():
            parts = line.split()
            if parts[0] == "-A" and (
                set(words) & set(parts) or (chains and any(_DOCKERS_CHAINS.match(part) for part in parts[1:]))
            ):
                found.append((table, line))
    return found


def _another_dockerd() -> bool:
    """Whether a dockerd runs in our network; the one that is swept has been ended by then."""
    for process in psutil.process_iter(["name"]):
        if process.info["name"] == "dockerd":
            with suppress(OSError):
                if Path(f"/proc/{process.pid}/ns/net").readlink() == Path("/proc/self/ns/net").readlink():
                    return True
    return False


_PATH = "/usr/sbin:/sbin:/usr/bin:/bin"


def _iptables(*arguments: str) -> str | None:
    tool = shutil.which("iptables", path=_PATH)
    if tool is None:
        return None
    ran = subprocess.run([tool, "--wait", "5", *arguments], capture_output=True, text=True, check=False)
    return ran.stdout if ran.returncode == 0 else None


def _tool(name: str) -> str:
    path = shutil.which(name, path=_PATH)
    if path is None:
        raise Unavailable(f"There is no {name} here.", next_step="Install Debian's package iproute2.")
    return path


# ---- cgroups, mounts, processes ---------------------------------------------------------------------------


def cgroup_folders(group: str) -> list[Path]:
    """The group's folders, in the unified hierarchy or in each of the older ones."""
    if not group.strip("/"):
        raise ValueError("the top group is everybody's")
    candidates = [_CGROUPS / group, *_CGROUPS.glob(f"*/{group}")]
    return [folder for folder in candidates if folder.is_dir()]


def processes_in_cgroup(group: str) -> list[psutil.Process]:
    """The processes in the group and those below it."""
    pids: set[int] = set()
    for folder in cgroup_folders(group):
        for file in [folder / "cgroup.procs", *folder.rglob("cgroup.procs")]:
            with suppress(OSError):
                pids.update(int(pid) for pid in file.read_text().split())
    found = []
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            found.append(psutil.Process(pid))
    return found


def remove_cgroup(group: str) -> None:
    """Remove the group with all below it; what still has processes stays."""
    for top in cgroup_folders(group):
        folders = sorted((path for path in top.rglob("*") if path.is_dir()), key=lambda p: -len(p.parts))
        for folder in [*folders, top]:
            with suppress(OSError):
                folder.rmdir()


def mounts_below(*folders: Path) -> list[str]:
    """The mount points in these folders, the innermost first."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    roots = tuple(f"{folder}/" for folder in folders) + tuple(map(str, folders))
    below = [point for point in points if point in roots or point.startswith(tuple(f"{f}/" for f in folders))]
    return sorted(below, key=len, reverse=True)


def unmount_below(*folders: Path) -> None:
    """Unmount all that is mounted in these folders."""
    for place in mounts_below(*folders):
        subprocess.run([_tool("umount"), "-l", place], check=False, capture_output=True)


def end(processes: list[psutil.Process]) -> None:
    """End these processes."""
    end_processes(processes, grace=2.0)
