"""Lab week10/releases: a new version that nobody notices but those who measure, and a way back."""

import json
import random
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from scipy import stats

from autograder.namespaces import Namespace, provide
from autograder.rubric import after, credit, hidden, measured_on, needs, points, progress, reading, require
from autograder.rubrics.week10_kubernetes.experiments import (
    DRIVER,
    Experiments,
    false_alarm_judgement,
    found_judgement,
    users_needed,
    z_test,
)
from autograder.rubrics.week10_kubernetes.under_load import LoadSeen, under_load
from labkit.clusters.manifests import one_of_kind, read_manifests
from labkit.clusters.steps import read_steps, run_steps
from labkit.errors import WorkFault
from labkit.isolation.functions import LearnerFunction
from labkit.load import HttpClient, Kind, Outcome, Schedule, run

what_the_experiment_says = reading(
    "what_the_experiment_says",
    points=4,
    criteria=[
        (
            2,
            "each look at a running test is a chance to be wrong; many looks at 5 % are wrong far more often",
        ),
        (
            1,
            "the interval narrows with users: early on it holds both no effect and a large one",
        ),
        (1, "says what they would do about a significant but harmful, or a tiny but certain, difference"),
    ],
)

IMAGE = "python:3.11-slim"
BACK_SECONDS = 5.0
RATE = 60
EXPERIMENT = "ranker-2"


# ---- in the files -----------------------------------------------------------------------------------------


@points(
    1,
    hints=[
        "Two Deployments whose selectors catch each other's pods fight over them.",
        "A copy of blue.yaml with another name, another colour wherever one stands, and VERSION v2.",
    ],
)
def test_green(submitted):
    """a Deployment of version 2 that stands beside version 1"""
    thing = one_of_kind(read_manifests(submitted / "green.yaml"), "Deployment", "green.yaml")
    template = thing["spec"]["template"]
    container = template["spec"]["containers"][0]
    labels = template["metadata"]["labels"]
    version = {one["name"]: one.get("value") for one in container.get("env", ())}.get("VERSION")
    wanted = {"app": "model", "colour": "green"}
    require(thing["metadata"]["name"] == "green", "is called green", cause="metadata.name")
    require(labels.items() >= wanted.items(), f"labels {labels}", cause=f"they have to hold {wanted}")
    selector = thing["spec"]["selector"]["matchLabels"]
    apart = selector.get("colour") == "green"
    require(apart, f"selects {selector}", cause="that catches version 1's pods as well")
    require(version == "v2", f"runs {version}", cause="VERSION has to be v2")
    lacks = [name for name in ("readinessProbe", "resources") if name not in container]
    require(not lacks, "with probe and resources" if not lacks else f"lacks {', '.join(lacks)}")


# ---- the router's functions -------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def call(work, logs):
    """Calls a function of the learner's for many arguments at once, in a process of its own."""
    (work / "drive.py").write_text(DRIVER)

    def calls(function, rows):
        module, _, name = function.partition(".")
        if not (work / f"{module}.py").is_file():
            raise WorkFault(f"There is no {module}.py.", next_step="Put it back.")
        log = logs / f"releases-{module}.log"
        with LearnerFunction("drive:many", work, log=log, seconds=30) as many:
            given = many(module, name, rows)
        if not isinstance(given, list) or len(given) != len(rows):
            raise WorkFault(f"{function} gave no answer for each of {len(rows)} calls.")
        wrong = next((one["error"] for one in given if isinstance(one, dict) and "error" in one), None)
        if wrong is not None:
            raise WorkFault(f"{function} raised {str(wrong)[:200]}.")
        return [one["value"] for one in given]

    return calls


def known(names, split):
    """The names as they are, if all are out of the split."""
    odd = next((name for name in names if name not in split), None)
    if odd is not None:
        raise WorkFault(f"{str(odd)[:60]!r} is none of {', '.join(split)}.")
    return names


