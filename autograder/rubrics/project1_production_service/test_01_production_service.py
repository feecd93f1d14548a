"""Project 1: a model in production, from its image to its alerts."""

import time
import uuid

import numpy as np

from autograder.images import read_dockerfile, stand_ins
from autograder.production.contract import ALERTS, COLOURS, LABELS_DOWN, LOG_FIELDS, METRICS, NAMES
from autograder.production.dashboard import check_queries, shown, unknown_metrics
from autograder.production.deployed import Deployed
from autograder.production.manifests import (
    autoscaling_wishes,
    deployment_wishes,
    read_plan,
    survival_wishes,
)
from autograder.production.scenarios import FIRING, SILENT
from autograder.production.traffic import Traffic
from autograder.rubric import after, credit, needs, points, progress, reading, require
from autograder.rubrics.project1_production_service.findings import counted, grade, misbehaving
from labkit.load import Schedule, run
from labkit.monitoring import check_rules, parse, read_dashboard

the_hour = reading(
    "the_hour",
    points=6,
    criteria=[
        (2, "finds on the timeline which events cost requests or latency, with their numbers"),
        (
            2,
            "explains one of them from the plot: what replicas, Service and clients did meanwhile",
        ),
        (2, "says what of the error budget is left, and what they would change first because of it"),
    ],
)
design_review = reading(
    "design_review",
    points=14,
    criteria=[
        (3, "objectives: why these, what breaking them costs, and how the alerts follow from them"),
        (3, "capacity: how many requests a replica takes, measured, and what follows for the autoscaler"),
        (
            3,
            "releases: what the smoke test can not find, and what becomes of a request during a switch",
        ),
        (3, "failure: what the service does without labels, without a node, without the monitoring"),
        (2, "cost: what an inference costs over a bursty day, from which table, and the largest part of it"),
    ],
)

TOLERANCE = 1e-3


# ---- the image --------------------------------------------------------------------------------------------


@points(
    3,
    hints=[
        "Weeks 09-01 and 09-03 made such an image: what does the last stage hold, and who runs it?",
        "FROM with tag and digest, a second stage, and USER with a number above 0.",
    ],
)
def test_image(submitted):
    """is built in two stages from a pinned base, and does not start as root"""
    dockerfile = read_dockerfile(submitted)
    users = [each.value.strip() for each in dockerfile.instructions if each.name == "USER"]
    user = users[-1].partition(":")[0] if users else ""
    wishes = {
        "two stages": len(dockerfile.stages) >= 2,
        "every base with a tag that says a version and a digest": bool(dockerfile.bases)
        and all(base.tag not in ("", "latest") and base.digest for base in dockerfile.bases),
        "a user with a number, not root": user.isdigit() and user != "0",
    }
    grade(wishes)


@needs("engine", "python_images")
@after("test_image")
@points(
    5,
    hints=[
        "Does the image build, and does `docker run` start it? workbook check says at which step it stopped.",
        "The scores are the model's own; the labels are what the labels service says of the largest score.",
        'POST /predict answers {"prediction": [[ten scores], ...], "labels": ["seven", ...]}.',
    ],
)
def test_serves(service, digits, build):
    """answers the reference predictions, with their names"""
    rows = np.arange(100)
    for _ in range(3):
        scores, labels, _ = service.predict(digits.images[rows])
        if labels is not None:
            break
        time.sleep(1.5)  # a name that was not there in time on a busy machine is no fault
    right = (np.abs(scores - digits.scores[rows]) <= TOLERANCE).all(axis=1)
    names = [NAMES[digit] for digit in digits.scores[rows].argmax(axis=1)]
    said = labels if isinstance(labels, list) and len(labels) == len(names) else [None] * len(names)
    named = np.array([label == name for label, name in zip(said, names, strict=True)])
    both = int((right & named).sum())
    credit(
        both,
        len(rows),
        f"{both} of {len(rows)} with the right scores and name{stand_ins(build.image)}",
        cause=f"{int(right.sum())} have the right scores, {int(named.sum())} the right name.",
    )


@needs("engine", "python_images")
@after("test_serves")
@points(
    4,
    hints=[
        "What is a client to do about a 500? About a 422?",
        "http_requests_total counts by path and status; http_request_seconds is a histogram.",
        "The names are those of the notebook's table: a dashboard and an alert know them by these alone.",
    ],
)
def test_tells(service, digits):
    """refuses bad input with 422, and counts what happened under the agreed names"""
    image = digits.images[0].tolist()
    bad = [
        {},
        {"features": []},
        {"features": [image[:-1]]},
        {"features": [["a"] * 784]},
        {"features": "x"},
        [],
    ]
    statuses = [service.ask("POST", "/predict", json=body).status_code for body in bad]
    before = counted(service)
    for row in range(7):
        service.predict(digits.images[row : row + 1])
    grown = counted(service) - before
    text = service.ask("GET", "/metrics").text
    missing = [name for name in METRICS if f"\n{name}" not in f"\n{text}"]
    require(
        set(statuses) == {422}, f"{statuses.count(422)} of {len(bad)} kinds of bad input are refused with 422"
    )
    require(not missing, "all agreed metrics are there" if not missing else f"/metrics has no {missing[0]}")
    require(grown == 7, f"7 requests grew the count of good answers by {grown:g}")


