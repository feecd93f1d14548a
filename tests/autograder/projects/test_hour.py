"""What is done to a service in an hour, the models of releases that should not be, and who asks."""

import json
import time
from collections import Counter

import numpy as np
import onnxruntime
import pytest

from autograder.production.bad_model import breaks_always, breaks_on_bright
from autograder.production.deployed import Deployed
from autograder.production.hour import Seen, _Actions
from autograder.production.manifests import read_manifests, read_plan
from autograder.production.script import BAD, HOUR, SHORT, Event
from autograder.production.traffic import NEW_CLIENT_SHARE, Traffic
from labkit.models.store import models_folder, prepare
from tests.autograder.projects.hours import reference_folder


class Deployment:
    """Stands for a submission on a cluster: notes what is done to it."""

    def __init__(self):
        self.done = []

    def __getattr__(self, name):
        def note(**_options):
            self.done.append(name)
            return 3

        return note


@pytest.fixture
def actions():
    """Actions on a stand-in, and what they note."""
    seen = Seen(read_manifests(reference_folder()), read_plan(reference_folder()))
    made = _Actions(Deployment(), seen, monitoring=None)
    made.hurry()  # nobody waits between two steps
    return made


@pytest.mark.parametrize(
    ("event", "done", "noted"),
    [
        (Event.NOTHING, [], []),
        (Event.KILLS, ["delete_pod", "kill_pod"], ["a pod is deleted", "a pod is killed"]),
        (Event.DRAIN, ["drain"], ["the drain begins", "3 pods evicted"]),
        (Event.OUTAGE, ["labels_away", "labels_back"], ["labels away", "labels back"]),
    ],
)
def test_what_an_event_does(actions, event, done, noted):
    began = time.monotonic()
    actions.do(event)
    assert actions._deployed.done == done
    assert [each.what for each in actions._seen.happened] == noted
    assert time.monotonic() - began < 1, "whoever is in a hurry waits for nothing, and labels are back"


def test_an_hour_goes_on_where_no_pod_is_ready(actions, monkeypatch):
    deployed = Deployed.__new__(Deployed)
    deployed.live = "blue"
    monkeypatch.setattr(deployed, "pods", lambda colour: [], raising=False)
    actions._deployed = deployed
    actions.do(Event.KILLS)
    assert [each.what for each in actions._seen.happened][1::2] == [
        "none was ready to be deleted",
        "none was ready to be killed",
    ]


@pytest.mark.parametrize("script", [HOUR, SHORT])
def test_an_hour_has_a_steady_begin_a_peak_and_the_bad_release(script):
    names = [part.name for part in script]
    assert len(set(names)) == len(names)
    assert names[:3] == ["steady", "ramp", "peak"]
    assert Counter(part.event for part in script)[Event.BAD_RELEASE] == 1
    assert next(part for part in script if part.event is Event.BAD_RELEASE).name == BAD


def test_an_hour_lasts_minutes():
    assert 180 <= sum(part.seconds for part in SHORT) < 240
    assert sum(part.seconds for part in HOUR) < 480, "with building and deploying under ten minutes"


@pytest.fixture(scope="module")
def traffic():
    """The requests, of the model as it is handed out."""
    prepare(models_folder() / "digits", say=lambda _: None)
    return Traffic()


def ask(model, images):
    return onnxruntime.InferenceSession(str(model)).run(["scores"], {"images": images})[0]


def test_a_bad_release_answers_usual_images_and_fails_for_the_new_client(traffic, tmp_path):
    good = traffic.folder / "model.onnx"
    bad = breaks_on_bright(good, tmp_path / "bad.onnx")
    np.testing.assert_allclose(ask(bad, traffic.usual), ask(good, traffic.usual), atol=1e-5)
    failed = 0
    for image in traffic.inverted:
        try:
            ask(bad, image[None])
        except Exception:
            failed += 1
    assert failed == len(traffic.inverted)


def test_a_broken_release_loads_and_answers_nobody(traffic, tmp_path):
    broken = breaks_always(traffic.folder / "model.onnx", tmp_path / "broken.onnx")
    session = onnxruntime.InferenceSession(str(broken))
    with pytest.raises(Exception, match=r"bad_one|Gather"):
        session.run(["scores"], {"images": traffic.usual[:1]})


def test_an_answer_is_right_for_its_own_image_alone(traffic):
    (first, scores), (second, _) = list(traffic.expected.items())[:2]
    answer = json.dumps({"prediction": [scores.tolist()], "labels": None}).encode()
    assert traffic.is_right(first, answer)
    assert not traffic.is_right(second, answer)
    off = json.dumps({"prediction": [(scores + 0.01).tolist()]}).encode()
    assert not traffic.is_right(first, off)


def test_one_client_in_twenty_is_new(traffic):
    client = traffic.client("http://127.0.0.1:1")
    assert client.shares == (1 - NEW_CLIENT_SHARE, NEW_CLIENT_SHARE)
    assert len({body for kind in client.kinds for body in kind.bodies}) == 120
