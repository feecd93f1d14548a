"""Lab week09/registry: what runs is named by its digest, and what nothing needs any more is deleted."""

import copy
import random
import secrets

import pytest

from autograder.rubric import after, credit, hidden, needs, points, progress, reading, require
from autograder.rubrics.week09_containers.shelves import (
    GATEWAY,
    LAYER_BYTES,
    MODEL,
    PLATFORMS,
    fill,
    leads_to,
    moved,
    pull,
    push,
    random_shelf,
)
from labkit.engines.registry import Registry
from labkit.engines.registry_client import INDEX, OCI_INDEX
from labkit.errors import WorkFault
from labkit.isolation.functions import LearnerFunction
from labkit.serving.script import free_port
from labkit.verdicts import Judgement, Verdict

what_the_bytes_say = reading(
    "what_the_bytes_say",
    points=5,
    criteria=[
        (2, "deleting a manifest frees next to nothing: its layers are blobs of their own, which stay"),
        (2, "collection removes the blobs that no manifest names; what kept manifests share with it stays"),
        (1, "deleting an index alone frees nothing, since the images that it named are still there"),
    ],
)

FREED_SHARE = 0.9


@pytest.fixture(scope="session")
def registry(scratch):
    """A registry of this run's own."""
    made = Registry(free_port(), scratch / "registry" / "run", scratch / "registry" / "data")
    made.up(progress)
    yield made
    made.down()


@pytest.fixture(scope="session")
def client(registry):
    return registry.client


@pytest.fixture(scope="session")
def shelf(client):
    progress("filling a registry")
    return fill(client)


@pytest.fixture(scope="session")
def tool(work, logs):
    """Calls a function of the learner's, where it can do no harm."""
    made = {}

    def call(name, *arguments):
        if not (work / "registry_tools.py").is_file():
            raise WorkFault("There is no registry_tools.py.", next_step="Put it back.")
        if name not in made:
            made[name] = LearnerFunction(f"registry_tools:{name}", work, log=logs / f"registry-{name}.log")
        return made[name](*copy.deepcopy(arguments))

    yield call
    for function in made.values():
        function.close()


@pytest.fixture(scope="session")
def plan(tool, shelf):
    """What the learner would delete: repository and digest of each, all of them in the registry."""
    shuffled = random.Random(9).sample(shelf.images, len(shelf.images))
    return plan_of(tool("retention", shuffled, shelf.running, 3), shelf.images)


@needs("registry")
@points(
    4,
    hints=[
        "What does team/model:1.4.0 name after somebody has pushed that tag again?",
        "Look the tag up among the images' tags, in the right repository, and write repository@digest.",
        "A name with an @ is pinned already; a tag that the registry lacks is a LookupError.",
    ],
)
def test_deploys_by_digest(tool, client, shelf):
    """deploys the same image after its tag was moved"""
    asked = {"model": f"{MODEL}:1.9.0", "gateway": f"{GATEWAY}:2.4.0"}
    before = {name: leads_to(client, image) for name, image in asked.items()}
    already = shelf.running[1]
    images = {**asked, "pinned": already}
    deployment = {"services": {name: {"image": image, "replicas": 2} for name, image in images.items()}}
    pinned = tool("pin", deployment, shelf.images)
    try:
        found = {name: str(pinned["services"][name]["image"]) for name in images}
        replicas = [pinned["services"][name]["replicas"] for name in images]
    except (KeyError, TypeError) as error:
        raise WorkFault("pin gave no deployment with the same services.") from error
    with moved(client, asked.values()):
        same = [name for name in asked if leads_to(client, found[name]) == before[name]]
    other = "; ".join(f"{name} is {found[name]}" for name in asked if name not in same)
    credit(
        len(same), len(asked), f"{len(same)} of {len(asked)} are the image that they were", cause=other[:300]
    )
    if replicas != [2, 2, 2]:
        raise WorkFault("pin changed more of the deployment than its images.")
    require(
        found["pinned"] == already, "what was pinned already stays", cause=f"It is {found['pinned'][:120]}."
    )
    refused = refused_unknown(tool, shelf)
    require(not refused, "a tag that is not there is refused", cause=refused)


