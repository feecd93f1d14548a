"""Project 2: a platform in two clouds, of which any part may be gone in the next moment."""

import importlib.util
import pickle
import time

import numpy as np
import pytest

from autograder.rubric import after, credit, measured_on, needs, points, progress, reading, require
from labkit.errors import WorkFault
from labkit.isolation.functions import LearnerFunction
from labkit.platform import Device, TrainingRun, race, training_data, weights
from labkit.platform.data import arrays_of, scores
from labkit.platform.offers import cases, optimum, outcome
from labkit.platform.promoters import Raised, side_by_side
from labkit.platform.training import repeated
from labkit.storage import Fault
from labkit.storage.machines import AWS, GCP
from labkit.verdicts import Judgement, Tier, Verdict

what_the_timeline_shows = reading(
    "what_the_timeline_shows",
    points=5,
    criteria=[
        (
            2,
            "says for notice and kill which steps were trained again, with their numbers, and why",
        ),
        (2, "weighs the interval: a checkpoint's own seconds against the steps that a kill costs"),
        (1, "names what the run would have cost with a machine in a second cloud whose data is far away"),
    ],
)
design_review = reading(
    "design_review",
    points=15,
    criteria=[
        (3, "what is atomic in their registry, by which request, and what two racing promoters each see"),
        (3, "for a crash between any two writes: what stays behind, who sees it, who clears it away"),
        (3, "what the edge trusts and why; what an attacker who may write to the bucket could still do"),
        (
            3,
            "where it breaks first at a hundred times the size, with an estimate",
        ),
        (3, "one alternative that they turned down, for a reason that their measurements support"),
    ],
)

STEPS, EVERY = 36, 9
WARNED_AT, KILLED_AT = 13, 26
MODEL = "digits"
STAGE = "production"
TOLERANCE = 1e-4
POLL = 0.3
ROUNDS, EMULATED_ROUNDS, EACH = 20, 10, 4
CASES = 200
PLAN_SECONDS = 30.0
MARGIN = 0.05