@points(
    1,
    hints=[
        "Lay the weights end to end from 0 to 1: where does `chance` fall?",
        "Add weights up until the sum is above chance.",
    ],
)
def test_canary(call):
    """sends a canary the part of the requests that it was given"""
    chances = ((np.arange(20_000) + 0.5) / 20_000).tolist()
    right = 0
    cases = ({"blue": 0.95, "green": 0.05}, {"blue": 1.0, "green": 0.0}, {"a": 0.2, "b": 0.3, "c": 0.5})
    for weights in cases:
        counts = Counter(known(call("routing.choose", [[chance, weights] for chance in chances]), weights))
        right += all(abs(counts[name] / 20_000 - part) < 0.001 for name, part in weights.items())
    credit(right, len(cases), f"{right} of {len(cases)} sets of weights")


USERS = [f"user-{number}" for number in range(20_000)]


@points(
    2,
    hints=[
        "Ask twice for the same user, in two processes. What is different in the second one?",
        "Python's hash() of a text differs from process to process; hashlib's don't.",
        "Hash experiment and user together, take the digest as a number between 0 and 1, and use choose.",
    ],
)
def test_sticky(call):
    """the same user gets the same version, from every replica; another experiment mixes anew"""
    split = {"blue": 0.5, "green": 0.5}
    ask = [[user, EXPERIMENT, split] for user in USERS]
    first, again = (known(call("routing.assign", rows), split) for rows in (ask, ask[::-1]))
    same = sum(one == other for one, other in zip(first, again[::-1], strict=True))
    require(same == len(USERS), f"{same:,} of {len(USERS):,} users get the same version from another process")
    other = known(call("routing.assign", [[user, "prices-7", split] for user in USERS]), split)
    table = Counter(zip(first, other, strict=True))
    cells = np.array([[table[a, b] for b in split] for a in split])
    mixed = cells.min() > 0 and stats.chi2_contingency(cells)[1] > 1e-4
    require(mixed, "another experiment " + ("mixes anew" if mixed else "puts the same users together"))
    grown = known(
        call("routing.assign", [[u, EXPERIMENT, {"blue": 0.3, "green": 0.7}] for u in USERS]), split
    )
    left = sum(one == "green" != now for one, now in zip(first, grown, strict=True))
    require(left == 0, f"{left} users leave green when it grows from 50 to 70 %")


@points(
    1,
    hints=["Count 10,000 users with a split of 0.9 and 0.1.", "The split that is asked for is an argument."],
)
def test_split(call):
    """the split is near what was asked for, by an exact test"""
    right, said = 0, []
    for part in (0.5, 0.1, 0.02):
        split = {"blue": 1 - part, "green": part}
        names = known(call("routing.assign", [[user, f"split-{part}", split] for user in USERS]), split)
        count = names.count("green")
        right += stats.binomtest(count, len(USERS), part).pvalue > 1e-4
        said.append(f"{count / len(USERS):.1%} for {part:.0%}")
    credit(right, 3, f"green gets {', '.join(said)}")


# ---- the statistics ---------------------------------------------------------------------------------------


