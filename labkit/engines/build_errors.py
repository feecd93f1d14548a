"""What a failed build is told as: one sentence of what happened, why, and what to do next."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from labkit.engines.base import BuildFault, EngineLost
from labkit.errors import Unavailable, WorkbookError

if TYPE_CHECKING:
    from labkit.engines.building import Raw, Request

_SYNTAX = re.compile(r"dockerfile parse error (?:on )?line (\d+): (.*)", re.IGNORECASE)
_NO_BASE = re.compile(
    r"pull access denied|manifest unknown|failed to resolve (?:source metadata|reference)|"
    r"initializing source docker://|failed to do request|registry-1\.docker\.io|short-name|no such image",
    re.IGNORECASE,
)
_NO_NETWORK = re.compile(
    r"Temporary failure (?:in name resolution|resolving)|Could not resolve|Network is unreachable|"
    r"Name or service not known|Failed to establish a new connection|NewConnectionError"
)
_NO_SHELL = re.compile(r'(?:exec: "?/bin/sh"?|"/bin/sh": stat /bin/sh|/bin/sh).*(?:no such file|not found)')
_FRONTEND = re.compile(r"resolve image config for (?:docker-image://)?(?:docker\.io/)?(\S+)")
_RAN_OUT = {
    re.compile(r"No space left on device|no space left on device"): "filled the disk that the build has",
    re.compile(r"[Cc]annot fork|can't start new thread|fork: .*temporarily unavailable|BlockingIOError"): (
        "started more processes than a build may have"
    ),
    re.compile(r"MemoryError|[Cc]annot allocate memory|exit code: 137"): (
        "took more memory than a build may have"
    ),
}
_LOST = re.compile(
    r"Cannot connect to the Docker daemon|error reading from server: EOF|connection reset|"
    r"transport is closing|did not provide an image ID|"
    r"unexpected EOF|Unavailable desc|connection refused|no active session|"
    r"^(?:ERROR: )?EOF$|error during connect",
    re.IGNORECASE | re.MULTILINE,
)
_RAN = re.compile(
    r"executor failed running \[(?P<a>.*)\]: "
    r"(?:exit code|runc did not terminate successfully): ?(?P<code>.*)|"
    r'process "(?P<b>.*)" did not complete successfully: exit code: (?P<code_b>\d+)|'
    r"The command '(?P<c>.*)' returned a non-zero code: (?P<code_c>\d+)|"
    r'building at STEP "(?P<d>.*?)": .*exit status (?P<code_d>\d+)',
    re.DOTALL,
)
_NOISE = re.compile(r"^(?:#\d+ (?:[\d.]+ |ERROR)?|-+$| > |failed to solve|executor failed|\s*$)")


def explain(raw: Raw, request: Request) -> WorkbookError:
    """The error that says why this build failed."""
    log = raw.log
    tail = "\n".join([line for line in raw.lines if line.strip()][-3:])
    out_of_reach = bool(_NO_BASE.search(tail)) or "dial tcp" in tail
    if error := _unreadable(log, raw, request):
        return error
    if (match := _FRONTEND.search(log)) and out_of_reach:
        return Unavailable(
            "The Dockerfile's first line names a frontend that lies in a registry out of reach.",
            why=f"`# syntax={match[1][:80]}` makes the builder pull an image of that name.",
            next_step="Take the line out: cache and secret mounts work without it here.",
        )
    if any(words in tail for words in ("cache key", "COPY failed", "checksum of ref", "no items matching")):
        match = re.search(r'"(/[^"]+)"|stat (\S+?): no such|glob[^"]*"(?:[^"]*/)?([^"/]+)"', tail)
        name = next((part for part in match.groups() if part), "") if match else "such file"
        return _fault(
            f"COPY found no {name.lstrip('/')} in the context {request.context.name}.",
            raw,
            next_step="Look at its spelling, and whether .dockerignore leaves it out.",
        )
    match = _RAN.search(log)
    if out_of_reach and match is None:
        step = raw.steps.get(raw.running)
        return _no_base(tail, step.text if step else "")
    if _NO_SHELL.search(log):
        return _fault(
            "A RUN step failed: the image that it runs in has no shell.",
            raw,
            why="RUN in its plain form is run by /bin/sh, which this base does not have.",
            next_step="Do the work in an earlier stage and COPY the outcome.",
        )
    if match is not None:
        return _failed_step(match, raw)
    if _LOST.search(tail):
        return EngineLost("The engine ended during the build.", next_step="Build again: it is started anew.")
    return _fault("The image was not built.", raw, why=tail[-400:])


def _unreadable(log: str, raw: Raw, request: Request) -> BuildFault | None:
    """The error of a Dockerfile that can't be read as one."""
    if match := _SYNTAX.search(log):
        return _fault(f"Line {match[1]} of the Dockerfile can't be read: {match[2].strip()}.", raw)
    if match := re.search(r'unknown instruction: "?(\w+)', log, re.IGNORECASE):
        return _fault(f"The Dockerfile can't be read: {match[1]} is no instruction.", raw)
    if re.search(r"no instructions|Dockerfile cannot be empty|no FROM statement|no build stage", log):
        return _fault("The Dockerfile holds no instruction yet.", raw, next_step="Begin with FROM.")
    if "greater than max allowed size" in log or "token too long" in log:
        return _fault("A line of the Dockerfile is too long: at most 65,535 letters are read.", raw)
    if re.search(r"failed to read dockerfile|Cannot locate specified Dockerfile", log):
        return _fault(f"There is no {request.dockerfile.name} in {request.context.name}.", raw)
    return None


