"""`python -m labkit.debian browser`: installs the Debian packages of a named group, if any is missing.

As root they are installed and listed; elsewhere sudo is asked for on a terminal, and without one the command
to run is printed. What needs the packages says itself that they are missing, so none of this is a failure.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labkit.errors import Unavailable, WorkbookError

REPOSITORY = Path(__file__).resolve().parents[1]
APT = ("apt-get", "-o", "DPkg::Lock::Timeout=300", "-o", "Dpkg::Use-Pty=0")
POLICY = """\
#!/bin/sh
# Put here by labkit.debian while it installs packages, so that no daemon starts; removed when it ends.
# If there was another policy, it is kept beside this file, as policy-rc.d.workbook-kept, and put back.
exit 101
"""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Group:
    """Debian packages that are wanted together.

    Attributes:
        packages: Their names.
        programs: What they bring; where Debian's packages can't be had, these on PATH do as well.
        purpose: What they are for, as the end of "needed by ...".
        daemons: The services that the packages bring; if they are new, they are not enabled either, so that
            none starts with the machine.
    """

    packages: tuple[str, ...]
    programs: tuple[str, ...]
    purpose: str
    daemons: tuple[str, ...] = ()


GROUPS = {
    "browser": Group(
        packages=("chromium", "chromium-driver", "fonts-dejavu-core"),
        programs=("chromium", "chromedriver"),
        purpose="the project's tests that look at pages",
    ),
    "engine": Group(
        packages=("docker.io", "iptables", "iproute2", "mmdebstrap"),
        programs=("dockerd", "docker", "iptables", "ip", "mmdebstrap"),
        purpose="the labs that build images",
        daemons=("docker", "containerd"),
    ),
    "registry": Group(
        packages=("docker-registry",),
        programs=("docker-registry",),
        purpose="the labs that push images",
        daemons=("docker-registry",),
    ),
    "kubernetes": Group(
        packages=(
            *("golang-1.19-go", "golang-github-modern-go-reflect2-dev", "etcd-server", "containerd", "runc"),
            *(
                "containernetworking-plugins",
                "catatonit",
                "busybox-static",
                "conntrack",
                "iptables",
                "iproute2",
            ),
        ),
        programs=("etcd", "containerd", "ctr", "runc", "catatonit", "busybox", "conntrack", "iptables", "ip"),
        purpose="the full Kubernetes that can be built here",
        daemons=("etcd", "containerd"),
    ),
    "podman": Group(
        packages=("podman", "runc", "netavark", "aardvark-dns"),
        programs=("podman", "runc"),
        purpose="the project's tests of a second engine",
        daemons=("podman", "podman-auto-update", "podman-restart"),
    ),
    "monitoring": Group(
        packages=("prometheus", "prometheus-alertmanager", "prometheus-node-exporter"),
        programs=("prometheus", "promtool", "prometheus-alertmanager", "prometheus-node-exporter"),
        purpose="the project that is monitored",
        daemons=("prometheus", "prometheus-alertmanager", "prometheus-node-exporter"),
    ),
    "bench": Group(
        packages=("nginx", "hey"),
        programs=("nginx", "hey"),
        purpose="the benchmarks that compare with them",
        daemons=("nginx",),
    ),
    "java": Group(
        packages=("openjdk-17-jre-headless",),
        programs=("java",),
        purpose="TorchServe, whose frontend is Java",
    ),
    "sandbox": Group(
        packages=("bubblewrap", "libseccomp2"),
        programs=("bwrap",),
        purpose="grading what learners hand in",
    ),
}


def say_on_stderr(line: str) -> None:
    """Says one line of progress."""
    print(line, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Machine:
    """The machine as far as installing depends on it.

    Attributes:
        root: Where its file system begins.
        superuser: Whether this process may install.
        terminal: Whether a person can be asked for a password.
    """

    root: Path = Path("/")
    superuser: bool = field(default_factory=lambda: os.geteuid() == 0)
    terminal: bool = field(default_factory=lambda: sys.stdin.isatty() and sys.stderr.isatty())

    @property
    def name(self) -> str:
        """The operating system as a person calls it, "Debian 12"."""
        release = self._release()
        name = release.get("NAME", platform.system()).removesuffix(" GNU/Linux")
        return f"{name} {release.get('VERSION_ID', '')}".strip()

    @property
    def is_debian(self) -> bool:
        """Whether it has Debian's packages (Ubuntu's browser is a snap, which a container can't run)."""
        release = self._release()
        family = {release.get("ID", ""), *release.get("ID_LIKE", "").split()}
        return "debian" in family and "ubuntu" not in family

    def _release(self) -> dict[str, str]:
        try:
            lines = (self.root / "etc/os-release").read_text().splitlines()
        except OSError:
            return {}
        return {name: value.strip("\"'") for name, _, value in (line.partition("=") for line in lines)}

    def missing(self, packages: tuple[str, ...]) -> list[str]:
        """Those of the packages that dpkg does not hold as installed."""
        try:
            status = (self.root / "var/lib/dpkg/status").read_text(errors="replace")
        except OSError:
            return list(packages)
        installed = set(re.findall(r"^Package: (\S+)\nStatus: \S+ ok installed$", status, flags=re.MULTILINE))
        return [package for package in packages if package not in installed]


