"""Lab week12/testing_infrastructure: tests that notice faults, policies that find what they should, drift."""

import json
import re
from pathlib import Path

import pytest

from autograder.rubric import after, credit, needs, points, progress, reading, require
from autograder.rubrics.week12_iac.planted_in_store import FAULTS, WRITTEN_OTHERWISE
from autograder.rubrics.week12_iac.planted_platforms import PLATFORMS, POLICIES
from labkit.course import find_course
from labkit.errors import WorkFault
from labkit.isolation.functions import LearnerFunction
from labkit.scanning.infrastructure import policy_of, violations
from labkit.terraform import hcl
from labkit.terraform.planted import caught, run_on

what_slipped_through = reading(
    "what_slipped_through",
    points=4,
    criteria=[
        (1, "names the faults that no run noticed, from the plot"),
        (1, "says why: the run asserts something else, or never calls the module so that it matters"),
        (
            1,
            "a run that fails for many faults says less about where the fault is than one that fails for one",
        ),
        (1, "names an assertion, or values to call the module with, that would catch one of them"),
    ],
)

CHECKS = (
    *("CKV_AWS_3", "CKV_AWS_23", "CKV_AWS_24", "CKV_AWS_26", "CKV_AWS_27", "CKV_AWS_28", "CKV_AWS_51"),
    *("CKV_AWS_62", "CKV_AWS_63", "CKV_AWS_79", "CKV_AWS_163"),
)
"""The policies of checkov that this platform has to keep, as checkov.txt lists them."""

KEPT = (
    *("aws_sns_topic.alerts", "aws_sqs_queue.jobs", "aws_ecr_repository.serving", "aws_ebs_volume.datasets"),
    *("aws_dynamodb_table.lineage", "aws_security_group.training", "aws_launch_template.training"),
    "aws_iam_policy.training",
)
_READS_FILES = re.compile(r"\b(file\w*|templatefile)\s*\(")
PLANS = Path(__file__).parent / "plans"


@pytest.fixture(scope="session")
def ran(submitted, work, scratch):
    """The runs of the learner's tests on the module as it was handed out, and on each changed copy of it."""
    tests = work / "store" / "tests"
    for path in sorted(tests.rglob("*.hcl")) + sorted(tests.rglob("*.tf")):
        if found := _READS_FILES.search(path.read_text(errors="replace")):
            raise WorkFault(
                f"{path.name} reads a file, by {found[1]}().",
                why="Tests say what the module plans, whatever its text looks like.",
            )
    module = next(lab for lab in find_course().labs if lab.name == submitted.name).handout / "store"
    variants = {"sound": (), "otherwise": WRITTEN_OTHERWISE, **{each.name: (each,) for each in FAULTS}}
    return run_on(module, tests, variants, scratch, say=progress)


@needs("cloud")
@points(
    2,
    hints=[
        "terraform test, in the folder of the module, says which assertion failed and with what values.",
        "With a mocked provider and command = plan, what AWS would decide (an id, an ARN) is not known yet: "
        "assert what the module sets.",
        "It passes on the module, not on one that keeps the same promises in other words? Then it asks for "
        "how, not for what: the order of rules, a rule's id, a message.",
    ],
)
def test_sound(ran):
    """passes on the module, and on one that keeps the same promises in other words"""
    for variant, name in (("sound", "the module"), ("otherwise", "the module in other words")):
        runs = ran[variant]
        failed = [each for each in runs if each.status != "pass"]
        cause = f"{failed[0].name}: {failed[0].why}" if failed else "A test has run blocks."
        require(
            bool(runs) and not failed, f"{len(runs) - len(failed)} of {len(runs)} runs on {name}", cause=cause
        )


@needs("cloud")
@after("test_sound")
@points(
    6,
    hints=[
        "Go through the table of promises: which run fails if that one is broken?",
        "A promise that depends on the caller needs two runs: production and dev, with readers and without.",
        "expect_failures = [var.environment] is a run that passes only if the module refuses. Both ends of a "
        "range want one, and a value just outside: 0, 91.",
        "A policy is text: jsondecode(aws_s3_bucket_policy.readers[0].policy).Statement[0]",
    ],
)
def test_catches(ran):
    """notices each of twenty planted faults"""
    missed = [each.name for each in FAULTS if not caught(ran[each.name])]
    count = len(FAULTS) - len(missed)
    nudge = f"One that slips through: {missed[0]}." if missed else ""
    credit(count, len(FAULTS), f"{count} of {len(FAULTS)} faults noticed", cause=nudge)


