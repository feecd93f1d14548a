"""Installing Debian packages, with an apt-get that only says what it was asked."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from labkit import debian
from labkit.errors import Unavailable, WorkbookError

REPOSITORY = Path(__file__).parents[2]
PACKAGES = debian.GROUPS["browser"].packages
INSTALLED = "".join(f"Package: {name}\nStatus: install ok installed\n\n" for name in PACKAGES)
APT = """\
#!/bin/sh
echo "$@" >> {root}/asked
case " $* " in
*" --simulate "*) [ ! -e {root}/no-lists ] || exit 100
    echo "Inst chromium (1)"; echo "Inst libxyz (2)"; exit 0;;
*" update "*) rm -f {root}/no-lists; exit 0;;
esac
cp {root}/usr/sbin/policy-rc.d {root}/policy-seen 2> {root}/no-policy
echo $$ > {root}/pid.draft; mv {root}/pid.draft {root}/installing
[ ! -e {root}/slow ] || sleep 20
[ ! -e {root}/broken ] || {{ echo "E: no such mirror"; exit 100; }}
cat {root}/installed > {root}/var/lib/dpkg/status
"""


@pytest.fixture
def root(tmp_path, monkeypatch):
    for folder in ("etc", "usr/sbin", "var/lib/dpkg/updates", "bin"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "etc/os-release").write_text('NAME="Debian GNU/Linux"\nVERSION_ID="12"\nID=debian\n')
    removed = "Package: chromium\nStatus: deinstall ok config-files\n\n"
    (tmp_path / "var/lib/dpkg/status").write_text(removed)
    (tmp_path / "installed").write_text(INSTALLED)
    apt = tmp_path / "bin/apt-get"
    apt.write_text(APT.format(root=tmp_path))
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    return tmp_path


def machine(root: Path, **how: bool) -> debian.Machine:
    return debian.Machine(root=root, **{"superuser": True, "terminal": False, **how})


def policy(root: Path) -> Path:
    return root / "usr/sbin/policy-rc.d"


def test_installs_lists_and_lets_no_daemon_start(root):
    said: list[str] = []
    debian.ensure("browser", machine(root), say=said.append)
    assert (root / "policy-seen").read_text() == debian.POLICY
    assert not list((root / "usr/sbin").iterdir())
    assert said[-1] == "  Installed: chromium libxyz."
    assert " update" not in (root / "asked").read_text()

    (root / "asked").unlink()
    began = time.monotonic()
    debian.ensure("browser", machine(root), say=said.append)
    assert time.monotonic() - began < 0.1
    assert not (root / "asked").exists()


def test_fetches_the_lists_only_when_they_lack(root):
    (root / "no-lists").touch()
    debian.ensure("browser", machine(root), say=lambda line: None)
    assert sum(line.endswith("update") for line in (root / "asked").read_text().splitlines()) == 1


@pytest.mark.parametrize("text", ["#!/bin/sh\nexit 0\n", ""])
def test_an_administrators_policy_stays(root, text):
    policy(root).write_text(text)
    inode = policy(root).stat().st_ino
    debian.ensure("browser", machine(root), say=lambda line: None)
    assert policy(root).read_text() == text
    assert policy(root).stat().st_ino == inode
    assert (root / "policy-seen").read_text() == debian.POLICY, "the administrator's might allow daemons"
    assert list((root / "usr/sbin").iterdir()) == [policy(root)]


def test_an_administrators_policy_comes_back_after_a_killed_run(root):
    text = "#!/bin/sh\nexit 0\n"
    policy(root).write_text(debian.POLICY)
    policy(root).with_name("policy-rc.d.workbook-kept").write_text(text)
    debian.ensure("browser", machine(root), say=lambda line: None)
    assert policy(root).read_text() == text
    assert list((root / "usr/sbin").iterdir()) == [policy(root)]


def test_an_administrators_policy_that_is_a_link_stays_one(root):
    policy(root).symlink_to("/bin/true")
    debian.ensure("browser", machine(root), say=lambda line: None)
    assert policy(root).readlink() == Path("/bin/true")
    assert (root / "policy-seen").read_text() == debian.POLICY


def test_new_daemons_are_not_enabled_and_others_stay(root):
    wants, level = root / "etc/systemd/system/multi-user.target.wants", root / "etc/rc2.d"
    for folder in (wants, level):
        folder.mkdir(parents=True)
    (wants / "nginx.service").symlink_to("/lib/systemd/system/nginx.service")
    (root / "installed").write_text(
        "".join(
            f"Package: {name}\nStatus: install ok installed\n\n" for name in debian.GROUPS["engine"].packages
        )
    )
    apt = root / "bin/apt-get"
    enables = f"ln -s /x {wants}/docker.service; ln -s /x {wants}/other.service; ln -s /x {level}/S01docker"
    apt.write_text(apt.read_text().replace("cat ", f"{enables}\ncat ", 1))
    debian.ensure("engine", machine(root), say=lambda line: None)
    assert sorted(link.name for link in wants.iterdir()) == ["nginx.service", "other.service"]
    assert [link.name for link in level.iterdir()] == ["K99docker"]


def test_a_root_without_sbin(root):
    (root / "usr/sbin").rmdir()
    debian.ensure("browser", machine(root), say=lambda line: None)
    assert debian.missing("browser", machine(root)) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_interrupted_nothing_stays_behind(root, number):
    (root / "slow").touch()
    code = (
        "import pathlib, sys; from labkit import debian; debian.ensure('browser',"
        " debian.Machine(root=pathlib.Path(sys.argv[1]), superuser=True, terminal=False))"
    )
    command = [sys.executable, "-c", code, str(root)]
    with subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 20
        while not (root / "installing").exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert policy(root).exists()
        process.send_signal(number)
        process.wait(timeout=10)
    assert process.returncode != 0
    if number is not signal.SIGKILL:
        assert not list((root / "usr/sbin").iterdir())
        return
    # Nothing could be tidied up; the next run takes the policy over, and waits for the orphan.
    assert policy(root).read_text() == debian.POLICY
    (root / "slow").unlink()
    os.killpg(int((root / "installing").read_text()), signal.SIGTERM)
    debian.ensure("browser", machine(root), say=lambda line: None)
    assert not list((root / "usr/sbin").iterdir())


def test_a_failing_apt_is_said_in_its_own_words(root):
    (root / "broken").touch()
    with pytest.raises(Unavailable, match="no such mirror") as caught:
        debian.ensure("browser", machine(root), say=lambda line: None)
    assert f"apt-get install --no-install-recommends -y {' '.join(PACKAGES)}" in caught.value.next_step
    assert not list((root / "usr/sbin").iterdir())


def test_without_root_the_one_command_is_said(root, monkeypatch, capsys):
    with pytest.raises(Unavailable, match=r"To install: sudo apt-get install .* chromium chromium-driver"):
        debian.ensure("browser", machine(root, superuser=False), say=lambda line: None)
    assert not (root / "asked").exists()
    learner = machine(root, superuser=False)
    monkeypatch.setattr(debian, "Machine", lambda: learner)
    assert debian.main(["browser"]) == 0
    assert debian.main(["browser", "--require"]) == 1
    assert "tests that look at pages: until then that is left out" in capsys.readouterr().err


def test_on_a_terminal_sudo_is_asked_for(root):
    sudo = root / "bin/sudo"
    sudo.write_text(f'#!/bin/sh\necho "$@" > {root}/sudo-asked\n')
    sudo.chmod(0o755)
    said: list[str] = []
    debian.ensure("browser", machine(root, superuser=False, terminal=True), say=said.append)
    assert (root / "sudo-asked").read_text().endswith("-m labkit.debian --require browser\n")
    assert "sudo may ask" in said[0]


@pytest.mark.parametrize("release", ["NAME=Fedora\nID=fedora\n", "NAME=Ubuntu\nID=ubuntu\nID_LIKE=debian\n"])
def test_elsewhere_says_which_programs_are_wanted(root, release, monkeypatch):
    (root / "etc/os-release").write_text(release)
    monkeypatch.setenv("PATH", str(root / "bin"))
    with pytest.raises(Unavailable, match="Put chromium and chromedriver on PATH"):
        debian.ensure("browser", machine(root), say=lambda line: None)
    for program in ("chromium", "chromedriver"):
        (root / "bin" / program).write_text("#!/bin/sh\n")
        (root / "bin" / program).chmod(0o755)
    assert debian.missing("browser", machine(root)) == []


def test_an_unknown_group_names_the_known_ones(capsys):
    with pytest.raises(WorkbookError, match="There are: browser"):
        debian.missing("browsers")
    assert debian.main(["browsers"]) == 1
