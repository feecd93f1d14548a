"""Lab week09/hardening: an image that can do no more than it has to, and holds nothing that it must not."""

import base64
import json
import secrets as random
import tarfile
import time
from contextlib import contextmanager, suppress

import httpx
import numpy as np
import onnx
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from autograder.images import read_dockerfile, stand_ins
from autograder.rubric import after, credit, needs, points, progress, reading, require
from labkit import scanning
from labkit.errors import WorkFault
from labkit.scanning import Severity
from labkit.verdicts import Judgement, Verdict

which_to_mend_first = reading(
    "which_to_mend_first",
    points=5,
    criteria=[
        (2, "reads the plot by severity and scanner, and says what one scanner sees that the others cannot"),
        (2, "names the findings to mend first by what an attacker gains, not by their number"),
        (1, "says what it means that no vulnerability was found against a few advisories alone"),
    ],
)

PORT = 8080
TOLERANCE = 1e-3
SMALL = 64 << 10
CONFINED = {"read_only": True, "tmpfs": {"/tmp": "size=16m"}, "drop_capabilities": True}
REFUSES = (
    "import http.server as h\n"
    "class R(h.BaseHTTPRequestHandler):\n"
    "    def do_GET(self):\n"
    "        self.send_error(503)\n"
    "    do_HEAD = do_POST = do_GET\n"
    f"h.HTTPServer(('', {PORT}), R).serve_forever()\n"
)


@pytest.fixture(scope="session")
def key():
    """A private key that nobody saw before."""
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture(scope="session")
def pem(key):
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@pytest.fixture(scope="session")
def release(context):
    """The learner's files with a new release of the model: the same weights, but a file never signed yet."""
    model = onnx.load(context / "model.onnx")
    model.doc_string = random.token_hex(16)
    onnx.save(model, context / "model.onnx")
    return context


@pytest.fixture(scope="session")
def build(builder, release, scratch, pem):
    read_dockerfile(release)
    (release / "signing.pem").write_bytes(pem)  # as it lies about in the folder of whoever builds
    (scratch / "signing_key").write_bytes(pem)
    return builder(release, secrets={"signing_key": scratch / "signing_key"})


@pytest.fixture(scope="session")
def archive(engine, build):
    with scanning.archived(engine, build.image.id) as path:
        yield path


@pytest.fixture(scope="session")
def container(engine, build):
    """The image as it is to run, with its health looked at every second."""
    with engine.run(build.image.id, ports=[PORT], health_seconds=1, **CONFINED) as running:
        running.wait_for_port(PORT, seconds=20)
        yield running


@needs("scanners")
@points(
    2,
    hints=[
        "In the notebook, hadolint(LAB / 'Dockerfile') lists what it finds, with lines.",
        "pip's cache is of no use in a layer; and who gets the signal if CMD starts a shell?",
    ],
)
def test_lint(submitted):
    """leaves the linters nothing to warn of"""
    if not read_dockerfile(submitted).bases:
        raise WorkFault("The Dockerfile names no base image.", next_step="Begin it with FROM.")
    path = submitted / "Dockerfile"
    found = scanning.at_least(scanning.hadolint(path), Severity.MEDIUM)
    found += scanning.at_least(scanning.misconfigurations(path), Severity.HIGH)
    require(
        not found,
        f"{len(found)} findings: hadolint's warnings and worse, Trivy's HIGH and worse",
        cause=str(found[0])[:200] if found else "",
    )


@needs("engine", "python_images")
@points(
    2,
    hints=[
        "docker inspect IMAGE shows the user that a container of it gets.",
        "Kubernetes' runAsNonRoot can't know who a name is: write a number.",
    ],
)
def test_user(build):
    """starts as a user with a number, not as root"""
    user = str(build.image.config.get("User") or "")
    name = user.partition(":")[0]
    said = f"the image's user is {user or 'root'}"
    if name in ("", "root", "0"):
        require(False, said, cause="The last USER decides.")
    number = name.isdigit()
    credit(2 if number else 1, 2, said, cause="A name: whether it is root stands in a file of the image.")


