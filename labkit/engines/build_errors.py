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
_LOST = re.compile(
    r"Cannot connect to the Docker daemon|error reading from server: EOF|connection reset|"
    r"transport is closing|unexpected EOF|Unavailable desc|connection refused|no active session|"
    r"^(?:ERROR: )?EOF$|error during connect",
    re.IGNORECASE | re.MULTILINE,
)
_RAN = re.compile(
    r"executor failed running \[(?P<a>.*)\]: (?:exit code|runc did not terminate successfully): ?(?P<code>.*)|"
    r'process "(?P<b>.*)" did not complete successfully: exit code: (?P<code_b>\d+)|'
    r"The command '(?P<c>.*)' returned a non-zero code: (?P<code_c>\d+)|"
    r'building at STEP "(?P<d>.*?)": .*exit status (?P<code_d>\d+)',
    re.DOTALL,
)
_NOISE = re.compile(r"^(?:#\d+ (?:[\d.]+ |ERROR)?|-+$| > |failed to solve|executor failed|\s*$)")


def explain(raw: Raw, request: Request) -> WorkbookError:
    """The error that says why this build failed."""
    log = raw.log
    last = [line for line in raw.lines if line.strip()][-3:]
    tail = "\n".join(last)
    if match := _SYNTAX.search(log):
        return _fault(f"Line {match[1]} of the Dockerfile can't be read: {match[2].strip()}.", raw)
    if match := re.search(r"unknown instruction: (\S+)|Unknown instruction: \"?(\w+)", log):
        what = f"The Dockerfile can't be read: {match[1] or match[2]} is no instruction."
        return _fault(what, raw, next_step="Instructions are FROM, COPY, RUN, ENV, CMD and a dozen more.")
    if re.search(r"file with no instructions|Dockerfile cannot be empty|no FROM statement", log):
        return _fault("The Dockerfile holds no instruction yet.", raw, next_step="Begin with FROM.")
    if re.search(r"failed to read dockerfile|Cannot locate specified Dockerfile", log):
        return _fault(f"There is no {request.dockerfile.name} in {request.context.name}.", raw)
    if "docker/dockerfile" in tail or re.search(r"resolve image config for docker.io/docker/dockerfile", log):
        if _NO_BASE.search(tail) or "dial tcp" in tail:
            return Unavailable(
                "The Dockerfile's first line names a frontend that lies in a registry out of reach.",
                why="`# syntax=docker/dockerfile:1` makes the builder pull an image of that name.",
                next_step="Take the line out: cache and secret mounts work without it here.",
            )
    if match := re.search(
        r'"?(/?[^\s"]+)"?:? not found|forbidden path|COPY failed: .*?([^\s/]+): no such', tail
    ):
        if "cache key" in tail or "COPY failed" in tail or "checksum of ref" in tail:
            return _fault(
                f"COPY found no {(match[1] or match[2] or '').lstrip('/')} in the context {request.context.name}.",
                raw,
                next_step="Look at its spelling, and whether .dockerignore leaves it out.",
            )
    step = raw.steps.get(raw.running)
    if step is None or step.text.startswith("FROM") or "FROM" in tail:
        if (_NO_BASE.search(tail) or "dial tcp" in tail) and not _RAN.search(tail):
            return _no_base(tail, step.text if step else "")
    if _NO_SHELL.search(log) and not re.search(r"#\d+ [\d.]+ \S", log.split("no such file")[0][-400:]):
        return _fault(
            "A RUN step failed: the image that it runs in has no shell.",
            raw,
            why="RUN in its plain form is run by /bin/sh, which this base does not have.",
            next_step='Do the work in an earlier stage and COPY the outcome, or write RUN ["program", "argument"].',
        )
    if match := _RAN.search(log):
        return _failed_step(match, raw)
    if _LOST.search(tail):
        return EngineLost("The engine ended during the build.", next_step="Build again: it is started anew.")
    return _fault("The image was not built.", raw, why=tail[-400:])


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
