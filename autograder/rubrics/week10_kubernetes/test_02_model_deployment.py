"""Lab week10/model_deployment: replicas that come, go and fail while users notice nothing."""

import json

import pytest

from autograder.namespaces import Namespace, provide
from autograder.rubric import after, credit, measured_on, needs, points, progress, reading, require
from autograder.rubrics.week10_kubernetes.replicas import (
    Budget,
    Pod,
    Trials,
    crash,
    kill_after,
    port_of,
    restart_after,
    watched,
)
from autograder.rubrics.week10_kubernetes.under_load import under_load
from labkit.clusters.drains import drain
from labkit.clusters.manifests import completed, one_of_kind, read_manifests
from labkit.clusters.rollouts import wait_for_rollout
from labkit.load import HttpClient, Kind, Schedule, run
from labkit.slo import AvailabilityObjective, measure_until_decided

what_the_update_did = reading(
    "what_the_update_did",
    points=4,
    criteria=[
        (
            2,
            "the lost requests fall together with the ends of old replicas: they were still sent there, "
            "because Services hear of an end later than the replica does",
        ),
        (1, "a new replica gets requests only after its readiness probe: the gap is the time to load"),
        (1, "says what surge costs (room for one replica more) and what it saves"),
    ],
)

IMAGE = "python:3.11-slim"
PORT = 8080
LOADS = 60.0
"""Seconds that a large model may take to load."""
NOTICED = 15.0
"""Seconds within which a wedged replica is to be noticed."""
SLOW = 6
"""Seconds that the replica of one check takes to load."""
RATE = 100
KILL_RATE, KILL_SECONDS = 500, 40.5
"""20,000 requests: of fewer, 99.9 % can't be said with 99 % confidence once some are lost."""


# ---- in the files -----------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def deployment(submitted):
    """The learner's Deployment, with Kubernetes' defaults."""
    file = "deployment.yaml"
    return completed(one_of_kind(read_manifests(submitted / file), "Deployment", file))


@pytest.fixture(scope="session")
def container(deployment):
    return deployment["spec"]["template"]["spec"]["containers"][0]


@points(
    2,
    hints=[
        "kubectl apply --dry-run=server -f deployment.yaml says what is missing. Which pods are its?",
        "spec.selector.matchLabels names labels; the template's pods have to bear them.",
        "selector: {matchLabels: {app: model}}, and in the template metadata: {labels: {app: model}}.",
    ],
)
def test_accepted(deployment):
    """a Deployment that Kubernetes takes: selector and labels"""
    labels = deployment["spec"]["selector"]["matchLabels"]
    require(bool(labels), f"selects {', '.join(f'{name}={value}' for name, value in labels.items())}")


@after("test_accepted")
@points(
    1,
    hints=[
        "kubectl get endpointslices: which addresses does the Service have, and which port?",
        "The Service listens on port 80; targetPort is where the container listens.",
    ],
)
def test_service(submitted, deployment, container):
    """a Service `model` on port 80 that finds these pods and their port"""
    thing = completed(one_of_kind(read_manifests(submitted / "service.yaml"), "Service", "service.yaml"))
    require(thing["metadata"]["name"] == "model", f"called {thing['metadata']['name']}")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    selector = thing["spec"].get("selector") or {}
    finds = bool(selector) and labels.items() >= selector.items()
    require(finds, f"selects {selector}", cause=f"The pods bear {labels}.")
    found = {
        one["port"]: port_of(container, one.get("targetPort", one["port"])) for one in thing["spec"]["ports"]
    }
    require(
        found.get(80) == PORT, f"port 80 leads to {found.get(80)}", cause=f"The server listens on {PORT}."
    )


@after("test_accepted")
@points(
    1,
    hints=[
        "Without requests the scheduler thinks that a pod needs nothing; without limits one may take all.",
        "resources: requests and limits, each with cpu and memory; 50m and 48Mi are enough to begin with.",
    ],
)
def test_resources(container):
    """says what a replica needs, and what it may take"""
    given = container.get("resources") or {}
    lacks = [
        f"{what}.{name}"
        for what in ("requests", "limits")
        for name in ("cpu", "memory")
        if name not in (given.get(what) or {})
    ]
    credit(4 - len(lacks), 4, f"{4 - len(lacks)} of 4 are said", cause=f"Lacks {', '.join(lacks)}.")