@needs("engine", "python_images")
@points(
    4,
    hints=[
        "Which file does the server open for writing? Its last line before it ends says so.",
        "/tmp is in memory and can be written to. The application takes AUDIT_LOG.",
        "The user must be able to read what was copied, and the signature.",
    ],
)
def test_confined(container, digits, build):
    """answers with a read-only root, without a capability, and not as root"""
    uids = process_uids(container)
    require(0 not in uids, f"its processes run as {', '.join(map(str, sorted(uids)))}", cause="0 is root.")
    some = digits.images[:50]
    answer = ask(container, "POST", "/predict", json={"features": some.tolist()})
    try:
        given = np.array(answer.json()["prediction"], dtype=np.float64)
    except (KeyError, TypeError, ValueError) as error:
        raise WorkFault('POST /predict answered without {"prediction": [[ten scores], ...]}.') from error
    if given.shape != (len(some), 10):
        raise WorkFault(f"POST /predict answered scores of shape {given.shape} to {len(some)} images.")
    same = int((np.abs(given - digits.scores[: len(some)]) <= TOLERANCE).all(axis=1).sum())
    credit(same, len(some), f"{same} of {len(some)} within {TOLERANCE}{stand_ins(build.image)}")


@needs("engine", "python_images")
@after("test_confined")
@points(
    2,
    hints=[
        "The model changes with every release, and the signature with it.",
        "sign.sh takes the file of the key: a mounted secret lies at /run/secrets/signing_key.",
    ],
)
def test_signed(container, key, release):
    """serves the model that it was given, signed with the key of the build"""
    said = ask(container, "GET", "/model").json()
    try:
        signature = base64.b64decode(said["signature"])
        key.public_key().verify(signature, (release / "model.onnx").read_bytes(), ec.ECDSA(hashes.SHA256()))
        verified = True
    except (InvalidSignature, KeyError, TypeError, ValueError):
        verified = False
    require(
        verified,
        "the signature is that of this model by this key" if verified else "the signature does not verify",
        cause="It must be made while building, of the model that was handed in.",
    )


@needs("engine", "python_images")
@points(
    4,
    hints=[
        "docker history shows what each layer did; a layer above can't take bytes out of one below.",
        "COPY brings the key into a layer, whatever a later RUN removes.",
        "RUN --mount=type=secret,id=signing_key lends it to one step.",
    ],
)
def test_secret(archive, pem):
    """holds the key in no layer, deleted or not"""
    progress("looking through all layers")
    words = [line for line in pem.splitlines() if line and not line.startswith(b"-----")]
    places = leaks(archive, words)
    require(
        not places,
        "the key is in no layer and not in the configuration" if not places else "the key is in the image",
        cause=f"Found in {', '.join(places[:3])}.",
    )


@needs("engine", "python_images")
@after("test_confined")
@points(
    4,
    hints=[
        "A process that hangs is still a process: ask it something and wait only so long.",
        "An answer is not enough: 503 is one, too.",
        "The image has no curl, but it has Python: urllib.request.urlopen raises on 503 and takes a timeout.",
    ],
)
def test_health(engine, build, container):
    """its health check turns healthy, and unhealthy when the server hangs or refuses"""
    check = build.image.config.get("Healthcheck") or {}
    command = check.get("Test") or []
    if not command or command[0] == "NONE":
        require(False, "the image has no health check", cause="HEALTHCHECK says how to find out.")
    held: list[str] = []
    missed: list[str] = []

    def note(what, right):
        (held if right else missed).append(what)

    progress("waiting until it is healthy", 5)
    note("healthy while it serves", wait_for(container, command, "healthy", 20))
    with engine.run(build.image.id, entrypoint=["python", "-c", REFUSES], **CONFINED) as refusing:
        refusing.wait_for_port(PORT, seconds=15)
        note("unhealthy when it answers 503", not passes(refusing, command))
    with hanging(container):
        progress("waiting until it is unhealthy", 8)
        note("unhealthy when it hangs", wait_for(container, command, "unhealthy", 20))
    credit(
        len(held), 3, f"{len(held)} of 3: {', '.join(held) or 'none'}", cause=f"Not {', nor '.join(missed)}."
    )


