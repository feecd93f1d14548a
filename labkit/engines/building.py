"""Runs builds, through BuildKit's command line or an engine's own builder, and reads what they print."""

from __future__ import annotations

import os
import re
import selectors
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import docker
import docker.errors
import requests.exceptions

from labkit.engines.base import BuildFault, EngineLost, Say, Step
from labkit.engines.build_errors import explain

_VERTEX = re.compile(r"#(\d+) \[(?P<where>[^\]]*?)\s*(\d+/\d+)?\] (?P<text>.*)")
_LEGACY = re.compile(r"^(?:\[\d+/\d+\] )?(?:Step|STEP) (\d+)/(\d+)\s?: (?P<text>.*)")


@dataclass(frozen=True)
class Request:
    """What is to be built: the arguments of `Engine.build`."""

    context: Path
    dockerfile: Path
    tag: str | None
    target: str | None = None
    arguments: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, Path] = field(default_factory=dict)
    network: bool = True
    fresh: bool = False
    seconds: float = 300
    on_step: Say | None = None


@dataclass
class Raw:
    """What a build gave: the image's id, the steps as they were seen, and all that was printed."""

    image: str = ""
    steps: dict[str, Step] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    running: str = ""
    seconds: float = 0.0

    @property
    def log(self) -> str:
        """All lines."""
        return "\n".join(self.lines)

    def too_long(self, request: Request) -> BuildFault:
        """The error of a build that did not end in time."""
        step = self.steps.get(self.running)
        where = f"it was still at `{_short(step.text)}`" if step else "it did not come to its first step"
        return BuildFault(
            f"The image was not built within {request.seconds:.0f} s: {where}.",
            why=f"The last that it printed: {self.lines[-1][:160]}" if self.lines else "",
            next_step="Run that step's command by itself and see what it waits for.",
            log=self.log,
        )


# ---- BuildKit, through the command line -------------------------------------------------------------------


def buildkit_client(version: str, search: tuple[str | None, ...] | None = None) -> Path | None:
    """A docker command line that can drive BuildKit, if there is one.

    Clients before 23 bring what they need; newer ones need the plug-in buildx.

    Args:
        version: The engine's version.
        search: Where to look; Debian's own client first by default.
    """
    if version.startswith("podman"):
        return None
    for candidate in search or ("/usr/bin/docker", shutil.which("docker")):
        if candidate is None or not os.access(candidate, os.X_OK):
            continue
        said = _answer(candidate, "--version")
        match = re.search(r"version (\d+)", said)
        if match and (int(match[1]) < 23 or "buildx" in _answer(candidate, "buildx", "version")):
            return Path(candidate)
    return None


def _answer(*command: str) -> str:
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    return ran.stdout if ran.returncode == 0 else ""


def with_buildkit(client: Path, address: str, request: Request) -> Raw:
    """Build with BuildKit.

    Raises:
        BuildFault: See `explain`.
    """
    with tempfile.TemporaryDirectory(prefix="workbook-build-") as scratch:
        identity = Path(scratch) / "image"
        command = [
            *(str(client), "build", "--progress=plain", f"--iidfile={identity}"),
            f"--file={request.dockerfile}",
            *([f"--tag={request.tag}"] if request.tag else []),
            *([f"--target={request.target}"] if request.target else []),
            *(f"--build-arg={name}={value}" for name, value in request.arguments.items()),
            *(f"--secret=id={name},src={path}" for name, path in request.secrets.items()),
            *([] if request.network else ["--network=none"]),
            *(["--no-cache"] if request.fresh else []),
            str(request.context),
        ]
        raw = Raw()
        began = time.monotonic()
        code = _stream(command, address, request, raw)
        raw.seconds = time.monotonic() - began
        if code != 0:
            raise explain(raw, request)
        raw.image = identity.read_text().strip()
    return raw