@needs("registry")
@points(
    3,
    hints=[
        "Which image has the tag now, if any?",
        "A version: digits with dots between them. The same digest again changes nothing.",
    ],
)
def test_immutable(tool, shelf):
    """versions never move, other tags do"""
    old, other = shelf.digest(MODEL, "1.9.0"), "sha256:" + secrets.token_hex(32)
    images = [image for image in shelf.images if image["repository"] == MODEL]
    cases = [
        ("1.9.0", other, False),
        ("1.10.0", old, False),
        ("1.2.1", other, False),
        ("1.8.0", other, False),
        ("1.9.0", old, True),
        ("1.11.0", other, True),
        ("latest", other, True),
        ("main", other, True),
    ]
    wrong = [
        f"{tag} {'may' if may else 'must not'} be pushed"
        for tag, digest, may in cases
        if tool("may_push", tag, digest, images) is not may
    ]
    right = len(cases) - len(wrong)
    # Who says the same to all is right half of the time, and has decided nothing.
    credit(
        max(0, 2 * right - len(cases)),
        len(cases),
        f"{right} of {len(cases)} decided rightly",
        cause="; ".join(wrong),
    )


@needs("registry")
@points(
    4,
    hints=[
        "What runs is named by a tag or by a digest: bring both to one form first.",
        "An index that is kept needs each of the images that it names.",
        "The same digest in another repository is another entry: keep pairs.",
    ],
)
def test_keeps_what_runs(plan, shelf):
    """never deletes what is in use"""
    something(plan)
    running = {(MODEL, shelf.digest(MODEL, "1.2.0")), (GATEWAY, shelf.digest(GATEWAY, "2.0.0"))}
    children = {
        (image["repository"], child)
        for image in shelf.images
        if (image["repository"], image["digest"]) in shelf.used
        for child in image["children"]
    }
    names = {
        key: name for name, keys in (("runs", running), ("part of a kept index", children)) for key in keys
    }
    lost = sorted(
        f"{repository}@{digest[:19]} ({names[repository, digest]})"
        for repository, digest in plan & set(names)
    )
    require(not lost, f"{len(lost)} of {len(names)} in use would be deleted", cause="; ".join(lost)[:300])


@needs("registry")
@points(
    3,
    hints=[
        "Which is newer, 1.10.0 or 1.9.0? And a fix of 1.2 made yesterday?",
        "Sort each repository's tagged entries by when they were made; the last three stay.",
    ],
)
def test_keeps_the_last_three(plan, shelf):
    """keeps the last three of each repository"""
    last = {
        f"{repository}:{version}": (repository, shelf.digest(repository, version))
        for repository, versions in {
            MODEL: ("1.9.0", "1.10.0", "1.2.1"),
            GATEWAY: ("2.2.0", "2.3.0", "2.4.0"),
        }.items()
        for version in versions
    }
    something(plan)
    lost = [name for name, key in last.items() if key in plan]
    credit(
        len(last) - len(lost),
        len(last),
        f"{len(last) - len(lost)} of {len(last)} are kept",
        cause=", ".join(lost),
    )


@needs("registry")
@after("test_keeps_what_runs", "test_keeps_the_last_three")
@points(
    3,
    hints=[
        "An index that is deleted leaves the images that it named. Who needs them still?",
        "Whatever is not kept goes, with a tag or without.",
    ],
)
def test_frees_bytes(plan, shelf, registry, client):
    """frees the bytes of all that nothing needs, and what is kept can be pulled"""
    for repository, digest in sorted(plan):
        client.delete(repository, digest)
    progress("collecting the garbage")
    freed = registry.collect()
    unneeded = [i for i in shelf.images if (i["repository"], i["digest"]) not in shelf.used]
    could = LAYER_BYTES * sum(1 for image in unneeded if not image["children"])
    for repository, digest in shelf.used:
        pull(client, repository, digest)
    share = freed / could
    require(
        Judgement(
            Verdict.PASSED if share >= FREED_SHARE else Verdict.FAILED,
            f"{freed / 1e6:.1f} MB freed of {could / 1e6:.1f}, {len(shelf.used)} kept can be pulled",
            measured={"freed_bytes": freed, "unneeded_bytes": could},
        ),
        cause="Manifests that nobody needs still name layers.",
    )


