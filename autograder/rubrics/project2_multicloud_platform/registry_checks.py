"""The checks of registry.py: many use it at once, and any call may break off."""

from autograder.rubric import after, credit, needs, points, progress, require
from autograder.rubrics.project2_multicloud_platform.settings import (
    EACH,
    EMULATED_ROUNDS,
    MODEL,
    ROUNDS,
    STAGE,
)
from labkit.errors import WorkFault
from labkit.platform import Contents, race, weights
from labkit.platform.promoters import Raised, side_by_side
from labkit.storage import Fault


@needs("object_store")
@points(
    5,
    hints=[
        "The format stands at the head of registry.py; the manifests lie at models/NAME/versions/.",
        "register: the artifact under a key of its own, then the manifest; versions lists and reads them.",
        "A version that is not there: store.NotThere is raised by bucket.read already.",
    ],
)
def test_keeps_versions(promoters, contents):
    """keeps versions, their bytes and their lineage"""
    here, elsewhere = promoters
    artifacts = {1: weights(1), 2: weights(2), 3: weights(2)}  # the same bytes may be registered twice
    given = [
        here.call("register", "kept", artifact, {"run": f"run-{number}", "data": ["data/0000.safetensors"]})
        for number, artifact in artifacts.items()
    ]
    require(given == [1, 2, 3], f"registered as {given}")
    told = elsewhere.call("versions", "kept")
    manifests = contents.manifests("kept")
    try:
        lineages = [each["lineage"]["run"] for each in told]
        numbers = [each["version"] for each in told]
    except (KeyError, TypeError) as error:
        raise WorkFault("versions did not give manifests with version and lineage.") from error
    require(
        numbers == [1, 2, 3] == sorted(manifests) and not contents.without_artifact("kept"),
        "3 versions, listed in another cloud; each artifact has its hash",
    )
    require(lineages == ["run-1", "run-2", "run-3"], "each with its lineage")
    same = sum(elsewhere.call("fetch", "kept", n) == artifact for n, artifact in artifacts.items())
    require(same == 3, f"{same} of 3 fetched as they were registered")
    require(raised(here, "fetch", "kept", 9) == "NotThere", "a version that is not there is NotThere")
    require(here.call("versions", "nothing") == [], "a model without versions has none")


@needs("object_store")
@after("test_keeps_versions")
@points(
    4,
    hints=[
        "Two read that 7 is the last version, and both write 8. Who loses what?",
        "bucket.write(key, manifest, only_if=ABSENT): the second gets Changed, and takes the next number.",
    ],
)
def test_registers_at_once(promoters, contents, gateway):
    """loses no version when many register at once"""
    count = 4
    artifacts = [[weights(100 + n + count * p) for n in range(count)] for p in range(2)]
    gateway.read_seconds = 0.02
    try:
        told = side_by_side(
            promoters, "register", [[["busy", artifact, {}] for artifact in own] for own in artifacts]
        )
    finally:
        gateway.read_seconds = 0.0
    given = [each.get("value") for answers in told for each in answers]
    numbered = dict(zip(given, [artifact for own in artifacts for artifact in own], strict=True))
    kept = sum(
        isinstance(n, int) and raised_or(promoters[0], "fetch", "busy", n) == artifact
        for n, artifact in numbered.items()
    )
    total = 2 * count
    require(
        kept == total == len(contents.manifests("busy")),
        f"{len(numbered)} numbers for {total} versions, {kept} of them fetched as registered",
        cause="A number was given twice, and one version replaced another.",
    )


@needs("object_store")
@after("test_keeps_versions")
@points(
    3,
    hints=[
        "What do you compare before you hand the bytes out?",
        "SHA-256 of what came, with the manifest's.",
    ],
)
def test_refuses_damage(promoters, contents):
    """hands out no artifact that was damaged, swapped or lost"""
    here = promoters[0]
    for seed in (11, 12, 13):
        here.call("register", "harmed", weights(seed), {})
    manifests = contents.manifests("harmed")
    contents.damage(manifests[1]["artifact"])
    contents.put(manifests[2]["artifact"], weights(13))
    found = [raised(here, "fetch", "harmed", version) for version in (1, 2)]
    require(found == ["Corrupt", "Corrupt"], f"damaged: {found[0]}; swapped: {found[1]}")
    require(here.call("fetch", "harmed", 3) == weights(13), "the one beside them is handed out")


@needs("object_store")
@after("test_keeps_versions")
@points(
    6,
    hints=[
        "Between reading the stage and writing it, somebody else writes. Who finds out?",
        "One object with version and history, written with only_if=ETag as it was read (ABSENT if none was).",
        "Changed: somebody was faster. Raise Conflict; do not try again with another expectation.",
    ],
)
def test_promotes_atomically(racing, contents, gateway, places, emulated):
    """gives each race of promotions one winner, and loses none"""
    progress(f"{ROUNDS} races of {2 * EACH} promotions from two clouds", 10)
    gateway.read_seconds = 0.02
    try:
        real = race(racing, MODEL, STAGE, rounds=ROUNDS, each=EACH, contents=contents)
    finally:
        gateway.read_seconds = 0.0
    _judge_race(real, contents, "SeaweedFS")
    require(
        raised(racing[0], "promote", MODEL, 99, STAGE, real.winners[-1]) == "NotThere",
        "a version that is not there is not promoted",
    )
    progress("the same on the emulated S3", 5)
    other = Contents(emulated)
    pair = places(emulated, "emulated")
    for number in range(2 * EACH + 1):
        pair[0].call("register", MODEL, weights(300 + number), {})
    emulated.read_seconds = 0.02
    _judge_race(
        race(pair, MODEL, STAGE, rounds=EMULATED_ROUNDS, each=EACH, contents=other), other, "the emulated S3"
    )


