"""Kubernetes' programs, compiled once and kept; an interrupted build is taken up where it was."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock

from labkit import debian
from labkit.clusters.debian import source
from labkit.engines import places
from labkit.errors import Unavailable
from labkit.processes import die_with_parent

PROGRAMS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy")
_GO = Path("/usr/lib/go-1.19")
_MARK = re.compile(r"^// \+k8s:openapi-gen=true", re.MULTILINE)
_SAY_SECONDS = 15.0
_NEEDED_BYTES = 5 << 30


class Builder:
    """Makes the programs, in a folder of their own.

    Args:
        folder: Where they are kept.
        say: Told in a sentence what is done, and every few seconds how far it is.
    """

    def __init__(self, folder: Path | None = None, say: debian.Say = debian.say_on_stderr) -> None:
        self.folder = folder or places.cache("kubernetes")
        self.say = say

    @property
    def programs(self) -> Path:
        """The folder of the finished programs."""
        return self.folder / "bin"

    @property
    def work(self) -> Path:
        """What is only there while they are made: source, Go's own cache, logs."""
        return self.folder / "work"

    def done(self) -> bool:
        """Whether all of them are there."""
        return all((self.programs / name).exists() for name in PROGRAMS)

    def build(self) -> bool:
        """Make what is missing; gives whether anything was.

        Raises:
            Unavailable: This machine lacks something, or the compiler gave up.
        """
        if self.done():
            return False
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / "lock"):
            if self.done():
                return False
            if shutil.disk_usage(self.folder).free < _NEEDED_BYTES:
                why = f"{self.folder} needs about 5 GB while it is built, and 0.5 GB afterwards."
                raise Unavailable("There is too little room to build Kubernetes.", why=why)
            debian.ensure("kubernetes", say=self.say)
            self.say(f"Building Kubernetes {source.KUBERNETES} once: about 8 minutes of two processors.")
            tree = source.fetch(self.work, self.say)
            self._generate(tree)
            for name in PROGRAMS:
                if not (self.programs / name).exists():
                    self._compile(tree, name)
            # The source and Go's cache are several gigabytes, and of no use any more.
            shutil.rmtree(self.work, ignore_errors=True)
            self.say(f"Kubernetes {source.KUBERNETES} is in {self.programs}.")
        return True

    def _generate(self, tree: Path) -> None:
        """Write the OpenAPI definitions, which the source package leaves out."""
        finished = self.work / "generated"
        if finished.exists():
            return
        self.say("Generating the API's definitions.")
        tool = self.work / "openapi-gen"
        self._go(tree, "build", "-o", str(tool), "./vendor/k8s.io/kube-openapi/cmd/openapi-gen")
        package = "k8s.io/kubernetes/pkg/generated/openapi"
        self._run(
            tree,
            [
                *(str(tool), "--logtostderr", "-O", "zz_generated.openapi", "-p", package),
                *("-i", ",".join(sorted(set(_marked(tree))))),
                *("--go-header-file", "vendor/k8s.io/code-generator/hack/boilerplate.go.txt"),
                *("-r", str(self.work / "openapi-violations")),
            ],
        )
        finished.touch()

    def _compile(self, tree: Path, name: str) -> None:
        self.say(f"Compiling {name}.")
        self.programs.mkdir(exist_ok=True)
        draft = self.programs / f".{name}.part"
        version, major, minor = source.KUBERNETES, *source.KUBERNETES.lstrip("v").split(".")[:2]
        facts = {"gitVersion": version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
        places_of_version = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
        stamps = [
            f"-X {prefix}{package}.{field}={value}"
            for package in places_of_version
            for prefix in ("", "k8s.io/kubernetes/vendor/")
            for field, value in facts.items()
        ]
        flags = " ".join(["-s", "-w", *stamps])
        self._go(tree, "build", "-v", "-ldflags", flags, "-o", str(draft), f"./cmd/{name}")
        draft.rename(self.programs / name)

    def _go(self, tree: Path, *arguments: str) -> None:
        self._run(tree, ["nice", str(_GO / "bin/go"), *arguments])

    def _run(self, tree: Path, command: list[str]) -> None:
        """Run a step and say from time to time how many packages it has compiled."""
        environment = {
            **os.environ,
            **{"GOROOT": str(_GO), "GOPATH": str(self.work / "go"), "GOCACHE": str(self.work / "cache")},
            **{"GO111MODULE": "off", "CGO_ENABLED": "0", "GOFLAGS": "", "GOPROXY": "off"},
            "PATH": f"{_GO / 'bin'}:{os.environ.get('PATH', '/usr/bin:/bin')}",
        }
        lines: list[str] = []
        said = time.monotonic()
        with subprocess.Popen(
            command,
            cwd=tree,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            preexec_fn=die_with_parent,
        ) as process:
            assert process.stdout is not None
            try:
                for line in process.stdout:
                    lines.append(line.rstrip())
                    if time.monotonic() - said > _SAY_SECONDS:
                        said = time.monotonic()
                        self.say(f"  {len(lines)} packages compiled, now {lines[-1]}.")
            except BaseException:
                process.terminate()
                raise
        log = self.work / "build.log"
        log.write_text("\n".join([*map(str, command[:4]), *lines]))
        if process.returncode:
            raise Unavailable(
                "Kubernetes could not be built.",
                why=" / ".join(lines[-2:])[-400:] or f"The compiler ended with {process.returncode}.",
                next_step=f"All that it said is in {log}; the same command goes on from here.",
            )


def _marked(tree: Path) -> Iterator[str]:
    """The packages that ask for OpenAPI definitions."""
    skipped = ("testdata", "_examples", "code-generator")
    for root in ("pkg", "staging/src", "vendor", "plugin", "cmd", "test"):
        for path in (tree / root).rglob("*.go"):
            parts = path.relative_to(tree).parts
            if path.is_symlink() or any(part in skipped for part in parts) or not path.is_file():
                continue
            if _MARK.search(path.read_text(errors="replace")):
                folder = "/".join(parts[:-1])
                yield (
                    folder.removeprefix("vendor/").removeprefix("staging/src/")
                    if folder.startswith(("vendor/", "staging/src/"))
                    else f"k8s.io/kubernetes/{folder}"
                )
