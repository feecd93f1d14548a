"""Releases as lists of steps: what is read, what is refused, what is asked of kubectl."""

import json

import pytest

from labkit.clusters.steps import read_steps, run_steps
from labkit.errors import WorkFault


class Asked:
    """Notes what kubectl is asked, as `Kubectl` would be."""

    def __init__(self):
        self.commands = []

    def __call__(self, *arguments):
        self.commands.append(arguments)
        return ""

    def apply(self, text):
        self.commands.append(("apply", text))
        return ""


def steps(tmp_path, text):
    (tmp_path / "green.yaml").write_text("kind: Deployment\n")
    path = tmp_path / "release.yaml"
    path.write_text(text)
    return read_steps(path)


def test_each_step_is_done_in_order(tmp_path):
    text = (
        "steps:\n  - apply: green.yaml\n  - wait: deployment/green\n  - point: green\n"
        "  - scale: {blue: 0}\n  - sleep: 0\n  - delete: deployment/blue\n"
    )
    asked, said = Asked(), []
    seconds = run_steps(steps(tmp_path, text), tmp_path, asked, say=said.append)
    assert len(seconds) == len(said) == 6
    assert said[3] == 'scale: {"blue": 0}'
    assert [command[0] for command in asked.commands] == ["apply", "rollout", "patch", "scale", "delete"]
    assert json.loads(asked.commands[2][-1])["spec"]["selector"]["colour"] == "green"


@pytest.mark.parametrize(
    "text",
    [
        "steps: []",
        "nothing: here",
        "- apply",
        "steps: [{",
        "steps: [{exec: rm}]",
        "steps: [{apply: ../green.yaml}]",
        "steps: [{apply: blue.yaml}]",
        "steps: [{wait: pod/green}]",
        "steps: [{delete: namespace/default}]",
        "steps: [{point: '--help'}]",
        "steps: [{scale: {blue: 1000}}]",
        "steps: [{sleep: 11}]",
        "steps: [{sleep: 1, point: green}]",
    ],
)
def test_what_is_no_step_is_refused(tmp_path, text):
    with pytest.raises(WorkFault, match="release"):
        steps(tmp_path, text)