@pytest.fixture(scope="session")
def own_policies(submitted):
    """The policies that can be read, by their id; and what is the matter with the others."""
    found, flaws = {}, []
    for policy, name in POLICIES.items():
        path = submitted / "policies" / name
        try:
            says = str(policy_of(path)["metadata"].get("id"))
            if says != policy:
                raise WorkFault(f"{name} has the id {says}, not {policy}.")
            found[policy] = path
        except WorkFault as error:
            flaws.append(error.what)
    return found, flaws


@pytest.fixture(scope="session")
def scanned(submitted, own_policies, scratch):
    """What checkov finds, in one run: in the learner's platform, and in those that were planted."""
    progress("checkov reads the platform and the policies", 10)
    folders = {"platform": submitted / "platform"}
    for name, (text, _) in PLATFORMS.items():
        folder = scratch / "planted" / name
        folder.mkdir(parents=True)
        (folder / "main.tf").write_text(text)
        folders[name] = folder
    found, _ = own_policies
    return violations(folders, [*CHECKS, *found], policies=found.values())


@needs("scanners")
@points(
    2,
    hints=[
        "The notebook prints each finding with its line; the id leads to its page in checkov's manual.",
        "Encryption is one argument each: kms_master_key_id, sqs_managed_sse_enabled, encrypted.",
        'metadata_options { http_tokens = "required" } in the launch template; a range of your own network '
        "instead of 0.0.0.0/0; named actions and resources instead of the star.",
    ],
)
def test_no_findings(submitted, scanned):
    """breaks none of the eleven policies, with everything still there"""
    blocks = [each for each in hcl.blocks_of(submitted / "platform") if each.type == "resource"]
    there = {".".join(each.labels) for each in blocks if not {"count", "for_each"} & set(each.arguments)}
    missing = [name for name in KEPT if name not in there]
    require(
        not missing,
        f"{len(KEPT) - len(missing)} of {len(KEPT)} resources",
        cause=f"Gone: {', '.join(missing)}.",
    )
    found = [each for each in scanned if each.configuration == "platform" and each.policy in CHECKS]
    broken = sorted({each.policy for each in found})
    credit(
        len(CHECKS) - len(broken),
        len(CHECKS),
        f"{len(CHECKS) - len(broken)} of {len(CHECKS)} policies kept",
        cause=str(found[0]) if found else "",
    )


@needs("scanners")
@points(
    3,
    hints=[
        "A policy is judged by two kinds of configurations: those that it must find, and those it must leave "
        "alone.",
        "cond_type: attribute, with resource_types, attribute, operator, value; a tag is tags.owner.",
        "Whether something belongs to a resource is a connection: cond_type: connection, resource_types, "
        "connected_resource_types and operator: exists, and beside it a filter for the type that is meant.",
    ],
)
def test_policies(own_policies, scanned):
    """has three policies that find what breaks them, and nothing else"""
    _, flaws = own_policies
    right, wrong = 0, list(flaws)
    for policy, file in POLICIES.items():
        if not any(flaw.startswith((file, f"There is no {file}")) for flaw in flaws):
            found = {
                (each.configuration, each.resource)
                for each in scanned
                if each.policy == policy and each.configuration in PLATFORMS
            }
            meant = {
                (name, each) for name, (_, broken) in PLATFORMS.items() for each in broken.get(policy, ())
            }
            missed, wronged = sorted(meant - found), sorted(found - meant)
            right += not missed and not wronged
            wrong += [f"{file} does not find {each[1]}" for each in missed[:1]]
            wrong += [f"{file} finds {each[1]}, which keeps it" for each in wronged[:1]]
    credit(right, len(POLICIES), f"{right} of {len(POLICIES)} policies are right", cause="; ".join(wrong))


@points(
    3,
    hints=[
        "resource_changes is what applying would do; resource_drift what is no longer as Terraform left it.",
        "Not all of resource_drift was somebody: the provider rewords empty values. It matters only if "
        "applying sets it right.",
        "Compare argument by argument: changed in the account (before and after of resource_drift) and set "
        "right by the plan (before and after of resource_changes). What was deleted is made again.",
    ],
)
def test_drift(submitted, logs, lab_name):
    """tells changes by hand from changes in the files, in eight plans"""
    wrong = []
    paths = sorted(PLANS.glob("*.json"))
    with LearnerFunction("drift:sort_changes", submitted, log=logs / f"{lab_name}-drift.log") as sort_changes:
        for path in paths:
            case = json.loads(path.read_text())
            said = sort_changes(case["plan"])
            if said != case["sorted"]:
                wrong.append(
                    f"{path.stem.replace('_', ' ')}: {_short(said)} instead of {_short(case['sorted'])}"
                )
    credit(
        len(paths) - len(wrong),
        len(paths),
        f"{len(paths) - len(wrong)} of {len(paths)} plans",
        cause="; ".join(wrong[:2]),
    )


def _short(value):
    return json.dumps(value, default=str)[:150]