def _failed_step(match: re.Match[str], raw: Raw) -> BuildFault:
    found = {name: value for name, value in match.groupdict().items() if value}
    code = next((v for name, v in found.items() if name.startswith("code")), "")
    step = raw.steps.get(raw.running)
    text = step.text if step else next((v for name, v in found.items() if len(name) == 1), "")
    text = " ".join(text.split())
    said = _said(raw)
    network = next((line for line in reversed(said) if _NO_NETWORK.search(line)), "")
    ended = re.search(r"\d+", code)
    if network:
        return _fault(
            f"A step asked the network and got no answer: `{text[:100]}`.",
            raw,
            why=network[:200],
            next_step="Builds here reach the package indexes that this machine reaches, and nothing else.",
        )
    for pattern, what in _RAN_OUT.items():
        if pattern.search("\n".join([*said[-20:], f"exit code: {ended[0] if ended else ''}"])):
            return _fault(f"A step {what}: `{text[:100]}`.", raw, why=(said or [""])[-1][:200])
    errors = [
        line for line in said if re.search(r"\b(error|not found|denied|no such)\b", line, re.IGNORECASE)
    ]
    return _fault(
        f"A step ended with exit code {ended[0] if ended else '?'}: `{text[:120]}`.",
        raw,
        why=(errors or said or [""])[-1][:300],
    )


def _said(raw: Raw) -> list[str]:
    """What the steps themselves printed."""
    lines = []
    for line in raw.lines:
        match = re.match(rf"{re.escape(raw.running)} [\d.]+ (.*)", line)
        if match:
            lines.append(match[1].strip())
    if not lines:
        lines = [line for line in raw.lines if not _NOISE.match(line)]
    return [line for line in lines if line.strip()]


def _no_base(tail: str, text: str) -> Unavailable:
    name = re.search(r"FROM (?:docker\.io/)?(?:library/)?(\S+)", text) or re.search(
        r"docker\.io/(?:library/)?([\w./-]+(?::[\w.-]+)?(?:@sha256:\w+)?)", tail
    )
    base = name[1].rstrip(".:") if name else "that the Dockerfile names"
    return Unavailable(
        f"The base image {base} can't be had here.",
        why="No image registry is in reach, and it is none of the images that the workbook has made.",
        next_step="`workbook up engine` lists those that are there.",
    )


def _fault(what: str, raw: Raw, *, why: str = "", next_step: str = "") -> BuildFault:
    return BuildFault(what, why=why, next_step=next_step, log=raw.log)
