"""Lab week10/autoscaling: as many replicas as the load needs, in time, and no more than that."""

import copy
import random
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from autograder.namespaces import Namespace, provide
from autograder.rubric import after, credit, hidden, measured_on, needs, points, progress, reading, require
from labkit.clusters.manifests import completed, one_of_kind, read_manifests
from labkit.errors import WorkFault
from labkit.isolation.functions import LearnerFunction
from labkit.load import Schedule
from labkit.scaling import Load, Server, rehearse, scale_under_load
from labkit.slo import Objective, judge
from labkit.verdicts import Tier, Verdict

what_the_replicas_saw = reading(
    "what_the_replicas_saw",
    points=4,
    criteria=[
        (
            2,
            "cpu ends at what a full replica uses and says nothing of the queue; requests in flight do",
        ),
        (1, "names what passes between a rise of the load and a ready replica: metric, look, start, probe"),
        (1, "says why replicas stay for a while after the peak, and what that costs and saves"),
    ],
)

IMAGE = "python:3.11-slim"
LIMIT = 0.5
"""Seconds within which a prediction is to be answered."""
SCALERS = ("cpu", "requests")
SEEDS = (1, 2, 3)
PEAK = ((20, 8, 8), (15, 8, 80), (45, 80, 80), (60, 8, 8))
"""A quiet time, a rise of 15 s, a peak of 45 s, and quiet again."""
TOP, FALL, BACK = 35.0, 80.0, 110.0
SETTLED = 10.0
"""Seconds after the top is reached by which there are replicas enough."""
WAVES = ((20, 40, 40), *((5, 50, 50), (5, 26, 26)) * 10)
"""A load that rises and falls every 10 s."""
MOST_COST = 800.0
"""Replica-seconds of the peak; eight replicas all the time are 1,120."""
MOST_TURNS = 6


# ---- what is judged ---------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def deployment(submitted):
    return one_of_kind(read_manifests(submitted / "deployment.yaml"), "Deployment", "deployment.yaml")


@pytest.fixture(scope="session")
def scalers(submitted):
    """The two HorizontalPodAutoscalers, by the name of their file."""
    return {
        name: one_of_kind(
            read_manifests(submitted / f"{name}.yaml"), "HorizontalPodAutoscaler", f"{name}.yaml"
        )
        for name in SCALERS
    }


@pytest.fixture(scope="session")
def rehearsed(deployment, scalers):
    """Rehearses a load with an autoscaler, once for each seed; remembers what came of it."""
    known = {}

    def rehearsals(name, parts, seeds=SEEDS):
        measured_on(Tier.SIMULATED)
        key = (name, parts, seeds)
        if key not in known:
            known[key] = [rehearse(scalers[name], deployment, Load(parts, seed)) for seed in seeds]
        return known[key]

    return rehearsals


def judged_each(found):
    """Credit for each autoscaler that holds; `found` has (holds, what was seen) for each."""
    said = "; ".join(f"{name}.yaml {words}" for name, (_, words) in found.items())
    right = sum(holds for holds, _ in found.values())
    credit(right, len(found), said)


# ---- in the files -----------------------------------------------------------------------------------------


@points(
    1,
    hints=[
        "kubectl apply --dry-run=server -f cpu.yaml shows what the cluster thinks of a manifest.",
        "cpu.yaml has a metric of type Resource, requests.yaml one of type Pods named requests_in_flight.",
    ],
)
def test_manifests(deployment, scalers):
    """valid manifests, and autoscalers that scale this Deployment by the metric of their name"""
    name = deployment["metadata"]["name"]
    kinds = {"cpu": "Resource", "requests": "Pods"}
    for scaler, thing in scalers.items():
        target = thing["spec"]["scaleTargetRef"]
        if (target.get("kind"), target.get("name")) != ("Deployment", name):
            raise WorkFault(
                f"{scaler}.yaml scales {target.get('kind')} {target.get('name')}, not Deployment {name}.",
                next_step="See spec.scaleTargetRef.",
            )
        found = [metric["type"] for metric in completed(thing)["spec"]["metrics"]]
        require(found == [kinds[scaler]], f"{scaler}.yaml: {', '.join(found)}", cause=f"not {kinds[scaler]}")


