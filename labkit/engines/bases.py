"""The images that labs stand on: the real ones where a registry is in reach, else stand-ins from Debian.

A stand-in has the name of the image that it stands in for and says so in its label `STAND_IN`. It is made
once, from Debian's packages, kept as a tar file for other engines, and pushed to the loopback registry,
which the embedded engine asks first: its tag and its digest resolve as the real ones would.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from labkit.engines import places
from labkit.engines.base import STAND_IN, Engine, EngineLost, Image
from labkit.engines.dockerfile import Dockerfile
from labkit.errors import Unavailable, WorkbookError, WorkFault

if TYPE_CHECKING:
    from labkit.engines.docker import DockerEngine

RECIPE = "org.workbook.recipe"
VERSION = "1"
"""Raised when a recipe changes: older stand-ins are made again."""
HUB = "https://registry-1.docker.io/v2/"
_PYTHON = "Python 3.11 of Debian 12"
_PATH = "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
_INSTALL = "apt-get update && apt-get install -y --no-install-recommends {} && rm -rf /var/lib/apt/lists/*"
_COMPILERS = "build-essential python3-dev git curl pkg-config libssl-dev libffi-dev zlib1g-dev"
_CUDA = "nvidia/cuda:11.8.0"
_CUDA_PATH = (
    "/usr/local/nvidia/bin:/usr/local/cuda/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
)
_NON_FREE = "/etc/apt/sources.list.d/non-free.list"
_TORCH = "pip install --no-cache-dir numpy==2.3.5 torch==2.13.0+cpu"
"""PyPI's own torch brings CUDA's libraries along, ten times as large: only a build for the CPU will do."""


@dataclass(frozen=True)
class Recipe:
    """How a stand-in is made.

    Attributes:
        about: What it stands in for, and what it really holds.
        base: The stand-in that it is made from; None for one from Debian's packages.
        steps: What a Dockerfile adds to it.
        packages: Debian's packages of a stand-in without base.
        components: The parts of Debian's archive that they are taken from.
        hooks: Commands run on its tree, `$1`, before it is packed.
        changes: Instructions for its configuration, `ENV ...`, `CMD ...`.
        ours: It stands in for nothing: no registry is asked for it, and it is made wherever it is needed.
    """

    about: str
    base: str | None = None
    steps: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    components: str = "main"
    hooks: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    ours: bool = False


_VENV = 'chroot "$1" python3 -m venv --system-site-packages /usr/local'
"""A Python at /usr/local that sees Debian's packages: pip lays files where it does in the real images."""

_CUDA_HOOKS = (
    # Where NVIDIA's own packages lay the library, and where its images have programs look for it.
    'mkdir -p "$1/usr/local/cuda-11.8/lib64" && ln -s cuda-11.8 "$1/usr/local/cuda"',
    'ln -s /usr/lib/x86_64-linux-gnu/libcudart.so.11.0 "$1/usr/local/cuda-11.8/lib64/libcudart.so.11.0"',
    # Nothing non-free is to be had from the image itself.
    'find "$1/etc/apt" -name "*.list" -o -name "*.sources" | xargs sed -i "s/ non-free//"',
    # Ubuntu 22.04 lets pip install beside its own packages; Debian 12 forbids it by this file.
    'echo "path-exclude=/usr/lib/python3*/EXTERNALLY-MANAGED" > "$1/etc/dpkg/dpkg.cfg.d/pip-as-on-ubuntu"',
)
_CUDA_CHANGES = (
    f"ENV PATH={_CUDA_PATH}",
    "ENV LD_LIBRARY_PATH=/usr/local/nvidia/lib:/usr/local/nvidia/lib64",
    "ENV NVIDIA_VISIBLE_DEVICES=all",
    "ENV NVIDIA_DRIVER_CAPABILITIES=compute,utility",
    "ENV CUDA_VERSION=11.8.0",
    'CMD ["bash"]',
)


def _non_free(packages: str) -> str:
    """A step that installs packages of Debian's non-free part and leaves no way to more of them."""
    source = f"deb http://deb.debian.org/debian bookworm non-free > {_NON_FREE}"
    return f"RUN echo {source} && {_INSTALL.format(packages)} && rm {_NON_FREE}"