@after("test_accepted")
@points(
    2,
    hints=[
        "What should happen to a replica that is merely busy? And to one that will never answer again?",
        "Readiness asks whether to send requests there, liveness whether to start it anew.",
        "readinessProbe: /ready; livenessProbe and startupProbe: /health; all on the container's port.",
    ],
)
def test_probes(deployment, container):
    """asks the right questions at the right port: ready is not the same as alive"""
    found = {name: container.get(f"{name}Probe") or {} for name in ("startup", "readiness", "liveness")}
    lacks = [name for name in ("readiness", "liveness") if not found[name]]
    require(not lacks, "readiness and liveness are asked" if not lacks else f"no {lacks[0]}Probe")
    asked = {name: probe["httpGet"] for name, probe in found.items() if "httpGet" in probe}
    for name, request in asked.items():
        port = port_of(container, request["port"])
        require(port == PORT, f"{name} asks port {port}", cause=f"The server listens on {PORT}.")
    paths = {name: request.get("path", "/") for name, request in asked.items()}
    said = ", ".join(f"{name} {path}" for name, path in paths.items())
    same = "liveness" in paths and paths["liveness"] in (paths.get("readiness"), "/ready")
    require(
        not same,
        said,
        cause="A busy replica says so at /ready; as liveness that would start it anew for being busy.",
    )
    require(paths.get("startup") != "/ready", said, cause="Starting is over when it runs, busy or not.")


@after("test_probes")
@points(
    1,
    hints=[
        "Liveness that is quick to notice kills what loads slowly; slow liveness leaves what is wedged.",
        "While a startupProbe has not passed, liveness is not asked.",
        "startupProbe: periodSeconds 1, failureThreshold 90; livenessProbe: 3 and 3.",
    ],
)
def test_patience(container):
    """a model may take a minute to load, and yet a wedged replica is noticed within 15 seconds"""
    given, noticed = kill_after(container), restart_after(container)
    require(given >= LOADS, f"{given:.0f} s to load", cause=f"It may take {LOADS:.0f} s; then it is killed.")
    require(noticed <= NOTICED, f"a wedged one is noticed after {noticed:.0f} s")


@after("test_accepted")
@points(
    1,
    hints=[
        "How many replicas may be away at a time, so that the others carry the load?",
        "A budget that allows nothing stops every drain of a node.",
        "policy/v1, PodDisruptionBudget, maxUnavailable: 1, and the selector of the Deployment.",
    ],
)
def test_budget(submitted, deployment):
    """a disruption budget that protects two replicas and lets maintenance go on"""
    file = "disruption.yaml"
    budget = Budget(completed(one_of_kind(read_manifests(submitted / file), "PodDisruptionBudget", file)))
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    require(budget.covers(labels), f"covers pods with {budget.labels}", cause=f"The pods bear {labels}.")
    replicas = deployment["spec"]["replicas"]
    away = budget.allows(replicas)
    require(
        away >= 1 and replicas - away >= 2,
        f"of {replicas} replicas {away} may be away",
        cause="None: a drain would wait for ever." if away < 1 else "Two have to stay.",
    )


# ---- one replica in trouble -------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def trials(cluster, handout, deployment):
    """One replica each of the learner's Deployment that is slow to load, gets wedged, has too much to do."""
    measured_on(cluster.capabilities.tier)
    provide(cluster, IMAGE)
    with Namespace(cluster, "trials") as space:
        space.owner.config_map("model-code", handout / "model_server.py")
        found = Trials(space, deployment)
        found.start("slow", LOAD_SECONDS=str(SLOW))
        found.start("wedged")
        found.start("overloaded", WORK_SECONDS="0.4")
        yield found