@points(
    2,
    hints=[
        "Utilisation is a percentage. Of what?",
        "Run one replica at its full 20 requests a second and look at kubectl top pods.",
        "resources.requests and limits for cpu and memory: about 100m and 64Mi as requests.",
    ],
)
def test_resources(deployment):
    """says what a replica needs and may use, and when it is ready"""
    containers = completed(deployment)["spec"]["template"]["spec"]["containers"]
    lacks = []
    for one in containers:
        resources = one.get("resources") or {}
        for what in ("requests", "limits"):
            lacks += [
                f"{what}.{name}" for name in ("cpu", "memory") if name not in (resources.get(what) or {})
            ]
        lacks += [] if one.get("readinessProbe") else ["readinessProbe"]
    whole = 4 * len(containers)  # the probe was handed out: to have it earns nothing, to lose it costs
    said = max(0, whole - len(lacks))
    credit(said, whole, f"{said} of {whole} are said", cause=f"Lacks: {', '.join(lacks)}.")


# ---- rehearsed --------------------------------------------------------------------------------------------


@after("test_manifests")
@points(
    2,
    hints=[
        "How many replicas does the peak need, at 20 requests a second each? Is maxReplicas beyond that?",
        "A target of 100 % leaves no room for the time in which new replicas start.",
        "Aim at 60 % of what a replica can do, and let scaleUp add several at a time.",
    ],
)
def test_scales_out(rehearsed):
    """out in time: 10 s after a rise to 80 requests/s, 99 % are answered within half a second"""
    found = {}
    for name in SCALERS:
        late = [each.late_share(LIMIT, since=TOP + SETTLED, until=FALL) for each in rehearsed(name, PEAK)]
        found[name] = (max(late) <= 0.01, f"at most {max(late):.1%} late")
    judged_each(found)


@after("test_manifests")
@points(
    2,
    hints=[
        "How long does your autoscaler wait after the peak? Kubernetes' default is five minutes.",
        "A target that one idle replica exceeds is a target that is never reached.",
        "scaleDown.stabilizationWindowSeconds of some 15 s, minReplicas 1, and a target of more than half.",
    ],
)
def test_scales_in(rehearsed):
    """in again: at most 2 replicas 30 s after the peak, and no more paid for than the load needs"""
    found = {}
    for name in SCALERS:
        runs = rehearsed(name, PEAK)
        left = max(each.at(BACK)[0] for each in runs)
        cost = max(each.replica_seconds() for each in runs)
        words = f"{left} left after 30 s, {cost:.0f} replica-seconds of at most {MOST_COST:.0f}"
        found[name] = (left <= 2 and cost <= MOST_COST, words)
    judged_each(found)


@after("test_manifests")
@points(
    2,
    hints=[
        "The load of this check rises and falls every ten seconds. What should the replicas do?",
        "A window that is longer than a wave keeps what the next one needs.",
    ],
)
def test_steady(rehearsed):
    """never flaps: waves of ten seconds don't move the replicas up and down"""
    found = {}
    for name in SCALERS:
        turns = max(each.reversals(since=20) for each in rehearsed(name, WAVES))
        found[name] = (turns <= MOST_TURNS, f"turned round {turns} times in 20 changes of the load")
    judged_each(found)


@hidden
@after("test_scales_out", "test_scales_in", "test_steady")
@points(1)
def test_other_loads(rehearsed):
    """holds for loads that it was not written for"""
    chance = random.SystemRandom()
    top, rise = chance.randrange(101, 109), chance.choice((12, 18))
    parts = ((20, 6, 6), (rise, 6, top), (45, top, top), (60, 6, 6))
    seeds = tuple(chance.randrange(1000) for _ in range(3))
    found = {}
    for name in SCALERS:
        runs = rehearsed(name, parts, seeds)
        late = max(e.late_share(LIMIT, since=20 + rise + SETTLED + 5, until=65 + rise) for e in runs)
        # Of 400 such loads the reference never had more than 2 % late; too few replicas have nearly all.
        found[name] = (late <= 0.05, f"at most {late:.1%} late at {top} requests/s")
    judged_each(found)


