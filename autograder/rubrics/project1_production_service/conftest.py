"""What the checks of project 1 share: the image, containers of it with labels beside them, a cluster."""

import shutil
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import numpy as np
import pytest

from autograder.fixtures import copy_work
from autograder.images import Builder, read_dockerfile
from autograder.production.contract import LABELS_PORT, PORT
from autograder.production.manifests import read_manifests
from autograder.rubric import progress
from labkit.clusters.embedded.cluster import EmbeddedCluster
from labkit.course import find_course
from labkit.engines.base import Container
from labkit.engines.guarded import engine_for_work
from labkit.errors import Unavailable, WorkFault
from labkit.models import models_folder
from labkit.monitoring import read_rules

MUTE = f"""
import socket, time
mute = socket.socket()
mute.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
mute.bind(("127.0.0.1", {LABELS_PORT}))
mute.listen(500)
time.sleep(600)
"""
"""A labels service that takes every connection and never answers."""


@dataclass(frozen=True)
class Digits:
    """Held-out images `(1000, 784)`, and the scores `(1000, 10)` that the model gives them."""

    images: np.ndarray
    scores: np.ndarray


@pytest.fixture(scope="session")
def digits():
    with np.load(models_folder() / "digits" / "reference.npz", allow_pickle=False) as reference:
        return Digits(reference["images"], reference["scores"])


@pytest.fixture(scope="session")
def labels_program(lab_name):
    """The labels service as it was handed out."""
    lab = next(lab for lab in find_course().labs if lab.name == lab_name)
    return (lab.handout / "labels.py").read_text()


@pytest.fixture(scope="session")
def manifests(submitted):
    return read_manifests(submitted)


@pytest.fixture(scope="session")
def rules(submitted):
    return read_rules(submitted / "rules.yml")


@pytest.fixture(scope="session")
def recorded(rules):
    """The recording rules: each name with its expression."""
    return {str(rule["record"]): str(rule.get("expr")) for rule in rules if "record" in rule}


@pytest.fixture(scope="session")
def engine():
    """The engine that the image is built and run on; when graded, one of its own."""
    with engine_for_work() as engine:
        yield engine


@pytest.fixture(scope="session")
def build(engine, submitted, scratch):
    """The image that the Dockerfile makes, with the model as it was handed out."""
    context = copy_work(submitted, scratch / "context")
    shutil.copyfile(models_folder() / "digits" / "model.onnx", context / "model.onnx")
    read_dockerfile(context)
    with Builder(engine, say=progress) as builder:
        yield builder(context)


@pytest.fixture(scope="session")
def service(engine, build, labels_program):
    """A container of the image, the labels service beside the server in it."""
    with _running(engine, build, labels_program) as service:
        yield service


@pytest.fixture(scope="session")
def without_labels(engine, build):
    """A container of the image whose labels service takes connections and never answers."""
    with _running(engine, build, MUTE) as service:
        yield service


@pytest.fixture(scope="session")
def cluster(request, scratch):
    """A cluster of its own, whose pods are containers of this machine's engine."""
    if request.config.getoption("--fenced"):
        raise Unavailable(
            "Pods of somebody else's image are not started here.",
            why="Nothing keeps a cluster's pods apart from this machine's engine.",
            next_step="Judge it by hand: `workbook check project1 --judge` on a machine that is for it.",
        )
    cluster = EmbeddedCluster(scratch / "cluster")
    cluster.up()
    try:
        if not cluster.capabilities.containers:
            raise Unavailable("The cluster's pods are not containers here.", why=cluster.why_simulated)
        yield cluster
    finally:
        cluster.down(purge=True)


@dataclass(frozen=True)
class Service:
    """A running container of the submission."""

    container: Container

    def ask(self, method, path, *, seconds=5.0, **more):
        """One request.

        Raises:
            WorkFault: There is no proper answer in time.
        """
        try:
            return httpx.request(
                method, f"{self.container.url(PORT)}{path}", timeout=seconds, trust_env=False, **more
            )
        except httpx.TimeoutException as error:
            raise WorkFault(f"{method} {path} got no answer within {seconds:g} s.") from error
        except httpx.HTTPError as error:
            said = " ".join(self.container.logs(3).split())[-200:]
            raise WorkFault(
                f"{method} {path} got no proper answer ({type(error).__name__}).", why=said
            ) from error

    def predict(self, images, **more):
        """Scores `(images, 10)` and labels for images `(images, 784)`, and the answer itself.

        Raises:
            WorkFault: The answer is not what it should be.
        """
        answer = self.ask("POST", "/predict", json={"features": images.tolist()}, **more)
        if answer.status_code != 200:
            raise WorkFault(f"POST /predict answered {answer.status_code} to {len(images)} good images.")
        try:
            said = answer.json()
            scores = np.array(said["prediction"], dtype=np.float64)
            labels = said["labels"]
        except (KeyError, TypeError, ValueError) as error:
            raise WorkFault(
                'POST /predict answered without {"prediction": [[ten scores], ...], "labels": [name, ...]}.'
            ) from error
        if scores.shape != (len(images), 10):
            raise WorkFault(f"POST /predict answered scores of shape {scores.shape} to {len(images)} images.")
        return scores, labels, answer


@contextmanager
def _running(engine, build, beside):
    """A container, a program in it that plays the labels service, and the server once it is ready."""
    environment = {"LABELS_URL": f"http://127.0.0.1:{LABELS_PORT}", "VERSION": "blue"}
    with engine.run(build.image.id, ports=[PORT], environment=environment) as container:
        container.exec(["sh", "-c", 'python3 -c "$0" >/tmp/labels.log 2>&1 </dev/null &', beside])
        container.wait_for_port(PORT, seconds=20)
        yield Service(container)
