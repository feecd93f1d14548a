"""The checks of edge.py: it serves what it verified, with and without a line."""

import time

import numpy as np

from autograder.rubric import after, needs, points, require
from autograder.rubrics.project2_multicloud_platform.settings import ARTIFACTS, EDGE, IMAGES, POLL, STAGE
from labkit.platform.data import scores


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