# ---- nodes ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def plan(work, logs):
    """The learner's function, called where it can do no harm."""
    if not (work / "nodes.py").is_file():
        raise WorkFault("There is no nodes.py.", next_step="Put it back.")
    with LearnerFunction("nodes:plan", work, log=logs / "autoscaling-nodes.log") as call:

        def checked(pending, nodes, size):
            given = call(*copy.deepcopy((pending, nodes, size)))
            if not isinstance(given, dict) or not isinstance(given.get("add"), int):
                raise WorkFault(f"plan returned {str(given)[:80]}, not a dict with `add` and `remove`.")
            if not isinstance(given.get("remove"), list):
                raise WorkFault("plan returned no list `remove`.")
            return given["add"], sorted(map(str, given["remove"]))

        yield checked


SIZE = {"cpu": 4000, "memory": 16384}


@points(
    2,
    hints=[
        "Put the largest pod first, then each into the first new node that has room for it.",
        "Both have to fit, cpu and memory.",
        "A pod larger than a whole node waits for ever: more nodes would be paid for and stay empty.",
    ],
)
def test_nodes(plan):
    """adds the nodes that pending pods need, and takes away those that stay empty"""
    chance = random.Random(10)
    idle = {"name": "idle", "pods": 0, "idle_seconds": 75}
    fresh = {"name": "fresh", "pods": 0, "idle_seconds": 20}
    busy = {"name": "busy", "pods": 2, "idle_seconds": 0}
    many = [
        {"cpu": chance.choice((500, 1500, 2500)), "memory": chance.choice((1024, 6144))} for _ in range(24)
    ]
    least, most = bounds_of(many)
    cases = {
        "nothing waits: only the idle node goes": (([], [idle, fresh, busy], SIZE), 0, 0, ["idle"]),
        "three pods of half a node": (([{"cpu": 2000, "memory": 512}] * 3, [busy], SIZE), 2, 2, []),
        "memory decides": (([{"cpu": 100, "memory": 12000}] * 3, [busy], SIZE), 3, 3, []),
        "a pod larger than a node": (([{"cpu": 9000, "memory": 512}], [busy], SIZE), 0, 0, []),
        "nothing goes while pods wait": (([{"cpu": 3000, "memory": 512}], [idle], SIZE), 1, 1, []),
        "many of several sizes": ((many, [busy], SIZE), least, most, []),
    }
    wrong = []
    for title, (arguments, low, high, gone) in cases.items():
        add, remove = plan(*arguments)
        if not low <= add <= high or remove != gone:
            wrong.append(f"{title}: add {add}, remove {remove}")
    right = len(cases) - len(wrong)
    credit(right, len(cases), f"{right} of {len(cases)} situations", cause="; ".join(wrong)[:400])


def bounds_of(pods):
    """The fewest nodes that could do by sums alone, and as many as first fit takes."""
    least = max(-(-sum(pod[what] for pod in pods) // SIZE[what]) for what in SIZE)
    free: list[dict[str, float]] = []
    for pod in sorted(pods, key=lambda pod: (-pod["cpu"], -pod["memory"])):
        room = next((one for one in free if all(pod[what] <= one[what] for what in SIZE)), None)
        if room is None:
            room = dict(SIZE)
            free.append(room)
        for what in SIZE:
            room[what] -= pod[what]
    return least, len(free)


# ---- on the cluster ---------------------------------------------------------------------------------------

SERVICE: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "model"},
    "spec": {"ports": [{"port": 8080}]},
}


@pytest.fixture(scope="session")
def spaces(cluster, handout, submitted, deployment):
    """The Deployment in two namespaces, each with one of the autoscalers."""
    measured_on(cluster.capabilities.tier)
    provide(cluster, IMAGE)
    labels = deployment["spec"]["selector"]["matchLabels"]
    service = {**SERVICE, "spec": {**SERVICE["spec"], "selector": labels}}
    with Namespace(cluster, "cpu") as by_cpu, Namespace(cluster, "requests") as by_requests:
        found = {"cpu": by_cpu, "requests": by_requests}
        for name, space in found.items():
            space.owner.config_map("model-code", handout / "server.py")
            space.owner.apply(service)
            for file in ("deployment.yaml", f"{name}.yaml"):
                space.learner.apply((submitted / file).read_text())
        for space in found.values():
            progress("waiting for the first replica", 20)
            what = f"deployment/{deployment['metadata']['name']}"
            space.owner("rollout", "status", what, "--timeout=60s")
        yield found


