"""What the checks of project 1 find: wishes that hold, alerts that misbehave, requests that were counted."""

import re

from autograder.rubric import credit
from labkit.errors import WorkFault
from labkit.monitoring import test_rules as run_rule_tests


def grade(wishes):
    """Credit for each wish that holds; those that don't are named."""
    held = sum(wishes.values())
    missing = [wish for wish, holds in wishes.items() if not holds]
    credit(held, len(wishes), f"{held} of {len(wishes)}", cause=f"Not so: {'; '.join(missing[:4])}.")


def misbehaving(submitted, scenario):
    """The alerts that are not as the scenario says at its end, as promtool finds them."""
    concerned = scenario.fires or scenario.silent
    tests = {"evaluation_interval": "1s", "tests": [scenario.tests(concerned)]}
    try:
        run_rule_tests(submitted / "rules.yml", tests)
    except WorkFault as fault:
        return sorted(set(re.findall(r"alertname=\W*(\w+)", fault.why)) & set(concerned)) or list(concerned)
    return []


def counted(service):
    """How many good answers the server says that it gave."""
    text = service.ask("GET", "/metrics").text
    return sum(
        float(line.rsplit(" ", 1)[1])
        for line in text.splitlines()
        if line.startswith("http_requests_total{") and 'status="200"' in line and 'path="/predict"' in line
    )