@points(
    1,
    hints=[
        "Under the hypothesis of no difference, both versions share one rate: the pooled one.",
        "z is the difference over sqrt(pooled (1 - pooled) (1/n_a + 1/n_b)); two-sided counts both tails.",
    ],
)
def test_p_value(call):
    """p-values as the two-sided z-test gives them"""
    chance = random.Random(4)
    rows = [[100, 1000, 130, 1000], [130, 1000, 100, 1000], [5, 400, 5, 400], [0, 50, 0, 50]]
    for _ in range(46):
        users = [chance.randrange(50, 5000) for _ in range(2)]
        rows.append([chance.randrange(users[0] // 2), users[0], chance.randrange(users[1] // 2), users[1]])
    given = call("analysis.p_value", rows)
    close = [
        isinstance(p, int | float) and abs(p - z_test(*row)) < 1e-6
        for p, row in zip(given, rows, strict=True)
    ]
    wrong = next(
        (f"p_value{tuple(row)} gave {p}" for row, p, ok in zip(rows, given, close, strict=True) if not ok), ""
    )
    credit(sum(close), len(rows), f"{sum(close)} of {len(rows)} within a millionth", cause=wrong)


@points(
    1,
    hints=[
        "Two quantiles of the normal distribution: one for alpha (half of it on each side), one for power.",
        "n = (z_alpha + z_power)^2 (p1 (1 - p1) + p2 (1 - p2)) / lift^2",
    ],
)
def test_sample_size(call):
    """asks for as many users as alpha and power need"""
    rows = [[0.1, 0.02, 0.05, 0.8], [0.2, 0.05, 0.01, 0.9], [0.05, 0.005, 0.05, 0.95], [0.3, -0.03, 0.1, 0.8]]
    given = call("analysis.sample_size", rows)
    right = sum(
        isinstance(n, int | float) and abs(n / users_needed(*row) - 1) < 0.04
        for n, row in zip(given, rows, strict=True)
    )
    said = ", ".join(f"{n} (about {users_needed(*row):,.0f})" for n, row in zip(given, rows, strict=True))
    credit(right, len(rows), f"{right} of {len(rows)} within 4 %", cause=said[:300])


PLAN = {"base": 0.10, "lift": 0.03, "alpha": 0.05, "power": 0.8}


@pytest.fixture(scope="session")
def experiments(call):
    return Experiments(lambda rows: call("analysis.decide", rows))


@after("test_p_value", "test_sample_size")
@points(
    2,
    hints=[
        "Both versions are the same: how often does your function claim a difference in ten looks?",
        "A p-value below 5 % happens in 5 % of looks. Ten looks are ten chances.",
        "Wait until the planned number of users is there; then look once.",
    ],
)
def test_false_alarms(experiments):
    """on 1,000 simulated A/A experiments of ten looks, claims a difference no more often than alpha"""
    progress("1,000 experiments without any difference")
    decisions = experiments.run(PLAN, runs=1000, seed=11)
    require(false_alarm_judgement(decisions, PLAN["alpha"]))


@after("test_p_value", "test_sample_size")
@points(
    1,
    hints=[
        "With the planned number of users the effect has to be found in 8 of 10 experiments.",
        "And say which one is better: compare the rates.",
    ],
)
def test_effect(experiments):
    """finds an effect of the planned size as often as power says, and its direction"""
    for better, lift in (("b", PLAN["lift"]), ("a", -PLAN["lift"])):
        decisions = experiments.run({**PLAN, "lift": abs(lift)}, runs=300, seed=12, lift=lift)
        require(found_judgement(decisions, better, PLAN["power"]))


@hidden
@after("test_false_alarms")
@points(1)
def test_other_plans(experiments):
    """keeps to another alpha, another base and another lift"""
    plan = {"base": 0.25, "lift": 0.05, "alpha": 0.01, "power": 0.9}
    seed = random.SystemRandom().randrange(10**6)
    require(false_alarm_judgement(experiments.run(plan, runs=1000, seed=seed), plan["alpha"]))
    decisions = experiments.run(plan, runs=300, seed=seed + 1, lift=plan["lift"])
    require(found_judgement(decisions, "b", plan["power"]))


# ---- on the cluster ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stage:
    """Version 1 running, and all that a release needs."""

    space: Namespace
    url: str


@pytest.fixture(scope="session")
def stage(cluster, handout, submitted):
    measured_on(cluster.capabilities.tier)
    provide(cluster, IMAGE)
    with Namespace(cluster, "releases") as space:
        space.owner.config_map("model-code", handout / "model_server.py")
        space.owner.apply((handout / "services.yaml").read_text())
        space.owner.apply((handout / "blue.yaml").read_text())
        progress("waiting for version 1", 15)
        space.owner("rollout", "status", "deployment/blue", "--timeout=60s")
        yield Stage(space, space.owner.address("model"))


def requests_of(users):
    body = [json.dumps({"user": user}).encode() for user in users]
    return Kind(name="predict", method="POST", path="/predict", bodies=body, check=is_answer, timeout=5)


def is_answer(sent, answer):
    return json.loads(answer)["version"] in ("v1", "v2")


@pytest.fixture(scope="session")
def released(stage, submitted):
    """The learner's release, done under load."""
    steps = read_steps(submitted / "release.yaml")
    client = HttpClient(stage.url, [requests_of(USERS[:5])])
    return under_load(
        client,
        RATE,
        lambda: run_steps(steps, submitted, stage.space.learner, say=progress),
        network=stage.space.network,
        least=8.0,
    )


@after("test_green")
@needs("cluster", "python_images", "quiet machine")
@points(
    2,
    hints=[
        "Who answers while version 2 loads its model?",
        "Version 2 beside version 1, wait until it is ready, then point the Service.",
        "apply green.yaml, wait deployment/green, point green. Version 1 stays for the way back.",
    ],
)
def test_switch(released: LoadSeen):
    """from version 1 to version 2 under load, and no request is lost"""
    require(
        released.lost == 0,
        f"{released.lost} of {released.requests:,} requests lost",
        cause=f"{released.lost_words}; the steps took {released.seconds:.1f} s",
    )
    ended = released.last("v2")
    require(ended, f"{released.served('v2'):,} answers of version 2", cause="the last ones were of version 1")


@after("test_switch")
@needs("cluster", "python_images", "quiet machine")
@points(
    1,
    hints=["What takes long on the way back?", "Version 1 still runs, if the release left it: point there."],
)
def test_rollback(stage, submitted, released):
    """back to version 1 within five seconds, and no request is lost"""
    steps = read_steps(submitted / "rollback.yaml")
    client = HttpClient(stage.url, [requests_of(USERS[:5])])
    back = under_load(
        client,
        RATE,
        lambda: run_steps(steps, submitted, stage.space.learner, say=progress),
        network=stage.space.network,
        least=4.0,
    )
    took = max(back.seconds, back.until_last("v2"))
    require(back.last("v1"), "version 1 serves again", cause="the last answers were of version 2")
    require(took < BACK_SECONDS, f"after {took:.2f} s", cause=f"at most {BACK_SECONDS:.0f} s")
    require(back.lost == 0, f"{back.lost} of {back.requests:,} requests lost", cause=back.lost_words)


@pytest.fixture(scope="session")
def router(stage, handout, submitted, work):
    """The learner's router with both versions behind it."""
    space = stage.space
    progress("starting the router", 15)
    routing = work / "routing.py"
    if not routing.is_file():
        raise WorkFault("There is no routing.py.", next_step="Put it back.")
    routes = {
        "experiment": EXPERIMENT,
        "split": {"blue": 0.5, "green": 0.5},
        "canary": {"blue": 0.9, "green": 0.1},
    }
    space.owner.config_map("router-code", handout / "router.py", routing)
    space.owner.config_map("routes", **{"routes.json": json.dumps(routes)})
    for file in ("green.yaml", "router.yaml"):
        space.learner.apply((submitted / file).read_text())
    for name in ("green", "router"):
        space.owner("rollout", "status", f"deployment/{name}", "--timeout=60s")
    return space


@after("test_sticky", "test_green")
@needs("cluster", "python_images")
@points(
    2,
    hints=[
        "kubectl logs -l app=router: one line of JSON for each user that was served.",
        "exposure returns a dict with user, experiment and variant.",
    ],
)
def test_exposures(router):
    """two replicas of the router agree on every user, and their logs say who was shown what"""
    users = USERS[:150]
    client = HttpClient(router.owner.address("router"), [requests_of(users)])
    recording = run(Schedule.constant(100, seconds=6, warmup=0, seed=5), client, network=router.network)
    answered = recording.outcome == Outcome.OK
    lost = int(np.count_nonzero(~answered))
    require(lost <= len(recording) // 100, f"{lost} of {len(recording)} requests lost")
    served: dict[str, set[str]] = {}
    for request, answer in zip(recording.request[answered], recording.answer[answered], strict=True):
        version = json.loads(recording.answers[answer])["version"]
        served.setdefault(users[request], set()).add({"v1": "blue", "v2": "green"}[version])
    both = sum(len(colours) > 1 for colours in served.values())
    require(both == 0, f"{len(served)} users, {both} of them were shown both versions")
    lines = router.owner("logs", "-l", "app=router", "--tail=-1").splitlines()
    logged: dict[str, Any] = {}
    for line in lines:
        try:
            entry = json.loads(line)
            logged.setdefault(entry["user"], set()).add((entry["experiment"], entry["variant"]))
        except (ValueError, KeyError, TypeError):
            continue
    right = sum(logged.get(user) == {(EXPERIMENT, next(iter(shown)))} for user, shown in served.items())
    credit(right, len(served), f"{right} of {len(served)} users' exposures are logged as they were served")