# ---- training ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def model(handout):
    """The handed-out model.py, as ours."""
    spec = importlib.util.spec_from_file_location("handed_out_model", handout / "model.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class _Data:
    """The training data as a bucket, for our own training."""

    def __init__(self, objects):
        self.read = lambda key: (objects[key], "")


@pytest.fixture(scope="session")
def data(contents):
    """The training's data, put into the bucket."""
    objects, held_out = training_data(STEPS)
    for key, content in objects.items():
        contents.put(key, content)
    return objects, held_out


@pytest.fixture(scope="session")
def expected(model, data):
    """What training gives that nothing interrupts, by number of steps."""

    def after_steps(steps):
        network, optimizer = model.new_model()
        for step in range(steps):
            model.train_step(network, optimizer, *model.batch(_Data(data[0]), step))
        return arrays_of(model.artifact(network))

    return after_steps


@pytest.fixture(scope="session")
def training(work, gateway, scratch, logs, data):
    """Makes a training of the learner's."""

    def make(run, steps=STEPS):
        return TrainingRun(
            *(work, gateway), scratch=scratch, logs=logs, run=run, steps=steps, checkpoint_every=EVERY
        )

    return make


def finished(leg):
    """Go on if a machine trained to the end."""
    if leg.event != "done":
        raise WorkFault(
            f"training.py did not end well on a machine in {leg.place.cloud} ({leg.event}).", why=leg.said
        )


def same_model(contents, run, wanted):
    """Hold a run's result against what an uninterrupted training gives."""
    content = contents.get(f"runs/{run}/model.safetensors")
    if content is None:
        raise WorkFault(f"There is no runs/{run}/model.safetensors.", why="It is the training's result.")
    found = arrays_of(content)
    gap = max(float(np.abs(found[name] - wanted[name]).max()) for name in wanted)
    require(
        np.isfinite(gap) and gap <= TOLERANCE,
        f"the weights are those of an uninterrupted training within {TOLERANCE:g}"
        if gap <= TOLERANCE
        else f"a weight differs by {gap:.2g} from an uninterrupted training's",
        cause="Adam's moments are part of the state; steps have an order, and each counts once.",
    )


@needs("object_store")
@points(
    4,
    hints=[
        "The loop is there. What is missing at its end?",
        'bucket.write(f"runs/{RUN}/model.safetensors", artifact(model))',
    ],
)
def test_trains(training, contents, expected):
    """trains each step once, and writes the model"""
    run = training("plain", steps=12)
    leg = run.leg(AWS)
    finished(leg)
    require(leg.steps == list(range(12)), f"{len(leg.steps)} steps trained of 12, in order")
    same_model(contents, "plain", expected(12))


@pytest.fixture(scope="session")
def interrupted(training):
    """A training that three machines work on: the first gets a notice, the second is gone without one."""
    run = training("interrupted")
    progress("training on a spot machine that gets its notice", 12)
    run.leg(AWS, warn_at=WARNED_AT)
    progress("training on in another cloud, on a machine that is gone without a notice", 8)
    run.leg(GCP, kill_at=KILLED_AT, clock=-7200)
    progress("training on to the end", 4)
    run.leg(AWS)
    return run


@needs("object_store")
@after("test_trains")
@points(
    6,
    hints=[
        "What has your process to do between SIGTERM and the end of the notice?",
        "A signal handler that sets a flag; the loop looks at it after each step.",
        "Save the state at once, with Adam's moments (model.pack), and leave with exit code 0.",
    ],
)
def test_leaves_with_a_notice(interrupted):
    """saves at a notice, leaves in time, and goes on in another cloud where it was"""
    first, second, _ = interrupted.legs
    require(
        first.event == "noticed",
        f"the machine {'was left in time' if first.event == 'noticed' else first.event} after its notice",
        cause=first.said,
    )
    begins = second.steps[0] if second.steps else None
    again = len(set(first.steps) & set(second.steps))
    require(
        begins is not None and 0 < begins <= WARNED_AT + 1 and again <= 1,
        f"{first.steps[-1] + 1} steps before the notice, {again} of them trained again elsewhere",
        cause="With a notice nothing has to be lost: the state is saved before the machine is gone.",
    )


@needs("object_store")
@after("test_trains")
@points(
    5,
    hints=[
        "Save every CHECKPOINT_EVERY steps. Which checkpoint is the newest, if clocks are wrong?",
        "Name checkpoints by their step, not by the time.",
        "The state is the weights, the optimizer's moments and the step; the data of a step is its own.",
    ],
)
def test_survives_a_kill(interrupted, contents, expected):
    """goes on after a kill; nothing is trained twice beyond the checkpoint interval"""
    _, second, third = interrupted.legs
    require(second.event == "killed", f"the second machine was {second.event}", cause=second.said)
    finished(third)
    again = len(set(second.steps) & set(third.steps))
    everything = {step for leg in interrupted.legs for step in leg.steps}
    require(
        again <= EVERY and everything == set(range(STEPS)),
        f"{again} steps trained again after the kill, with a checkpoint every {EVERY}; "
        f"{len(everything)} of {STEPS} trained in all",
    )
    same_model(contents, "interrupted", expected(STEPS))


@pytest.fixture(scope="session")
def damaged(training, contents):
    """A training whose newest checkpoint is damaged between two machines."""
    run = training("damaged")
    progress("training until the machine is gone; then its newest checkpoint is damaged", 8)
    run.leg(GCP, kill_at=KILLED_AT)
    contents.damage(run.newest_state())
    progress("training on from the checkpoint before", 4)
    run.leg(AWS)
    return run


@needs("object_store")
@after("test_survives_a_kill")
@points(
    5,
    hints=[
        "safetensors has no checksum: flipped bits load as other weights.",
        "Keep a SHA-256 with each checkpoint (in its key, or in an object beside it) and compare.",
        "Keep more than one checkpoint: when the newest is damaged, the one before is taken.",
    ],
)
def test_refuses_a_damaged_checkpoint(damaged, contents, expected):
    """finds that a checkpoint is damaged, and goes on from the one before"""
    first, second = damaged.legs
    finished(second)
    again = repeated([first, second])
    begins = second.steps[0] if second.steps else None
    require(
        begins is not None and begins > 0 and again <= 2 * EVERY,
        f"went on at step {begins}, {again} steps trained again (at most {2 * EVERY})",
        cause="At step 0 there was no checkpoint before the damaged one to go on from.",
    )
    same_model(contents, "damaged", expected(STEPS))


# ---- registry ----------------------------------------------------------------------------------------------


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


@pytest.fixture(scope="session")
def racing(promoters, contents):
    """A model with as many versions as race."""
    for number in range(2 * EACH + 1):
        promoters[0].call("register", MODEL, weights(200 + number), {})
    return promoters


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
    from labkit.platform import Contents

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


# ---- edge --------------------------------------------------------------------------------------------------

EDGE = "edge-model"
IMAGES = np.random.default_rng(5).uniform(0, 1, (20, 784)).round(3).astype(np.float32)
ARTIFACTS = {version: weights(400 + version) for version in (1, 2, 6)}


class _Unpickled:
    """Leaves a file where it is unpickled."""

    def __reduce__(self):
        return exec, ("open('unpickled', 'w').close()",)


@pytest.fixture(scope="session")
def device(work, gateway, contents, scratch, logs):
    """The learner's device, with version 1 in production."""
    for version, artifact in ARTIFACTS.items():
        contents.publish(EDGE, version, artifact)
    contents.publish(EDGE, 3, weights(403), sha256="0" * 64)
    contents.publish(EDGE, 4, pickle.dumps(_Unpickled()))
    contents.publish(EDGE, 5, b"\x08\x00\x00\x00\x00\x00\x00\x00{}      ")
    contents.set_stage(EDGE, STAGE, [1])
    variables = {"MODEL": EDGE, "POLL_SECONDS": str(POLL)}
    with Device(work, gateway, scratch=scratch, logs=logs, environment=variables) as made:
        made.start()
        yield made


def right(answer):
    """Whether an answer holds the scores of the version that it names, and that version is a sound one."""
    if answer.status != 200 or answer.version not in ARTIFACTS:
        return False
    given = np.array(answer.value.get("scores"), dtype=object)
    if given.shape != (len(IMAGES), 10):
        return False
    try:
        gap = np.abs(given.astype(np.float64) - scores(ARTIFACTS[answer.version], IMAGES)).max()
    except (TypeError, ValueError):
        return False
    return bool(gap <= 1e-3)


def serves(device, version, within, cause):
    """Go on if the device serves a version, with its scores, within so many seconds."""
    found = device.serves(version, within) and right(answer := device.ask(IMAGES.tolist()))
    require(
        found and answer.version == version,
        f"serves version {version}" if found else f"serves {device.health().version}, not version {version}",
        cause=cause,
    )


@needs("object_store", "server")
@points(
    4,
    hints=[
        "stage, then manifest, then artifact: three reads from the bucket, and safetensors.numpy.load.",
        "Read in a thread of its own: the server has to listen at once.",
        "ValueError for features that are no (n, 784) array of finite numbers: the handler makes 422 of it.",
    ],
)
def test_edge_serves(device):
    """pulls the production version, and serves it"""
    serves(device, 1, 15, "")
    bad = [
        {"features": [[0.0] * 783]},
        {"features": "digits"},
        {"features": [["a"] * 784]},
        {"features": []},
        {"images": [[0.0] * 784]},
        {"features": [[None] * 784]},
    ]
    told = [device.post(body).status for body in bad]
    refused = sum(status == 422 for status in told)
    require(refused == len(bad), f"{refused} of {len(bad)} kinds of bad input answered 422", cause=f"{told}")


@needs("object_store", "server")
@after("test_edge_serves")
@points(
    5,
    hints=[
        "The thread looks at the stage every POLL_SECONDS. What does a request see meanwhile?",
        "Build the new model wholly, then put it in place in one assignment; answer from one reference.",
        "Not the highest version is wanted but the one that the stage names: that is a rollback, too.",
    ],
)
def test_edge_updates(device, contents):
    """updates and rolls back without a wrong or a lost answer"""
    seen, wrong = [], 0
    for history in ([1, 2], [1, 2, 1]):
        contents.set_stage(EDGE, STAGE, history)
        deadline = time.monotonic() + 8
        while time.monotonic() < deadline:
            answer = device.ask(IMAGES.tolist())
            wrong += not right(answer)
            seen.append(answer.version)
            if answer.version == history[-1]:
                break
            time.sleep(0.02)
        require(
            seen[-1] == history[-1],
            f"serves version {seen[-1]} after the stage moved to {history[-1]}",
            cause="A rollback is a move of the stage to an earlier version.",
        )
    require(wrong == 0, f"{len(seen)} answers during an update and a rollback, {wrong} of them wrong or lost")


@needs("object_store", "server")
@after("test_edge_updates")
@points(
    5,
    hints=[
        "What if the artifact is not what was registered? Keep what you have.",
        "Never pickle: safetensors holds arrays and nothing that runs. What it can't read is refused.",
        "The hash may be right and the model useless: look at names, shapes, and one prediction.",
    ],
)
def test_edge_refuses(device, contents):
    """serves nothing that is damaged, that would run code, or that is no model"""
    history = list(contents.stage(EDGE, STAGE).history)
    flaws = {3: "damaged", 4: "a pickle", 5: "without arrays"}
    kept = 0
    for version in flaws:
        contents.set_stage(EDGE, STAGE, [*history, version])
        deadline = time.monotonic() + 5 * POLL
        held = True
        while held and time.monotonic() < deadline:
            answer = device.ask(IMAGES.tolist())
            held = right(answer) and answer.version == 1
            time.sleep(0.1)
        kept += held
    require(device.left("unpickled") is None, "nothing that came ran as code", cause="pickle.load runs code.")
    require(kept == len(flaws), f"{kept} of {len(flaws)} bad versions left the good one in place")
    contents.set_stage(EDGE, STAGE, [*history, 2])
    serves(device, 2, 8, "After a bad version it has to look for news again.")


@needs("object_store", "server")
@after("test_edge_updates")
@points(
    6,
    hints=[
        "Without a line, where does the model come from after a restart?",
        "Write artifact and hash into cache/: a draft, then rename, so that no half file is ever read.",
        "What comes from the disk is verified as what comes from the bucket; keep the version before, too.",
    ],
)
def test_edge_offline(device, contents):
    """serves without its line, also after a restart, and never from a damaged cache"""
    contents.set_stage(EDGE, STAGE, [1, 2])
    serves(device, 2, 8, "")
    device.cut()
    contents.set_stage(EDGE, STAGE, [1, 2, 6])
    time.sleep(3 * POLL)
    require(right(answer := device.ask(IMAGES.tolist())) and answer.version == 2, "answers without its line")
    device.stop()
    device.start(linked=False)
    serves(device, 2, 10, "After a restart nothing but cache/ is there.")
    device.stop(change=_damage_newest)
    device.start(linked=False)
    time.sleep(3 * POLL)
    answer = device.ask(IMAGES.tolist())
    sound = answer.status == 503 or right(answer)
    require(
        sound,
        f"with a damaged cache it answers {answer.status}"
        + (f" from version {answer.version}" if answer.status == 200 else ""),
        cause="The scores are those of no registered model.",
    )
    device.restore()
    serves(device, 6, 10, "When its line is back, it has to look for news.")


def _damage_newest(cache):
    """Flip bits in the largest of the newest files, as a worn-out memory card does."""
    files = sorted(
        (path for path in cache.rglob("*") if path.is_file() and path.stat().st_size > 10_000),
        key=lambda path: path.stat().st_mtime_ns,
    )
    for path in files:
        content = bytearray(path.read_bytes())
        middle = len(content) // 2
        content[middle : middle + 64] = bytes(byte ^ 0x5A for byte in content[middle : middle + 64])
        path.write_bytes(content)


# ---- planner -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def planned(work, logs):
    """What the learner would choose in each of the cases, and how long all of them took."""
    tried = list(cases(CASES))
    progress(f"planning {CASES} jobs")
    chosen = []
    with LearnerFunction("planner:plan", work, log=logs / "planner.log", seconds=PLAN_SECONDS) as plan:
        plan(tried[0].job, tried[0].offers)  # starting its process is not planning
        begun = time.monotonic()
        for case in tried:
            chosen.append(plan(case.job, case.offers))
            if time.monotonic() > begun + PLAN_SECONDS:
                raise WorkFault(
                    f"{len(chosen)} of {CASES} plans took {PLAN_SECONDS:.0f} s.",
                    why="Trying every number of machines of every offer takes too long.",
                )
        return tried, chosen, time.monotonic() - begun


def kept(case, chosen):
    """What a chosen plan comes to; None if it is none, or breaks the job's terms."""
    try:
        offer = next(
            each
            for each in case.offers
            if all(each[name] == chosen[name] for name in ("cloud", "region", "instance"))
        )
        on_demand, spot = chosen["on_demand"], chosen["spot"]
    except (KeyError, TypeError, StopIteration):
        return None
    if type(on_demand) is not int or type(spot) is not int:
        return None
    return outcome(case.job, offer, on_demand, spot)


@needs("server")
@points(
    5,
    hints=[
        "outcome() says what a plan comes to, and None if it breaks the terms. Ask it.",
        "Go through the offers and, for each, through numbers of machines on demand and on spot.",
        "Where nothing keeps to the terms, None is the answer.",
    ],
)
def test_plans_in_time(planned):
    """keeps each deadline and the share on demand, and says when it can't be done"""
    tried, chosen, _ = planned
    sound = sum(
        (plan is None) if optimum(case) is None else kept(case, plan) is not None
        for case, plan in zip(tried, chosen, strict=True)
    )
    require(sound == len(tried), f"{sound} of {len(tried)} plans keep to their job's terms")


@needs("server")
@after("test_plans_in_time")
@points(
    7,
    hints=[
        "Which offers are cheap per unit of work, and which per hour? What does bringing the data cost?",
        "More machines end sooner, but each is paid for while it starts.",
        "For each number on demand, the best number on spot is at an end, or where the cost turns.",
    ],
)
def test_plans_for_least(planned):
    """costs at most 5 % more than the best plan that there is"""
    tried, chosen, seconds = planned
    ratios = [
        kept(case, plan).usd / best.usd
        for case, plan in zip(tried, chosen, strict=True)
        if (best := optimum(case)) is not None
    ]
    near = sum(ratio <= 1 + MARGIN for ratio in ratios)
    summary = (
        f"{near} of {len(ratios)} within {MARGIN:.0%} of the best (the worst {max(ratios) - 1:.1%} above); "
        f"{seconds:.1f} s for all"
    )
    measured = {"worst": round(max(ratios) - 1, 5), "seconds": round(seconds, 3)}
    measured_on(Tier.SIMULATED)
    require(
        Judgement(Verdict.PASSED if near == len(ratios) else Verdict.FAILED, summary, measured=measured),
        cause="Compare a case that is far off with what brute force finds.",
    )


@needs("server")
@after("test_plans_in_time")
@points(
    3,
    hints=[
        "On some days spot costs more than on demand. What does your plan look at?",
        "A cheaper region is no bargain if the data has to be brought there.",
    ],
)
def test_follows_prices(work, logs):
    """moves to another market, region or cloud when prices do"""
    case = next(case for case in cases(40, seed=77) if (best := optimum(case)) is not None and best.spot > 0)
    moved = [("as it was", case)]
    best = optimum(case)
    assert best is not None
    for name, change in (
        ("spot dearer than on demand", {"spot": best.offer["on_demand"] * 1.3}),
        ("machines taken away every half hour", {"interruptions": 2.0}),
        ("its region sold out", {"most": 1}),
        ("bringing the data there made dear", {"usd_per_gb": 5.0}),
    ):
        offers = [
            {**offer, **change} if offer["region"] == best.offer["region"] else offer for offer in case.offers
        ]
        moved.append((name, type(case)({**case.job, "data_gb": 100.0}, offers)))
    followed, missed = 0, []
    with LearnerFunction("planner:plan", work, log=logs / "planner.log", seconds=PLAN_SECONDS) as plan:
        for name, changed in moved:
            found, wanted = kept(changed, plan(changed.job, changed.offers)), optimum(changed)
            good = found is not None and wanted is not None and found.usd <= wanted.usd * (1 + MARGIN)
            followed += good
            missed += [] if good else [name]
    require(followed == len(moved), f"follows {followed} of {len(moved)} moves", cause="; ".join(missed))
