"""The checks of training.py: it is interrupted, and goes on where it was."""

import numpy as np

from autograder.rubric import after, needs, points, require
from autograder.rubrics.project2_multicloud_platform.settings import EVERY, STEPS, TOLERANCE, WARNED_AT
from labkit.errors import WorkFault
from labkit.platform.data import arrays_of
from labkit.platform.training import repeated
from labkit.storage.machines import AWS


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