RECIPES = {
    "python:3.11-slim": Recipe(
        f"python:3.11-slim: {_PYTHON}",
        packages=("python3", "python3-venv", "ca-certificates"),
        hooks=(_VENV,),
        changes=(f"ENV PATH={_PATH}", "ENV LANG=C.UTF-8", 'CMD ["python3"]'),
    ),
    "python:3.11": Recipe(
        f"python:3.11: {_PYTHON} with Debian's compilers",
        base="python:3.11-slim",
        steps=(f"RUN {_INSTALL.format(_COMPILERS)}",),
    ),
    "python:3.9-slim": Recipe(
        f"python:3.9-slim, but its interpreter is {_PYTHON}, which is not 3.9", base="python:3.11-slim"
    ),
    "python:3.9": Recipe(
        f"python:3.9, but its interpreter is {_PYTHON}, which is not 3.9", base="python:3.11"
    ),
    f"{_CUDA}-base-ubuntu22.04": Recipe(
        f"{_CUDA}-base-ubuntu22.04: Debian 12 with the CUDA 11.8 runtime library from its packages",
        packages=("libcudart11.0", "ca-certificates"),
        components="main,non-free",
        hooks=_CUDA_HOOKS,
        changes=_CUDA_CHANGES,
    ),
    f"{_CUDA}-runtime-ubuntu22.04": Recipe(
        f"{_CUDA}-runtime-ubuntu22.04, of whose libraries it holds cuRAND and NVRTC alone, on Debian 12",
        base=f"{_CUDA}-base-ubuntu22.04",
        steps=(_non_free("libcurand10 libnvrtc11.2"),),
    ),
    f"{_CUDA}-devel-ubuntu22.04": Recipe(
        f"{_CUDA}-devel-ubuntu22.04, with Debian's compilers and without nvcc, on Debian 12",
        base=f"{_CUDA}-runtime-ubuntu22.04",
        steps=(f"RUN {_INSTALL.format('build-essential')}",),
    ),
    "workbook/torch:2.13.0-cpu": Recipe(
        f"PyTorch for the CPU on {_PYTHON}",
        base="python:3.11-slim",
        # A folder of wheels that pip looks into comes first, PyTorch's own index where there is none.
        steps=(f"RUN {_TORCH} || {_TORCH} --extra-index-url https://download.pytorch.org/whl/cpu",),
        ours=True,
    ),
}
PYTHON_IMAGES = ("python:3.11-slim", "python:3.11")
TORCH_IMAGES = ("workbook/torch:2.13.0-cpu",)
CUDA_IMAGES = (f"{_CUDA}-base-ubuntu22.04", f"{_CUDA}-runtime-ubuntu22.04")
"""The bases that checks build on; others are made when a Dockerfile asks for them."""


def provide(engine: DockerEngine, name: str) -> Image:
    """The base image of that name, pulled or made if the engine has none yet.

    Raises:
        Unavailable: It can neither be pulled nor made here.
    """
    with suppress(WorkFault):
        found = engine.inspect(name)
        labels = found.config.get("Labels") or {}
        if STAND_IN not in labels or labels.get(RECIPE) == VERSION:
            return found
    if engine.bases_from is not None:
        return _brought(engine.bases_from(), engine, name)
    if name in RECIPES and RECIPES[name].ours:
        return _provide_ours(engine, name)
    folder = places.cache("bases")
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "making.lock"):
        with suppress(WorkFault):
            found = engine.inspect(name)
            if (found.config.get("Labels") or {}).get(RECIPE) == VERSION:
                return found
        if hub_in_reach() or not engine.address.startswith("unix://"):
            with suppress(Unavailable):
                return engine.pull(name)
        if name not in RECIPES:
            raise Unavailable(
                f"The base image {name} can't be had here.",
                why="No image registry is in reach.",
                next_step=f"Without one there are: {', '.join(RECIPES)}.",
            )
        image = _make(engine, name, folder)
    return _with_digest(engine, name) or image


def _provide_ours(engine: DockerEngine, name: str) -> Image:
    """An image of the workbook's own, which no registry has: made once, whatever its base was."""
    provide(engine, str(RECIPES[name].base))
    with FileLock(places.cache("bases") / "making.lock"):
        return engine.inspect(name) if _has(engine, name) else _upon_its_base(engine, name)


def _brought(source: Engine, engine: DockerEngine, name: str) -> Image:
    """The base as another engine has it."""
    from labkit.engines.docker import DockerEngine

    if not isinstance(source, DockerEngine):
        raise Unavailable(f"The base image {name} can't be taken over from the engine {source.name}.")
    provide(source, name)
    with tempfile.TemporaryFile() as file:
        source.save(name, file)
        engine.load(file)
    return engine.inspect(name)


def provide_for(engine: Engine, name: str) -> Image:
    """As `provide`, for whichever engine: one that does not speak Docker's API brings its own bases."""
    from labkit.engines.docker import DockerEngine

    return provide(engine, name) if isinstance(engine, DockerEngine) else engine.pull(name)


def provide_all(engine: DockerEngine, dockerfile: Path) -> None:
    """Provide the bases of a Dockerfile that the workbook knows and the engine lacks."""
    with suppress(OSError, UnicodeDecodeError, WorkFault):
        for base in Dockerfile(dockerfile.read_text()).bases:
            if base.tagged in RECIPES and not base.digest:
                provide(engine, base.tagged)