def _stream(command: list[str], address: str, request: Request, raw: Raw) -> int:
    """Run the command line until it ends or the time is over; the engine drops a build whose client left."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        env={**os.environ, "DOCKER_HOST": address, "DOCKER_BUILDKIT": "1", "BUILDKIT_PROGRESS": "plain"},
    )
    try:
        for line in _lines(process, time.monotonic() + request.seconds):
            if line is None:
                raise raw.too_long(request)
            _read_buildkit(line, raw, request.on_step)
        return process.wait()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _lines(process: subprocess.Popen[bytes], deadline: float) -> Iterator[str | None]:
    """Lines as they come; None when the time is over."""
    assert process.stdout is not None
    buffer = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while True:
            if not selector.select(max(0.0, deadline - time.monotonic())) or time.monotonic() > deadline:
                yield None
                return
            chunk = os.read(process.stdout.fileno(), 65536)
            if not chunk:
                break
            *lines, buffer = (buffer + chunk).split(b"\n")
            yield from (line.decode(errors="replace").rstrip("\r") for line in lines)
    if buffer:
        yield buffer.decode(errors="replace")


def _read_buildkit(line: str, raw: Raw, on_step: Say | None) -> None:
    raw.lines.append(line)
    number, _, rest = line.partition(" ")
    match = _VERTEX.match(line)
    if match and match["where"] != "internal" and number not in raw.steps:
        stage = match["where"]
        step = Step(match["text"], "" if re.fullmatch(r"(stage-\d+)?", stage) else stage)
        raw.steps[number], raw.running = step, number
        if on_step is not None:
            on_step(_short(step.text))
    elif number in raw.steps:
        if rest == "CACHED":
            raw.steps[number] = replace(raw.steps[number], cached=True)
        elif done := re.fullmatch(r"DONE ([\d.]+)s", rest):
            raw.steps[number] = replace(raw.steps[number], seconds=float(done[1]))
        elif not rest.startswith("sha256:"):
            raw.running = number


# ---- an engine's own builder, through its API -------------------------------------------------------------


def with_api(api: docker.APIClient, request: Request) -> Raw:
    """Build with the engine's own builder (Podman's is Buildah).

    Raises:
        BuildFault: See `explain`.
        EngineLost: The engine ended meanwhile.
    """
    raw = Raw()
    began = time.monotonic()
    error = ""
    stream: Iterator[dict[str, Any]] = api.build(
        path=str(request.context),
        dockerfile=str(request.dockerfile),
        tag=request.tag,
        target=request.target or "",
        buildargs=dict(request.arguments),
        network_mode=None if request.network else "none",
        nocache=request.fresh,
        rm=True,
        forcerm=True,
        decode=True,
        timeout=int(request.seconds),
    )
    try:
        for event in stream:
            if time.monotonic() - began > request.seconds:
                raise raw.too_long(request)
            error = error or str(event.get("errorDetail", {}).get("message") or event.get("error") or "")
            if "aux" in event:
                raw.image = event["aux"].get("ID", raw.image)
            for line in str(event.get("stream", "")).splitlines():
                _read_legacy(line, raw, time.monotonic() - began, request.on_step)
    except requests.exceptions.ReadTimeout as late:
        raise raw.too_long(request) from late
    except (requests.exceptions.ConnectionError, requests.exceptions.ChunkedEncodingError) as gone:
        if "timed out" in str(gone).lower():
            raise raw.too_long(request) from gone
        raise EngineLost("The engine ended during the build.", next_step="Build again.") from gone
    except docker.errors.APIError as refused:
        error = str(refused.explanation or refused)
    raw.seconds = time.monotonic() - began
    _end_step(raw, raw.seconds)
    if error:
        raw.lines.append(error)
        raise explain(raw, request)
    if not raw.image and raw.lines:
        raw.image = raw.lines[-1].removeprefix("Successfully built ").strip()
    return raw


def _read_legacy(line: str, raw: Raw, now: float, on_step: Say | None) -> None:
    raw.lines.append(line)
    match = _LEGACY.match(line)
    if match:
        _end_step(raw, now)
        raw.running = str(len(raw.steps))
        raw.steps[raw.running] = Step(match["text"], seconds=-now)
        if on_step is not None:
            on_step(_short(match["text"]))
    elif re.match(r"\s*-+> Using cache", line) and raw.running in raw.steps:
        raw.steps[raw.running] = replace(raw.steps[raw.running], cached=True)
    elif built := re.match(r"Successfully built ([0-9a-f]+)", line):
        raw.image = built[1]


def _end_step(raw: Raw, now: float) -> None:
    """A step that runs holds minus the time of its beginning."""
    step = raw.steps.get(raw.running)
    if step is not None and step.seconds <= 0:
        spent = 0.0 if step.cached else round(now + step.seconds, 3)
        raw.steps[raw.running] = replace(step, seconds=spent)


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 80 else f"{text[:77]}..."