def _judge_race(found, contents, where):
    history = contents.stage(MODEL, STAGE).history
    faults = [
        f"{found.with_several} races with several winners" if found.with_several else "",
        f"{found.without_winner} without one" if found.without_winner else "",
        f"{found.lost} in which the winner was lost" if found.lost else "",
        f"raised {', '.join(found.others)}" if found.others else "",
        "" if history == found.winners else f"history holds {len(history)} of {len(found.winners)} winners",
    ]
    require(
        found.clean and history == found.winners,
        f"{found.promotions} promotions in {found.rounds} races on {where}: one winner each, all in history"
        if found.clean and history == found.winners
        else f"{found.promotions} promotions on {where}: {', '.join(filter(None, faults))}",
        cause="Reading and writing are two requests; only the store can say that nothing came between.",
    )


@needs("object_store")
@after("test_keeps_versions")
@points(
    4,
    hints=[
        "Write down the requests of promote and register, and end after each. What does the next find?",
        "What others must see together belongs into one object.",
        "register: the manifest last. prune: the manifest first.",
    ],
)
def test_survives_broken_lines(promoters, contents):
    """is whole wherever a call broke off"""
    whole, broken = 0, []
    for method in ("promote", "register", "prune"):
        for fault in (Fault.LOST, Fault.UNANSWERED):
            for write in range(1, 7):
                model = f"broken-{method}-{fault.value}-{write}"
                reached, flaw = _broken_off(promoters, contents, model, method, write, fault)
                if not reached and not flaw:
                    break
                whole += not flaw
                broken += [f"{method}, write {write} {fault.value}: {flaw}"] if flaw else []
    credit(
        whole,
        max(1, whole + len(broken)),
        f"{whole} of {whole + len(broken)} whole",
        cause="; ".join(broken[:2]),
    )


def _broken_off(promoters, contents, model, method, write, fault):
    """Break a call off at its n-th write; gives whether it got there, and what is not whole afterwards."""
    here, elsewhere = promoters
    for number in (1, 2, 3, 4):
        contents.publish(model, number, weights(number))
    contents.set_stage(model, STAGE, [3, 4])
    arguments = {"promote": (3, STAGE, 4), "register": (weights(50), {"run": "cut"}), "prune": (1,)}[method]
    reached = here.cut_at(write, fault, method, model, *arguments)
    lacking = contents.without_artifact(model)
    stage = contents.stage(model, STAGE)
    if lacking:
        return reached, f"version {lacking[0]} is listed without its artifact"
    if stage.history not in ([3, 4], [3, 4, 3]) or stage.version != stage.history[-1]:
        return reached, f"the stage says {stage.version}, its history {stage.history}"
    if method == "prune" and not {3, 4} <= set(contents.manifests(model)):
        return reached, "a version is gone that is needed"
    if not reached:
        return False, ""
    # Somebody else goes on, and finds nothing in the way.
    number = elsewhere.call("register", model, weights(60), {})
    elsewhere.call("promote", model, number, STAGE, stage.version)
    if elsewhere.call("fetch", model, number) != weights(60) or contents.without_artifact(model):
        return True, "the next version is not whole"
    if contents.stage(model, STAGE).history != [*stage.history, number]:
        return True, "the next promotion did not go on from it"
    return True, ""


@needs("object_store")
@after("test_keeps_versions")
@points(
    3,
    hints=[
        "Who may still need an old version? Whoever serves it, and whoever has to roll back.",
        "Look at every object below stages/, not at production alone.",
        "The artifact goes too: a manifest has few bytes.",
    ],
)
def test_prunes(promoters, contents):
    """deletes what nobody needs, and nothing else"""
    model = "pruned"
    for number in range(1, 10):
        contents.publish(model, number, weights(number))
    contents.set_stage(model, STAGE, [1, 2, 4])
    contents.set_stage(model, "staging", [3])
    before = sum(contents.sizes(f"models/{model}/").values())
    gone = promoters[0].call("prune", model, 2)
    kept = {2, 3, 4, 8, 9}
    left = set(contents.manifests(model))
    lost, extra = sorted(kept - left), sorted(left - kept)
    after_ = sum(contents.sizes(f"models/{model}/").values())
    require(not lost, "what is needed stays" if not lost else f"versions {lost} are gone and needed")
    require(not extra, "what nobody needs goes" if not extra else f"versions {extra} are still there")
    require(
        after_ < before * 0.6 and not contents.without_artifact(model),
        f"{(before - after_) / 1e3:.0f} of {before / 1e3:.0f} kB freed",
    )
    require(sorted(gone or []) == [1, 5, 6, 7], f"prune told of {gone}")


def raised(promoter, method, *arguments):
    """The name of what a call raised; "nothing" if it did not."""
    try:
        promoter.call(method, *arguments)
    except Raised as error:
        return error.name
    return "nothing"


def raised_or(promoter, method, *arguments):
    """What a call gave, or what it raised."""
    try:
        return promoter.call(method, *arguments)
    except Raised as error:
        return error.name