@needs("registry")
@points(
    2,
    hints=[
        "An index names manifests; each of its entries has a mediaType, a digest, a size and a platform.",
        "platform holds os and architecture apart.",
    ],
)
def test_two_platforms(tool, client):
    """pushes an index from which each platform gets its own image"""
    digests = {platform: push(client, "team/edge", None, 20, platform) for platform in PLATFORMS}
    check_index(tool, client, digests)


@hidden
@needs("registry")
@after("test_two_platforms", "test_keeps_what_runs")
@points(1)
def test_other_shelves(tool, client):
    """gives the right answers for other images than those shown"""
    digests = {p: push(client, "team/edge", None, 21, p) for p in ("linux/arm64", "linux/riscv64")}
    check_index(tool, client, digests)
    right = 0
    for _ in range(5):
        images, running, keep, unneeded = random_shelf(random.Random(secrets.randbits(32)))
        right += plan_of(tool("retention", images, running, keep), images) == unneeded
    require(
        right == 5, f"{right} of 5 others planned rightly", cause="Another number to keep, another order."
    )


# ---- what the checks use ----------------------------------------------------------------------------------


def refused_unknown(tool, shelf):
    """What is wrong with how a tag is pinned that the registry lacks; empty if nothing is."""
    # 2.4.0 is there, in the other repository.
    try:
        given = tool("pin", {"services": {"x": {"image": f"{MODEL}:2.4.0"}}}, shelf.images)
    except WorkFault as refused:
        return "" if "raised" in refused.what else str(refused)
    return f"For {MODEL}:2.4.0, which is not there, pin gave {str(given)[:120]}."


def plan_of(given, images):
    """The plan as a set of pairs.

    Raises:
        WorkFault: It is no plan, or names what is not there.
    """
    try:
        found = {(str(entry["repository"]), str(entry["digest"])) for entry in given}
    except (KeyError, TypeError) as error:
        raise WorkFault("retention gave no list of repository and digest.") from error
    known = {(image["repository"], image["digest"]) for image in images}
    if unknown := found - known:
        repository, digest = min(unknown)
        raise WorkFault(f"retention names {repository}@{digest[:19]}, which is not in the registry.")
    return found


def something(plan):
    """Refuse an empty plan: it keeps everything, and all its bytes.

    Raises:
        WorkFault: It is empty.
    """
    if not plan:
        raise WorkFault("retention deletes nothing at all.")


def check_index(tool, client, digests):
    manifests = {p: client.descriptor("team/edge", digest).to_json() for p, digest in digests.items()}
    given = tool("index", manifests)
    if not isinstance(given, dict) or given.get("mediaType") not in (INDEX, OCI_INDEX):
        raise WorkFault("index gave no index.", next_step=f"Its mediaType is {INDEX}.")
    tag = f"t{secrets.token_hex(4)}"
    client.push_manifest("team/edge", tag, given)
    entries = client.manifest("team/edge", tag).get("manifests") or []
    if len(entries) != len(manifests):
        raise WorkFault(f"The index has {len(entries)} entries for {len(manifests)} platforms.")
    try:
        named = {f"{e['platform']['os']}/{e['platform']['architecture']}": e for e in entries}
    except (KeyError, TypeError) as error:
        raise WorkFault("An entry of the index says no platform.", why=str(entries)[:200]) from error
    wrong = [
        p for p, manifest in manifests.items() if {k: named.get(p, {}).get(k) for k in manifest} != manifest
    ]
    found = (
        f"{len(named)} platforms, {len(manifests) - len(wrong)} of {len(manifests)} lead to their own image"
    )
    credit(len(manifests) - len(wrong), len(manifests), found, cause=f"Not so: {', '.join(wrong)}.")