@needs("engine", "python_images", "scanners")
@points(
    2,
    hints=[
        "vulnerabilities(...) in the notebook names the package, and the version that mends it.",
        "requirements.txt is yours to change.",
    ],
)
def test_vulnerabilities(archive):
    """holds no package with a known vulnerability of HIGH or worse"""
    progress("listing what is in the image")
    known = scanning.vulnerabilities(archive, scanning.sbom(archive, catalogers="python").packages)
    bad = scanning.at_least(known.findings, Severity.HIGH)
    summary = f"{len(bad)} of HIGH or worse, against {known.against}"
    verdict = Verdict.FAILED if bad else Verdict.PASSED
    measured = {"found": len(bad), "against": known.against, "complete": known.complete}
    require(Judgement(verdict, summary, measured=measured), cause=str(bad[0])[:200] if bad else "")


# ---- what the checks use ----------------------------------------------------------------------------------


def ask(container, method, path, **how):
    """An answer of the container's server, which must be 200."""
    try:
        answer = httpx.request(method, f"{container.url(PORT)}{path}", timeout=15, trust_env=False, **how)
    except httpx.HTTPError as error:
        raise WorkFault(
            f"{method} {path} on port {PORT} got no proper answer ({type(error).__name__}).",
            why=" ".join(container.logs(3).split())[-200:],
        ) from error
    if answer.status_code != 200:
        raise WorkFault(f"{method} {path} answered {answer.status_code}.")
    return answer


def process_uids(container):
    """The users that the container's first process runs as: real, effective, saved, of the file system."""
    said = container.exec(["python", "-c", "print(open('/proc/1/status').read())"]).text
    line = next((line for line in said.splitlines() if line.startswith("Uid:")), "Uid: 0")
    return {int(word) for word in line.split()[1:]}


def leaks(archive, words):
    """Where in an image one of these words stands: files of layers, or its configuration and history."""
    places = []
    with tarfile.open(archive) as image:
        manifest = json.loads(content_of(image, "manifest.json"))[0]
        configuration = content_of(image, manifest["Config"])
        if any(word in configuration for word in words):
            places.append("the configuration")
        for number, layer in enumerate(manifest["Layers"], start=1):
            with tarfile.open(fileobj=image.extractfile(layer), mode="r|*") as tree:
                for member in tree:
                    if member.isfile() and member.size <= SMALL:
                        content = content_of(tree, member)
                        if any(word in content for word in words):
                            places.append(f"layer {number}, /{member.name}")
    return places


def content_of(archive, member):
    """What a file in an archive holds."""
    file = archive.extractfile(member)
    assert file is not None
    return file.read()


def passes(container, command):
    """Whether the image's health check, run once in a container, finds it well."""
    how = ["/bin/sh", "-c", command[1]] if command[0] == "CMD-SHELL" else command[1:]
    try:
        return container.exec(how, seconds=10).exit_code == 0
    except WorkFault:  # not in time, or it can't be run
        return False


def wait_for(container, command, wanted, seconds):
    """Whether the engine calls it that in time; where the engine has no timer, what the check itself says."""
    deadline = time.monotonic() + seconds
    status = "starting"
    while time.monotonic() < deadline:
        status = (container.state().get("Health") or {}).get("Status") or "starting"
        if status == wanted:
            return True
        time.sleep(0.2)
    return status == "starting" and passes(container, command) == (wanted == "healthy")


@contextmanager
def hanging(container):
    """The server as it is when it hangs: stopped, with its port still open."""
    container.signal("STOP")
    with suppress(WorkFault):  # without a shell there is only one process
        container.exec(["sh", "-c", "kill -STOP -1"], seconds=5)
    try:
        yield
    finally:
        container.signal("CONT")