@needs("engine", "python_images")
@after("test_serves")
@points(
    6,
    hints=[
        "Whoever looks for one request searches three logs for one word: which?",
        "Take X-Request-ID from the request, or make one; answer with it; send it on to the labels service.",
        "One line of JSON a request on standard output, with the fields of the notebook's table.",
    ],
)
def test_correlates(service, digits):
    """one id joins the answer, the server's log and the log of the service behind it"""
    sent = [f"check-{uuid.uuid4().hex[:12]}" for _ in range(10)]
    echoed = 0
    for number, request in enumerate(sent):
        _, _, answer = service.predict(digits.images[number : number + 1], headers={"X-Request-ID": request})
        echoed += answer.headers.get("X-Request-ID") == request
    _, _, without = service.predict(digits.images[:1])
    time.sleep(0.3)
    lines = [parse(text) for text in service.container.logs(400).splitlines()]
    behind = [parse(text) for text in service.container.exec(["cat", "/tmp/labels.log"]).text.splitlines()]
    logged = {line.request for line in lines if set(LOG_FIELDS) <= set(line.fields)}
    passed_on = {line.request for line in behind}
    wishes = {
        "the answer carries the id that came": echoed == len(sent),
        "one is made where none came": bool(without.headers.get("X-Request-ID")),
        "the log has a line of JSON with every field for each": set(sent) <= logged,
        "and no line twice": len([1 for line in lines if line.request in sent]) == len(sent),
        "the labels service got it": set(sent) <= passed_on,
    }
    grade(wishes)


@needs("engine", "python_images")
@after("test_serves")
@points(
    6,
    hints=[
        "What does your server do while the labels service does not answer?",
        "A prediction without a name is worth more than none: answer with labels null.",
        "A time-out of some 40 ms; and after a failure don't ask for a second or so.",
    ],
)
def test_degrades(without_labels, digits):
    """goes on answering, in time and without names, while the labels service hangs"""
    took, right = [], 0
    for number in range(30):
        began = time.monotonic()
        scores, labels, _ = without_labels.predict(digits.images[number : number + 1], seconds=3)
        took.append(time.monotonic() - began)
        right += bool(np.abs(scores - digits.scores[number]).max() <= TOLERANCE) and labels is None
    text = without_labels.ask("GET", "/metrics").text
    failures = sum(
        float(line.rsplit(" ", 1)[1])
        for line in text.splitlines()
        if line.startswith("labels_requests_total{") and 'outcome="ok"' not in line
    )
    middle = float(np.median(took))
    require(right == len(took), f"{right} of {len(took)} answered rightly with labels null")
    require(
        middle < 0.25,
        f"half of them within {middle * 1000:.0f} ms",
        cause="Each waits for the labels service.",
    )
    require(failures > 0, f"labels_requests_total counts {failures:g} that were not ok")


# ---- the manifests ----------------------------------------------------------------------------------------


@points(
    7,
    hints=[
        "What must Kubernetes know of your server to start, await and stop it?",
        "Blue and green differ in their names, in the label version and in VERSION, and in nothing else.",
        "runAsNonRoot and readOnlyRootFilesystem; a preStop of seconds; prometheus.io/scrape and /port.",
    ],
)
def test_deployments(manifests):
    """both colours say all that a cluster has to know of them"""
    wishes = {
        f"{colour}: {wish}": holds
        for colour in COLOURS
        for wish, holds in deployment_wishes(manifests.one(colour, "Deployment"), colour).items()
    }
    grade(wishes)


@points(
    4,
    hints=[
        "What does a drain ask before it takes a pod?",
        "A budget that lets one pod go: maxUnavailable: 1. The Service's selector names a version.",
    ],
)
def test_survives(manifests):
    """a drain can neither be refused for ever nor take all pods, and the Service has one colour"""
    grade(survival_wishes(manifests))


@points(
    6,
    hints=[
        "Week 10-03: which number grows with the load, and how much of it does one replica stand?",
        "A Pods metric http_requests_per_second with an averageValue that you measured; 2 replicas or more.",
    ],
)
def test_autoscaling(manifests):
    """each colour scales by itself, on a metric that follows the load"""
    grade(
        {wish: holds for colour in COLOURS for wish, holds in autoscaling_wishes(manifests, colour).items()}
    )


