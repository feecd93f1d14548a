"""Environments of one tiny package, really made, by the running environment's uv and without any index."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from labkit.environments import Environment, conda, ensure, interpreters
from labkit.errors import WorkbookError

UV = Path(sys.prefix) / "bin" / "uv"
REPOSITORY = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(
    not UV.exists(), reason="the running environment was not made by `make setup`"
)


def write_wheel(folder: Path, version: str) -> str:
    """A wheel of one module; gives its pinned requirement."""
    folder.mkdir(exist_ok=True)
    wheel = folder / f"tiny_thing-{version}-py3-none-any.whl"
    info = f"tiny_thing-{version}.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        # Of another length in each version: bytecode is told apart by the source's second and size alone.
        archive.writestr("tiny_thing.py", f"VERSION = {version!r}\n" + "#" * int(version[0]))
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: tiny-thing\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    return f"tiny-thing=={version} --hash=sha256:{digest}\n"


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A repository whose path has a space, with a core that holds nothing but uv, slowed down on demand."""
    root = tmp_path / "my course"
    (root / "environments").mkdir(parents=True)
    (root / "environments" / "core.txt").write_text("")
    (root / "environments" / "tiny.txt").write_text(write_wheel(tmp_path / "wheels", "1.0"))
    (root / "pyproject.toml").write_text("[project]\nname = 'tiny'\n")
    core = Environment("core", root)
    (core.path / "bin").mkdir(parents=True)
    uv = core.path / "bin" / "uv"
    uv.write_text(
        f"#!/bin/sh\ntouch '{root}/uv-began'\n[ ! -e '{root}/slow' ] || sleep 1\nexec '{UV}' \"$@\"\n"
    )
    uv.chmod(0o755)
    core.python.symlink_to(sys.executable)
    stamp = {"finished": True, "path": str(core.path), "interpreter": str(interpreters.find().executable)}
    core.write_stamp(
        stamp | {"requirements": core.requirements_hash(), "project": core.project_hash()},
    )
    assert core.flaw() is None
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", f"{tmp_path}/no-such-folder {tmp_path}/wheels")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    return root


def version_in(environment: Environment) -> str:
    command = [str(environment.python), "-c", "import tiny_thing; print(tiny_thing.VERSION)"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_made_then_nothing_to_do_then_mended(root, tmp_path):
    lines: list[str] = []
    environment = ensure("tiny", root=root, say=lines.append)
    assert version_in(environment) == "1.0"
    assert lines[-1].startswith(".environments/tiny is ready")

    lines.clear()
    began = time.monotonic()
    ensure("tiny", root=root, say=lines.append)
    assert lines == []
    assert time.monotonic() - began < 0.5

    interpreter = environment.python.stat().st_ino
    environment.requirements.write_text(write_wheel(tmp_path / "wheels", "2.0"))
    ensure("tiny", root=root, say=lines.append)
    assert "its requirements changed" in lines[0]
    assert version_in(environment) == "2.0"
    assert environment.python.stat().st_ino == interpreter  # what still fits is kept

    moved = root.with_name("moved course")
    root.rename(moved)
    flaw = Environment("tiny", moved).flaw()
    assert flaw is not None
    assert flaw.remake


@pytest.mark.parametrize("moment", ["the stamp is written", "pip is being laid out", "uv installs"])
def test_killed_at_any_moment_the_next_run_finishes(root, moment):
    environment = Environment("tiny", root)
    sign = {
        "the stamp is written": environment.stamp,
        "pip is being laid out": environment.path / "bin" / "python",
        "uv installs": root / "uv-began",
    }[moment]
    (root / "slow").touch()
    command = [sys.executable, "-m", "labkit.environments", "tiny", "--root", str(root)]
    with subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 120
        while not sign.exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    flaw = environment.flaw()
    assert flaw is not None
    lines: list[str] = []
    ensure("tiny", root=root, say=lines.append)
    assert environment.flaw() is None
    assert version_in(environment) == "1.0"
    assert any("interrupted" in line for line in lines)


def shim(folder, name, script):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)
    return folder / name