@after("test_manifests", "test_resources")
@needs("cluster", "python_images")
@points(
    1,
    hints=[
        "kubectl describe hpa shows its conditions, and its events the reasons.",
        "Who reads requests_in_flight from the pods, and how does it know where?",
        'Annotations: prometheus.io/scrape: "true", prometheus.io/port: "8080".',
    ],
)
def test_metrics(spaces, scalers):
    """both autoscalers get their metric on the cluster"""
    for name, space in spaces.items():
        hpa = scalers[name]["metadata"]["name"]
        deadline = time.monotonic() + 20
        while True:
            status = space.owner.get("hpa", hpa).get("status", {})
            active: dict[str, str] = next(
                (c for c in status.get("conditions", ()) if c["type"] == "ScalingActive"), {}
            )
            if active.get("status") == "True":
                break
            if time.monotonic() > deadline:
                said = active.get("message") or "it says nothing yet"
                raise WorkFault(f"HorizontalPodAutoscaler {hpa} of {name}.yaml is not active: {said}.")
            progress(f"waiting for the metric of {name}.yaml", deadline - time.monotonic())
            time.sleep(1)
    require(True, "both active")


LIVE = {"cpu": 40, "requests": 60}
"""Requests a second at the top."""
LOW = 6
UP_BY = 3 + 7 + 12
"""Seconds by which there are replicas enough: quiet, the rise, and twelve."""


def out(top):
    """Quiet, a rise of 6 s, and a peak whose first nine seconds are not judged."""
    return (
        Schedule.poisson(LOW, seconds=3, warmup=0, seed=1),
        Schedule.ramp(LOW, top, seconds=6, seed=2),
        Schedule.poisson(top, seconds=12, warmup=9, seed=3),
    )


BACK_IN = (Schedule.poisson(LOW, seconds=40, warmup=0, seed=4),)
"""Quiet again."""


def sent_to_both(spaces, name, schedules):
    """A load on both autoscalers side by side; gives timeline and recordings of each."""
    seconds = max(sum(each.total_seconds + 1 for each in those) for those in schedules.values())
    with ThreadPoolExecutor() as pool:
        sent = {
            which: pool.submit(
                scale_under_load, space.owner, schedules[which], name=name, network=space.network
            )
            for which, space in spaces.items()
        }
        while not all(each.done() for each in sent.values()):
            progress("load on both autoscalers", max(0.0, seconds))
            seconds -= 1
            time.sleep(1)
    return {which: each.result() for which, each in sent.items()}


@after("test_metrics", "test_scales_out", "test_scales_in", "test_steady")
@needs("cluster", "python_images", "quiet machine")
@points(
    3,
    hints=[
        "Run the notebook's live part and look at the three plots below each other.",
        "kubectl get pods: how long from the start of a replica until it is ready? See its readinessProbe.",
    ],
)
def test_live(spaces, deployment):
    """on the cluster: out in time, p99 kept, in again, no flapping"""
    name = deployment["metadata"]["name"]
    peak = sent_to_both(spaces, name, {which: out(top) for which, top in LIVE.items()})
    latency = judge(
        peak["requests"][1][-1], Objective(milliseconds=1000 * LIMIT, quantile=0.99, confidence=0.95)
    )
    holds = {"p99": (latency.verdict is not Verdict.FAILED, latency.summary)}
    for which, (line, _) in peak.items():
        needed = -(-LIVE[which] // int(Server().capacity))
        when = line.first(needed)
        holds[f"{which}.yaml out"] = (when <= UP_BY, f"{needed} replicas ready after {when:.0f} s")
    if all(held for held, _ in holds.values()):
        quiet = sent_to_both(spaces, name, dict.fromkeys(LIVE, BACK_IN))
        for which, (line, _) in quiet.items():
            turns = peak[which][0].reversals() + line.reversals()
            left = int(line.replicas[-1])
            holds[f"{which}.yaml in"] = (left <= 2, f"from {peak[which][0].replicas.max()} to {left}")
            holds[f"{which}.yaml steady"] = (turns <= 2, f"turned {turns} times")
    said = "; ".join(f"{what}: {words}" for what, (_, words) in holds.items())
    lost = [what for what, (held, _) in holds.items() if not held]
    credit(7 - len(lost) - (7 - len(holds)), 7, said, cause=f"Not so: {', '.join(lost)}")
    require(latency)