def missing(name: str, machine: Machine | None = None) -> list[str]:
    """The packages of a group that are missing, by reading alone; empty if other builds of its programs do.

    Raises:
        WorkbookError: There is no such group.
    """
    group, machine = _group(name), machine or Machine()
    if not machine.is_debian and all(shutil.which(program) for program in group.programs):
        return []
    return machine.missing(group.packages)


def command_for(packages: list[str], machine: Machine) -> str:
    """The one command that a person can run to install the packages."""
    sudo = "" if machine.superuser else "sudo "
    return f"{sudo}apt-get install --no-install-recommends -y {' '.join(packages)}"


def ensure(name: str, machine: Machine | None = None, *, say: Say = say_on_stderr) -> None:
    """Installs what is missing of the group.

    Raises:
        Unavailable: It can't be installed from here; the message holds what to do.
        WorkbookError: There is no such group.
    """
    group, machine = _group(name), machine or Machine()
    lacking = missing(name, machine)
    if not lacking:
        return
    what = f"{', '.join(lacking)} {'is' if len(lacking) == 1 else 'are'} not installed"
    if not machine.is_debian:
        raise Unavailable(
            f"The {name} for {group.purpose} is not there.",
            why=f"This is {machine.name}, and the workbook installs packages on Debian alone.",
            next_step=f"Put {' and '.join(group.programs)} on PATH; until then what needs them is skipped.",
        )
    command = command_for(lacking, machine)
    if machine.superuser:
        enabled = _enabled(machine.root)
        _install(lacking, machine, say)
        _keep_disabled(machine.root, group.daemons, enabled)
    elif machine.terminal and shutil.which("sudo"):
        say(f"{what} ({group.purpose}). Installing as root; sudo may ask for your password.")
        again = ["sudo", sys.executable, "-B", "-m", "labkit.debian", "--require", name]
        if subprocess.run(again, cwd=REPOSITORY, check=False).returncode:
            raise Unavailable(f"{what}.", next_step=f"To install: {command}")
    else:
        why = f"Wanted for {group.purpose}: until then that is left out."
        raise Unavailable(f"{what}.", why=why, next_step=f"To install: {command}")


def _group(name: str) -> Group:
    if name not in GROUPS:
        known = ", ".join(GROUPS)
        raise WorkbookError(f"There is no group of packages called {name}.", next_step=f"There are: {known}.")
    return GROUPS[name]


def _install(packages: list[str], machine: Machine, say: Say) -> None:
    dpkg = machine.root / "var/lib/dpkg"
    # The lock's file goes on to apt: if this process is killed, the next one waits for the orphan, too.
    with _lock(dpkg) as lock, _no_daemons(machine.root), tempfile.TemporaryFile() as log:
        packages = machine.missing(tuple(packages))  # again: whoever held the lock may have installed them
        if not packages:
            return

        def run(*command: str) -> bool:
            return _run(command, log, lock) == 0

        if (dpkg / "updates").is_dir() and any((dpkg / "updates").iterdir()):
            run("dpkg", "--configure", "-a")  # an earlier installation was cut off
        install = (*APT, "install", "--no-install-recommends", "--yes", *packages)
        whole = _simulate(packages)
        if whole is None:
            say("  Fetching Debian's lists of packages.")
            run(*APT, "update")
            whole = _simulate(packages)
        others = f" (and {len(whole) - len(packages)} that they need)" if whole else ""
        say(f"  Installing {', '.join(packages)}{others}; this can take minutes.")
        # A mirror forgets old versions: lists that have aged make the download fail, fresh ones mend it.
        if not (run(*install) or (run(*APT, "update") and run(*install))):
            log.seek(0)
            lines = [line for line in log.read().decode(errors="replace").splitlines() if line.strip()]
            raise Unavailable(
                f"{', '.join(packages)} could not be installed.",
                why=f"apt-get said: {' / '.join(lines[-3:])}",
                next_step=f"When that is mended: {command_for(packages, machine)}",
            )
        say(f"  Installed: {' '.join(sorted(whole or packages))}.")