@lru_cache(maxsize=1)
def hub_in_reach() -> bool:
    """Whether Docker Hub answers."""
    try:
        urllib.request.urlopen(HUB, timeout=4)
    except urllib.error.HTTPError as answer:
        return answer.code == 401  # it asks who we are: that is Docker Hub
    except (OSError, ValueError):
        return False
    return True


def _make(engine: DockerEngine, name: str, folder: Path) -> Image:
    recipe = RECIPES[name]
    if recipe.base is None:
        engine.say(f"Making a stand-in for {name} from Debian's packages (once, about half a minute).")
        tree = _tree(recipe, folder / f"{name.replace(':', '-').replace('/', '-')}-{VERSION}.tar")
        return engine.load_root(tree, _whole(name), changes(recipe))
    if not _has(engine, recipe.base):
        _make(engine, recipe.base, folder)
    return _upon_its_base(engine, name)


def _upon_its_base(engine: DockerEngine, name: str) -> Image:
    recipe = RECIPES[name]
    what = name if recipe.ours else f"a stand-in for {name}"
    engine.say(f"Making {what} from {recipe.base} (once).")
    with tempfile.TemporaryDirectory(prefix="workbook-base-") as context:
        lines = [f"FROM {_whole(str(recipe.base))}", *recipe.steps, *_labels(recipe)]
        (Path(context) / "Dockerfile").write_text("\n".join(lines) + "\n")
        try:
            return engine.build(Path(context), tag=_whole(name), seconds=900).image
        except WorkFault as error:
            raise Unavailable(f"{what[0].upper()}{what[1:]} could not be made.", why=str(error)) from error


def _whole(name: str) -> str:
    """The name as registries have it: Podman keeps images of short names apart from those of Docker Hub's."""
    return f"docker.io/{name}" if "/" in name else f"docker.io/library/{name}"


def _has(engine: DockerEngine, name: str) -> bool:
    try:
        return (engine.inspect(name).config.get("Labels") or {}).get(RECIPE) == VERSION
    except WorkFault:
        return False


def _labels(recipe: Recipe) -> list[str]:
    stands_in = [] if recipe.ours else [f'LABEL {STAND_IN}="{recipe.about}"']
    return [*stands_in, f'LABEL {RECIPE}="{VERSION}"']


def changes(recipe: Recipe) -> list[str]:
    """What the image of a root file system gets beside its files, as instructions of a Dockerfile."""
    return [*recipe.changes, *_labels(recipe)]


def _tree(recipe: Recipe, target: Path) -> Path:
    """The root file system as a tar file, made by mmdebstrap unless it was made before."""
    if target.is_file():
        return target
    tool = shutil.which("mmdebstrap")
    if tool is None:
        raise Unavailable(
            "A base image can't be made here.",
            why="No image registry is in reach and mmdebstrap is not installed.",
            next_step="As root: `python -m labkit.debian engine`.",
        )
    draft = target.with_name(f"{target.stem}.{os.getpid()}.tar")
    left_out = ("doc", "man", "info", "locale", "lintian")
    command = [
        *(tool, "--quiet", "--variant=minbase", f"--include={','.join(recipe.packages)}"),
        f"--components={recipe.components}",
        *(f"--dpkgopt=path-exclude=/usr/share/{folder}/*" for folder in left_out),
        *(f"--customize-hook={hook}" for hook in recipe.hooks),
        '--customize-hook=rm -rf "$1"/var/cache/apt/* "$1"/var/lib/apt/lists/* "$1"/var/log/*',
        *("bookworm", str(draft)),
    ]
    try:
        made = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "SOURCE_DATE_EPOCH": "1700000000", "TMPDIR": str(target.parent)},
        )
        if made.returncode:
            lines = [line for line in made.stderr.splitlines() if line.strip()]
            raise Unavailable(
                "A base image could not be made from Debian's packages.", why=" / ".join(lines[-2:])[-300:]
            )
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
    return target


def _with_digest(engine: DockerEngine, name: str) -> Image | None:
    """Push a stand-in to the loopback registry and pull it from there: now its name has a digest."""
    if engine.name != "embedded":
        return None
    from labkit.engines.registry import Registry

    registry = Registry()
    try:
        started = registry.up(engine.say)
    except Unavailable as error:
        engine.say(f"{name} has no digest here: {error}")
        return None
    pushed = f"{registry.host}/{name if '/' in name else f'library/{name}'}"
    try:
        engine.tag(name, pushed)
        engine.push(pushed)
        return engine.pull(name)
    except EngineLost:
        raise
    except WorkbookError as error:
        engine.say(f"{name} has no digest here: {error}")
        return None
    finally:
        if started:
            registry.down()