def test_other_pythons_first_on_the_path_and_in_the_environment_change_nothing(root, tmp_path, monkeypatch):
    for name in ("python", "python3", "python3.11", "python3.12"):
        shim(tmp_path / "shims", name, "exit 9")
    monkeypatch.setenv("PATH", f"{tmp_path / 'shims'}{os.pathsep}{os.environ['PATH']}")
    with monkeypatch.context() as bent:
        bent.setenv("PYTHONHOME", "/nowhere")
        bent.setenv("VIRTUAL_ENV", "/nowhere")
        bent.setenv("PIP_TARGET", str(tmp_path / "elsewhere"))
        environment = ensure("tiny", root=root, say=lambda line: None)
    assert version_in(environment) == "1.0"
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("exit 9", "No Python 3.11 or 3.12 was found"),
        (
            """echo '{"executable": "/opt/python3.9", "version": [3, 9, 2], "venv": true}'""",
            "This is Python 3.9.2",
        ),
        (
            """echo '{"executable": "/opt/p", "version": [3, 11, 2], "venv": false}'""",
            "apt-get install .*3.11-venv",
        ),
    ],
    ids=["runs not at all", "too old", "without venv"],
)
def test_a_machine_without_the_right_python_is_told_what_to_install(tmp_path, monkeypatch, script, says):
    found = shim(tmp_path / "bin", "python3.11", script)
    monkeypatch.setattr(interpreters, "DEBIAN", tmp_path / "nothing")
    monkeypatch.setattr(sys, "executable", str(found))
    monkeypatch.setenv("PATH", str(found.parent))
    with pytest.raises(WorkbookError, match=says):
        interpreters.find()


def test_two_at_once_make_it_once(root):
    command = [sys.executable, "-m", "labkit.environments", "tiny", "--root", str(root)]
    both = [subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    words = [process.communicate(timeout=60)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert "".join(words).count("is ready") == 1
    assert "Waiting for another set-up" in "".join(words)
    assert version_in(Environment("tiny", root)) == "1.0"


def test_a_folder_of_somebody_else_is_kept(root):
    environment = Environment("tiny", root)
    environment.path.mkdir(parents=True)
    (environment.path / "mine.txt").write_text("mine")
    ensure("tiny", root=root, say=lambda line: None)
    assert version_in(environment) == "1.0"
    assert [kept.read_text() for kept in environment.path.parent.glob("tiny.*/mine.txt")] == ["mine"]


def test_a_misspelt_name_names_the_others_and_makes_nothing(root):
    with pytest.raises(WorkbookError, match=r"no environment called tinny.*There are: core, tiny\."):
        ensure("tinny", root=root, say=lambda line: None)
    assert not Environment("tinny", root).path.exists()


def test_conda_gets_the_pins_of_core(tmp_path):
    folder = tmp_path / "environments"
    folder.mkdir()
    (folder / "core.in").write_text("# head\nA_b[x]\nnumpy\nonly; sys_platform != 'win32'\nold<8\n")
    (folder / "core.txt").write_text(
        "a-b[x]==1.0 \\\n    --hash=sha256:0\nnumpy==2 ; python_full_version < '3.12' \\\n"
        "numpy==3 ; python_full_version >= '3.12' \\\nonly==4 ; sys_platform != 'win32'\nold==7.1\n"
    )
    text = conda.render(tmp_path)
    pins = [line.strip() for line in text.partition("pip:\n")[2].splitlines()]
    assert pins == [
        "- A_b[x]==1.0",
        "- numpy==2",
        "- \"only==4; sys_platform != 'win32'\"",
        "- old==7.1",
        "- --editable .",
    ]
    (folder / "core.in").write_text("new\n")
    with pytest.raises(WorkbookError, match="does not pin new"):
        conda.render(tmp_path)