def _simulate(packages: list[str]) -> list[str] | None:
    """What installing would bring; None if the lists of packages do not say."""
    command = [*APT, "install", "--simulate", "--no-install-recommends", *packages]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False, env=_environment())
    except FileNotFoundError as error:
        raise Unavailable("There is no apt-get here.") from error
    if answer.returncode:
        return None
    return re.findall(r"^Inst (\S+)", answer.stdout, flags=re.MULTILINE)


def _run(command: tuple[str, ...], log: Any, lock: int) -> int:
    """Runs a command in a process group of its own and ends all of it if this process is interrupted."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        env=_environment(),
        pass_fds=[lock],
        start_new_session=True,
    )
    try:
        return process.wait()
    except BaseException:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait()
        raise


def _environment() -> dict[str, str]:
    sbin = "/usr/local/sbin:/usr/sbin:/sbin"
    return {
        **os.environ,
        "PATH": f"{os.environ.get('PATH', '/usr/bin:/bin')}:{sbin}",  # dpkg stops without the sbin folders
        "DEBIAN_FRONTEND": "noninteractive",
        "LC_ALL": "C.UTF-8",
    }


@contextmanager
def _lock(folder: Path) -> Iterator[int]:
    """One installation at a time; dpkg's own lock (of another kind) is not in the way."""
    try:
        lock = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise Unavailable(f"{folder} can't be read.", why="dpkg keeps its state there.") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock
    finally:
        os.close(lock)


def _enabled(root: Path) -> set[Path]:
    """The links by which systemd or init start daemons with the machine."""
    return {
        link
        for pattern in ("etc/systemd/system/*.wants/*", "etc/rc[2-5].d/S*")
        for link in root.glob(pattern)
        if link.is_symlink()
    }


def _keep_disabled(root: Path, daemons: tuple[str, ...], before: set[Path]) -> None:
    """Takes back what installing enabled of these daemons; those that were enabled before stay so.

    systemd's links are removed, as `systemctl disable` does; init's start links become stop links.
    """
    for link in _enabled(root) - before:
        if link.parent.name.endswith(".wants"):
            if link.name.rpartition(".")[0] in daemons:
                link.unlink()
        elif (match := re.fullmatch(r"S(\d\d)(.+)", link.name)) and match[2] in daemons:
            link.rename(link.with_name(f"K{100 - int(match[1]):02}{match[2]}"))


@contextmanager
def _no_daemons(root: Path) -> Iterator[None]:
    """Keeps what is installed from starting daemons, by Debian's own means, policy-rc.d.

    One that is there already is the administrator's: it may allow daemons, so it is kept aside for the time
    and put back at the end, by SIGTERM and SIGHUP too. What a killed run left is mended by the next (under
    the lock, nobody uses it).
    """
    policy = root / "usr/sbin/policy-rc.d"
    if not policy.parent.is_dir():
        yield
        return

    def end(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        _restore(policy)
        # Complete and executable before it has its name: nobody ever finds half a policy, or none.
        draft = policy.with_name(f"policy-rc.d.workbook-{os.getpid()}")
        try:
            draft.write_text(POLICY)
            draft.chmod(0o755)
            with suppress(FileNotFoundError):
                os.link(policy, _kept(policy), follow_symlinks=False)
            draft.replace(policy)
        finally:
            draft.unlink(missing_ok=True)
        yield
    finally:
        _restore(policy)
        for number, handler in before.items():
            signal.signal(number, handler)


def _kept(policy: Path) -> Path:
    return policy.with_name(f"{policy.name}.workbook-kept")


def _restore(policy: Path) -> None:
    """Takes our policy away and puts the administrator's back; one written meanwhile stays."""
    kept = _kept(policy)
    ours = not policy.is_symlink() and policy.is_file() and policy.read_text(errors="replace") == POLICY
    if os.path.lexists(kept):
        if ours or not os.path.lexists(policy):
            kept.replace(policy)
        else:
            kept.unlink()
    elif ours:
        policy.unlink()


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m labkit.debian", description=__doc__)
    parser.add_argument("groups", nargs="+", metavar="GROUP", help=", ".join(GROUPS))
    parser.add_argument("--require", action="store_true", help="exit code 1 if something stays missing")
    options = parser.parse_args(arguments)
    code = 0
    for name in options.groups:
        try:
            ensure(name)
        except Unavailable as error:
            print(error, file=sys.stderr)
            code = 1 if options.require else code
        except WorkbookError as error:
            print(error, file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("Interrupted. The same command begins again.", file=sys.stderr)
            return 130
    return code


if __name__ == "__main__":
    sys.exit(main())
