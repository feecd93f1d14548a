"""What the cluster lays on the machine beside its own folders, and how all of it is taken away again."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil

from labkit.clusters.debian import control, node
from labkit.clusters.debian.layout import Layout
from labkit.clusters.debian.members import Members
from labkit.engines import machine

_SETTINGS = (
    *("vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops"),
    *("kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes"),
    *("net/ipv4/ip_forward", "net/ipv4/conf/all/route_localnet", "net/bridge/bridge-nf-call-iptables"),
)
"""What kubelet and kube-proxy change of the kernel's settings."""
_PROC = Path("/proc/sys")


def note(layout: Layout) -> None:
    """Write down, once, how the machine was."""
    before = {}
    for name in _SETTINGS:
        with contextlib.suppress(OSError):
            before[name] = (_PROC / name).read_text().strip()
    (layout.run / "machine.json").write_text(json.dumps(before))


def sweep(layout: Layout) -> None:
    """End the cluster and take away all that it laid, whatever state a crash left that in."""
    if not layout.run.exists():
        return
    members = Members(layout)
    members.stop("kube-proxy", "kubelet")
    _end_pods(layout)
    members.stop("containerd", *control.MEMBERS)
    machine.end(list(_processes(layout)))
    machine.unmount_below(layout.run, layout.images)
    for namespace in _namespaces(layout):
        subprocess.run(["umount", "-l", str(namespace)], check=False, capture_output=True)
        namespace.unlink(missing_ok=True)
    machine.remove_links([layout.bridge])
    _remove_rules()
    machine.remove_cgroup(layout.group)
    with contextlib.suppress(OSError, ValueError):
        for name, value in json.loads((layout.run / "machine.json").read_text()).items():
            with contextlib.suppress(OSError):
                (_PROC / name).write_text(value)
    # Nothing of it is mounted any more, or the pods' volumes would be deleted through their mounts.
    if not machine.mounts_below(layout.run):
        subprocess.run(["rm", "-rf", "--one-file-system", str(layout.run)], check=True)


def leftovers(layout: Layout) -> list[str]:
    """What is there of it though it is down; empty if nothing is."""
    left = [f"process {process.pid}" for process in _processes(layout)]
    left += [f"mount {place}" for place in machine.mounts_below(layout.run, layout.images)]
    left += [f"network namespace {path}" for path in _namespaces(layout)]
    left += [f"link {name}" for name in machine.links() if name == layout.bridge]
    left += [f"cgroup {folder}" for folder in machine.cgroup_folders(layout.group)]
    left += [f"rule {line}" for _, line in _rules()]
    return left


def _end_pods(layout: Layout) -> None:
    """End all containers, and have the container runtime forget them."""
    if not layout.socket.exists():
        return
    machine.end(machine.processes_in_cgroup(layout.group))
    for kind, *remove in (("task", "rm", "-f"), ("container", "rm")):
        names = node.ctr(layout, kind, "ls", "-q").stdout.split()
        if names:
            node.ctr(layout, kind, *remove, *names)


def _processes(layout: Layout) -> Iterator[psutil.Process]:
    """All that belongs to it: its programs and their helpers, by their arguments, and the pods'."""
    yield from machine.processes_in_cgroup(layout.group)
    marks = (f"{layout.run}/", f"{layout.kept}/")
    programs = ("etcd", "kube", "containerd")
    for process in psutil.process_iter(["name", "cmdline"]):
        line = " ".join(process.info["cmdline"] or [])
        if (process.info["name"] or "").startswith(programs) and any(mark in line for mark in marks):
            yield process


def _namespaces(layout: Layout) -> list[Path]:
    """The network namespaces of pods, known by an address of the pods' network."""
    prefix = layout.pods.rpartition(".")[0]
    found = []
    for path in Path("/run/netns").glob("cni-*"):
        asked = ["nsenter", f"--net={path}", "ip", "-4", "-o", "address", "show", "dev", "eth0"]
        said = subprocess.run(asked, capture_output=True, text=True, check=False)
        if f" {prefix}." in said.stdout:
            found.append(path)
    return found


def _rules() -> list[tuple[str, str]]:
    """The packet filter's rules that kube-proxy and kubelet made, as (table, line)."""
    found = []
    for table in ("mangle", "nat", "filter"):
        said = subprocess.run(
            ["iptables", "--wait", "5", "-t", table, "-S"], capture_output=True, text=True, check=False
        )
        found += [(table, line) for line in said.stdout.splitlines() if re.search(r"\bKUBE-", line)]
    return found


def _remove_rules() -> None:
    rules = _rules()
    for table, line in rules:
        parts = line.split()
        # Rules in Kubernetes' own chains go with the chain; jumps to them stand in the machine's.
        if parts[0] == "-A" and not parts[1].startswith("KUBE-"):
            _iptables(table, "-D", *_arguments(line)[1:])
    for action in ("-F", "-X"):
        for table, line in rules:
            if line.startswith("-N "):
                _iptables(table, action, line.split()[1])


def _arguments(line: str) -> list[str]:
    """A rule's words; a comment in quotes is one of them."""
    return [part.strip('"') for part in re.findall(r'"[^"]*"|\S+', line)]


def _iptables(table: str, *arguments: str) -> None:
    command = ["iptables", "--wait", "5", "-t", table, *arguments]
    subprocess.run(command, check=False, capture_output=True)