@after("test_probes")
@needs("cluster", "python_images")
@points(
    1,
    hints=[
        "kubectl get pods -w: when does READY turn to 1/1, and when is the model loaded?",
        "A readiness probe that asks the server itself passes only when there is one.",
    ],
)
def test_slow_to_load(trials):
    """a replica that still loads gets no requests, and is not killed for it"""
    seen = watched(
        trials.pod("slow"), seconds=SLOW + 25, until=lambda s: s.ready, say="a replica loads its model"
    )
    require(seen.restarts == 0, f"started anew {seen.restarts} times while it loaded")
    require(seen.ready, "ready" if seen.ready else f"not ready {seen.seconds:.0f} s later")
    late_enough = seen.ready_after >= SLOW - 1  # both moments are noted to the second
    require(
        late_enough,
        f"{seen.ready_after:.0f} s after its start",
        cause=f"Its model takes {SLOW} s: requests would have been lost.",
    )


@after("test_probes", "test_patience")
@needs("cluster", "python_images")
@points(
    1,
    hints=[
        "kubectl describe pod shows `Unhealthy` events: who asks the replica whether it lives?",
        "A probe that always succeeds finds nothing.",
    ],
)
def test_wedged(trials):
    """a replica that answers nothing any more is started anew"""
    pod = trials.pod("wedged")
    ready = watched(pod, seconds=40, until=lambda s: s.ready, say="waiting for a replica")
    require(ready.ready, "ready" if ready.ready else "never ready")
    pod.tell("POST /wedge")
    seen = watched(pod, seconds=NOTICED + 20, until=lambda s: s.restarts > 0, say="it is wedged")
    require(
        seen.restarts > 0, f"started anew after {seen.seconds:.0f} s" if seen.restarts else "still wedged"
    )
    again = watched(pod, seconds=30, until=lambda s: s.ready, say="it starts anew")
    require(again.ready, "and ready again" if again.ready else "and not ready again")


@after("test_probes")
@needs("cluster", "python_images")
@points(
    1,
    hints=[
        "After how many seconds of being asked does your readiness probe say no? See period and threshold.",
        "readinessProbe: periodSeconds 1, failureThreshold 2.",
    ],
)
def test_overloaded(trials):
    """a replica with too much to do gets no more until it has caught up, and is not started anew"""
    pod = trials.pod("overloaded")
    ready = watched(pod, seconds=40, until=lambda s: s.ready, say="waiting for a replica")
    require(ready.ready, "ready" if ready.ready else "never ready")
    client = HttpClient(trials.address("overloaded"), [PREDICT])
    load = Schedule.constant(240, seconds=12, warmup=0)
    with pod.watch() as seen:
        progress("three times as many requests as it can answer", 12)
        run(load, client, network=trials.space.network)
    away = not all(seen.readiness)
    require(away, "taken out of the Service" if away else "in the Service all the while")
    after_all = watched(pod, seconds=25, until=lambda s: s.ready, say="it catches up")
    require(
        after_all.restarts == 0, f"started anew {after_all.restarts} times", cause="It was busy, not broken."
    )
    require(after_all.ready, "and back again" if after_all.ready else "and never back")


# ---- under load -------------------------------------------------------------------------------------------


def is_answer(sent, answer):
    return json.loads(answer)["version"] in ("v1", "v2")


PREDICT = Kind(
    name="predict",
    method="POST",
    path="/predict",
    bodies=[json.dumps({"features": [place / 10, 0.5]}).encode() for place in range(10)],
    check=is_answer,
    timeout=5,
)


@pytest.fixture(scope="session")
def stage(cluster, handout, submitted, deployment):
    """The learner's objects, applied and ready."""
    measured_on(cluster.capabilities.tier)
    provide(cluster, IMAGE)
    with Namespace(cluster, "deployment") as space:
        space.owner.config_map("model-code", handout / "model_server.py")
        for file in ("deployment.yaml", "service.yaml", "disruption.yaml"):
            if read_manifests(submitted / file):
                space.learner.apply((submitted / file).read_text())
        wait_for_rollout(space.owner, deployment["metadata"]["name"], say=progress)
        yield space


