"""What holds of the repository's files, whatever the code does."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from labkit.environments import conda

ROOT = Path(__file__).parents[1]
# Written in two parts, so that this file does not hold what it looks for.
# Within an image, root's home is nobody's: pip keeps its cache and a user's packages there.
MACHINE_PATHS = re.compile(
    rb"(?<![\w.$}{~-])/(?:" + b"work" + rb"/[\w.]|root/(?!\.cache/pip\b|\.local\b)[\w.])"
)


def tracked(*patterns: str) -> list[Path]:
    listing = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", *patterns],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listing.returncode:
        pytest.skip("this is not a git checkout")
    return [path for name in listing.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def test_environment_yml_holds_the_pins_of_core():
    assert (ROOT / "environment.yml").read_text() == conda.render(ROOT), "make lock writes it"


def test_the_workflow_is_one_that_github_takes():
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows"]
    check = subprocess.run(
        [*command, *map(str, (ROOT / ".github/workflows").glob("*.yml"))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert check.returncode == 0, check.stdout


def test_the_workflow_runs_the_commands_of_the_readme():
    workflow = (ROOT / ".github/workflows/ci.yml").read_text()
    for command in ("make course", ".ci/run"):
        assert f"run: {command}\n" in workflow
    assert "make --no-print-directory test" in (ROOT / ".ci/run").read_text()
    assert os.access(ROOT / ".ci/run", os.X_OK)


def test_the_dev_container():
    import jsonschema

    strings = {"type": "string"}
    schema = {
        "type": "object",
        "required": ["name", "image", "postCreateCommand"],
        "additionalProperties": False,
        "properties": {
            "name": strings,
            "image": strings,
            "onCreateCommand": strings,
            "postCreateCommand": strings,
            "remoteUser": strings,
            "forwardPorts": {"type": "array", "items": {"type": "integer"}},
            "portsAttributes": {"type": "object"},
            "customizations": {"type": "object"},
        },
    }
    container = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text())
    jsonschema.validate(container, schema)
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    make, *wanted = container["postCreateCommand"].split()
    assert make == "make"
    assert set(wanted) <= set(targets)


def test_notebooks_hold_no_outputs():
    for path in tracked("*.ipynb"):
        for cell in json.loads(path.read_text())["cells"]:
            assert not cell.get("outputs"), f"{path.name} holds outputs: make notebooks"
            assert cell.get("execution_count") is None, f"{path.name} was run: make notebooks"


def test_no_machine_s_paths():
    for path in tracked():
        found = MACHINE_PATHS.search(path.read_bytes())
        assert found is None, f"{path.relative_to(ROOT)} holds {found[0]!r}"


def test_labkit_never_imports_autograder():
    for path in tracked("labkit/*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any(name.split(".")[0] == "autograder" for name in names), path


def test_the_readme_names_the_two_commands():
    readme = ROOT / "README.md"
    if not readme.exists():
        pytest.skip("there is no README.md yet")
    assert "make course" in readme.read_text()
    assert "make test" in readme.read_text()


def rubrics() -> list[Path]:
    return sorted((ROOT / "autograder/rubrics").glob("*/test_*.py"))


@pytest.mark.parametrize("rubric", rubrics(), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_rubric_has_answers(rubric):
    folder = rubric.parent / "answers" / rubric.stem.removeprefix("test_")
    answers = {path.parent.name: tomllib.loads(path.read_text()) for path in folder.glob("*/answer.toml")}
    assert set(answers) == {path.name for path in folder.iterdir() if path.is_dir()}
    assert "reference" in answers
    assert any(name.startswith("right_") for name in answers)
    assert any(name.startswith("wrong_") for name in answers)
    top = ast.parse(rubric.read_text()).body
    functions = {node.name for node in top if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    # A long rubric takes its checks from modules beside it: test_trains = training_checks.test_trains
    functions |= {
        name.id
        for node in top
        if isinstance(node, ast.Assign)
        for name in ast.walk(node.targets[0])
        if isinstance(name, ast.Name)
    }
    functions = {name.removeprefix("test_") for name in functions if name.startswith("test_")}
    for name, answer in answers.items():
        assert answer["about"]
        assert bool(answer["loses"]) == name.startswith("wrong_"), name
        assert set(answer["loses"]) <= functions, name
