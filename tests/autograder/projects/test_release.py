"""A release by its plan: each way in which it can end, what is done on the way, and in which order."""

import time
from dataclasses import dataclass, field

import pytest

from autograder.production.manifests import Plan, Smoke
from autograder.production.release import Ended, release
from labkit.errors import WorkFault


@dataclass
class Deployment:
    """Stands for a submission on a cluster: notes what is done to it.

    Attributes:
        wrong: How many answers of the new colour are wrong in its smoke test.
        ready: Whether it is rolled out.
    """

    wrong: int = 0
    ready: bool = True
    live: str = "blue"
    done: list[str] = field(default_factory=list)

    idle = "green"

    def replicas(self, colour):
        return 3 if colour == self.live else 0

    def colour_up(self, colour, image, *, seconds, replicas):
        self.done.append(f"{colour} up with {replicas} of {image} in {seconds}")
        if not self.ready:
            raise WorkFault("green was not rolled out within 5 s.", why="ImagePullBackOff")

    def colour_down(self, colour):
        self.done.append(f"{colour} down")

    def smoke(self, colour, requests):
        self.done.append(f"{requests} to {colour}")
        return self.wrong

    def switch(self, colour):
        self.done.append(f"Service to {colour}")
        self.live = colour
        return time.time()


class Alerts:
    """Stands for the monitoring: which alerts fire, look after look; the last goes on."""

    def __init__(self, *looks):
        self.looks = list(looks)

    @property
    def prometheus(self):
        return self

    def firing(self):
        return self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]


UP = "green up with 3 of digits:2 in 5"
PLAN = Plan(
    ready_seconds=5,
    smoke=Smoke(requests=200, most_errors=1),
    watch_seconds=1,
    rollback_on=["ServiceErrors", "ServiceSlow"],
)


def released(deployment, *looks):
    notes = []
    found = release(deployment, PLAN, "digits:2", Alerts(*looks), notes.append)
    return found, notes


def test_a_good_one_is_released_and_the_old_colour_goes_last():
    deployment = Deployment(wrong=1)
    found, notes = released(deployment, set())
    assert found.ended is Ended.RELEASED
    assert found.exposed_seconds == 0
    assert deployment.done == [UP, "200 to green", "Service to green", "blue down"]
    assert notes == ["Service turned to green"]


def test_one_that_is_not_ready_never_has_traffic():
    deployment = Deployment(ready=False)
    found, _ = released(deployment, set())
    assert (found.ended, found.switched) == (Ended.NOT_READY, None)
    assert "ImagePullBackOff" in found.why
    assert deployment.done == [UP, "green down"]


def test_one_that_fails_its_smoke_test_never_has_traffic():
    deployment = Deployment(wrong=2)
    found, notes = released(deployment, set())
    assert (found.ended, found.switched) == (Ended.REFUSED, None)
    assert found.why == "2 of 200 answers were wrong"
    assert deployment.done == [UP, "200 to green", "green down"]
    assert notes == ["smoke test refuses green"]


def test_an_alert_takes_it_back_before_the_new_colour_goes():
    deployment = Deployment()
    found, notes = released(deployment, set(), set(), {"ServiceErrors", "Other"})
    assert (found.ended, found.why) == (Ended.TAKEN_BACK, "ServiceErrors")
    assert 0.2 < found.exposed_seconds < 1
    assert deployment.done[-3:] == ["Service to green", "Service to blue", "green down"]
    assert notes == ["Service turned to green", "turned back to blue"]


@pytest.mark.parametrize(
    "looks",
    [
        pytest.param([set(), {"LabelsDown"}], id="one that the plan does not name"),
        pytest.param([{"ServiceSlow"}], id="one that fired before"),
    ],
)
def test_an_alert_that_does_not_concern_it_takes_nothing_back(looks):
    found, _ = released(Deployment(), *looks)
    assert found.ended is Ended.RELEASED