@needs("engine", "python_images")
@after("test_serves", "test_deployments", "test_survives")
@points(
    8,
    hints=[
        "kubectl describe says why a pod is not ready.",
        "A read-only root: what does your server write, and where? emptyDir on /tmp is in memory or on disk.",
        "A switch loses requests if a pod gets them that is not ready, or ends while it has some.",
    ],
)
def test_deploys(cluster, engine, build, manifests, labels_program, scratch):
    """is rolled out on a cluster, and the switch to green loses no request"""
    with Deployed(cluster, engine, manifests, labels_program, say=progress) as deployed:
        deployed.start(build.image.tags[0], seconds=35)
        deployed.colour_up("green", build.image.tags[0], seconds=60)
        traffic = Traffic()
        progress("sending requests while the Service turns to green")
        with deployed.later(3.0, lambda: deployed.switch("green")) as switched:
            recording = run(Schedule.constant(40, seconds=8, warmup=1), traffic.client(deployed.url))
        switched.result()
        # Connections that are kept alive stay where they are: new ones show whom the Service names now.
        afterwards = run(Schedule.constant(40, seconds=2, warmup=0.5), traffic.client(deployed.url))
    before, after = traffic.versions(recording), traffic.versions(afterwards)
    missed, of = recording.misses + afterwards.misses, recording.requests + afterwards.requests
    require("blue" in before, f"before the switch answers came from {', '.join(sorted(before)) or 'nobody'}")
    require(after == {"green"}, f"after it from {', '.join(sorted(after)) or 'nobody'}")
    why = "; ".join(filter(None, (traffic.why(recording), traffic.why(afterwards))))
    require(missed == 0, f"{missed} of {of} requests were lost", cause=why)


@points(
    6,
    hints=[
        "What must a version have shown before a person's request meets it?",
        "Two hundred requests with no error; and the names of the alerts that take it back.",
    ],
)
def test_release_plan(submitted, rules):
    """a version is tried before it gets traffic, and taken back by the alerts that concern it"""
    plan = read_plan(submitted)
    alerts = {str(rule["alert"]) for rule in rules if "alert" in rule}
    wishes = {
        "at least 100 requests before it gets traffic": plan.smoke.requests >= 100,
        "of which none may fail": plan.smoke.requests > 0 and plan.smoke.most_errors == 0,
        "watched for at least 10 s": plan.watch_seconds >= 10,
        "alerts that take it back": len(plan.rollback_on) >= 2,
        "all of which rules.yml has": bool(plan.rollback_on) and set(plan.rollback_on) <= alerts,
        "but not the one of the labels service": bool(plan.rollback_on)
        and LABELS_DOWN not in plan.rollback_on,
    }
    grade(wishes)


# ---- the monitoring ---------------------------------------------------------------------------------------


@needs("monitoring")
@points(
    4,
    hints=[
        "promtool check rules rules.yml says the line.",
        "Each alert has labels.severity and annotations.summary; a ratio asked for twice is recorded once.",
    ],
)
def test_rules(submitted, rules):
    """the rules are sound, say how urgent they are, and record what is asked for twice"""
    count = check_rules(submitted / "rules.yml")
    alerts = [rule for rule in rules if "alert" in rule]
    names = {str(rule["alert"]) for rule in alerts}
    wishes = {
        f"{count} rules that promtool reads": count > 0,
        f"the alerts {', '.join(ALERTS)}": set(ALERTS) <= names,
        "each with a severity and a summary": bool(alerts)
        and all(
            (rule.get("labels") or {}).get("severity") and (rule.get("annotations") or {}).get("summary")
            for rule in alerts
        ),
        "a recording rule that an alert uses": any(
            str(rule["record"]) in str(alert.get("expr"))
            for rule in rules
            if "record" in rule
            for alert in alerts
        ),
    }
    grade(wishes)


@needs("monitoring")
@after("test_rules")
@points(
    9,
    hints=[
        "How many seconds of errors can the budget pay for? The alert must be there before.",
        "A share over 10 s, above what a healthy service shows, for a few seconds.",
        "What does up say of pods that are gone? absent() says it of all.",
    ],
)
def test_alerts_fire(submitted):
    """each alert fires when it should, in time"""
    grade({f"{each.fires[0]} when {each.name}": not misbehaving(submitted, each) for each in FIRING})


@needs("monitoring")
@after("test_rules")
@points(
    6,
    hints=[
        "Would you get up for one failed request? For a client that sends nonsense?",
        "Count 5xx alone, as a share of all; a histogram's quantile over too few requests says little.",
    ],
)
def test_alerts_stay_silent(submitted):
    """and none fires when nobody has to do anything"""
    loud = {each.name: misbehaving(submitted, each) for each in SILENT}
    grade({f"{name}{': ' * bool(who)}{', '.join(who)}": not who for name, who in loud.items()})


@needs("monitoring")
@points(
    6,
    hints=[
        "What do you look at first when an alert fires? Rate, errors, duration, and what is full.",
        "histogram_quantile(0.99, sum by (le) (rate(http_request_seconds_bucket[10s])))",
    ],
)
def test_dashboard(submitted, recorded):
    """the dashboard shows rate, errors, latency, saturation and the service behind"""
    dashboard = read_dashboard(submitted / "dashboard.json")
    check_queries(dashboard)
    strangers = unknown_metrics(dashboard, recorded)
    require(
        not strangers, "every metric exists" if not strangers else f"nobody gives the metric {strangers[0]}"
    )
    grade(shown(dashboard, recorded))