def sent_while(stage, action, *, rate=RATE, least=6.0, exactly=None):
    client = HttpClient(stage.owner.address("model", 80), [PREDICT])
    return under_load(client, rate, action, network=stage.network, least=least, exactly=exactly)


def pods_of(stage, deployment):
    labels = deployment["spec"]["selector"]["matchLabels"]
    return ",".join(f"{name}={value}" for name, value in labels.items())


@after("test_service", "test_probes", "test_budget")
@needs("cluster", "python_images", "quiet machine")
@points(
    1,
    hints=[
        "What does a replica do between SIGTERM and its end, and who still sends requests there?",
        "preStop has to fit into terminationGracePeriodSeconds.",
    ],
)
def test_departures(stage, deployment):
    """a pod is deleted and a node drained under load, and no request is lost"""
    name, selector, how = deployment["metadata"]["name"], pods_of(stage, deployment), []

    def depart():
        first = stage.owner.get("pods", f"--selector={selector}")["items"][0]["metadata"]["name"]
        progress("deleting a pod", 15)
        stage.owner("delete", "pod", first)
        wait_for_rollout(stage.owner, name, say=progress)
        how.append(drain(stage.owner, selector, say=progress))
        wait_for_rollout(stage.owner, name, say=progress)

    seen = sent_while(stage, depart)
    said = f"{seen.lost} of {seen.requests:,} requests lost; {', '.join(['1 pod deleted', *how])}"
    require(seen.lost == 0, said, cause=seen.lost_words)


@after("test_service", "test_probes")
@needs("cluster", "python_images", "quiet machine")
@points(
    3,
    hints=[
        "Plot the update in the notebook: with which moments do the lost requests fall together?",
        "A replica that gets SIGTERM ends at once; Services hear of it a moment later. Who can wait?",
        "strategy.rollingUpdate: maxUnavailable 0, maxSurge 1; lifecycle.preStop: sleep for 3 seconds.",
    ],
)
def test_update(stage, deployment):
    """an update to version 2 under load, and no request is lost"""
    name = deployment["metadata"]["name"]

    def update():
        progress("updating to version 2", 15)
        stage.owner("set", "env", f"deployment/{name}", "VERSION=v2")
        wait_for_rollout(stage.owner, name, say=progress)

    seen = sent_while(stage, update)
    lost = f"{seen.lost} of {seen.requests:,} requests lost"
    require(seen.lost == 0, lost, cause=f"{seen.lost_words}; the update took {seen.seconds:.1f} s")
    require(
        seen.last("v2"), f"version 2 after {seen.seconds:.1f} s", cause="the last answers were of version 1"
    )


@after("test_update")
@needs("cluster", "python_images", "quiet machine")
@points(
    1,
    hints=[
        "How many replicas are left when one is killed?",
        "Nothing helps the requests that the killed replica had begun. How many replicas share the load?",
    ],
)
def test_availability(cluster, stage, deployment):
    """a replica is killed without warning, and 99.9 % of 20,000 requests are answered"""
    selector = pods_of(stage, deployment)
    lost = []

    def kill():
        name = stage.owner.get("pods", f"--selector={selector}")["items"][0]["metadata"]["name"]
        pod = Pod(stage.owner, name)
        before = pod.look().restarts
        progress("a replica is killed; 20,000 requests", KILL_SECONDS)
        crash(stage.owner, name)
        after_it = watched(pod, seconds=20, until=lambda s: s.restarts > before, say="it is killed")
        assert after_it.restarts > before, "the replica was not killed"

    def measure(attempt):
        seen = sent_while(stage, kill, rate=KILL_RATE, exactly=KILL_SECONDS)
        assert seen.requests >= 20_000
        lost.append(seen.lost_words)
        return seen.recording

    decision = measure_until_decided(measure, AvailabilityObjective(), tier=cluster.capabilities.tier)
    require(decision.judgement, cause="; ".join(words for words in lost if words))
