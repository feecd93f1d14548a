"""Mutants: each kind of file has its faults, and a rubric that misses one is found out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
import yaml
from tiny_course import ASSIGNMENT, FILES, lay_course, use_rubrics
from typer.testing import CliRunner

from autograder.commands.validate import validate
from autograder.mutation import dockerfile, json_values, mutants_of, python_code, run_mutants, yaml_values
from autograder.mutation.mutants import Fate
from autograder.mutation.operators import operators_for
from labkit.course import Course
from labkit.errors import WorkbookError

PYTHON = '''\
"""Doc."""
LIMIT = 255
@app.post("/predict")
def predict(body: Body, ö="ä"):
    """Doc."""
    if body.n < LIMIT and not body.empty:
        raise ValueError(f"{body.n + 1} are too many")
    log("asked")
    return Field(ge=0, le=LIMIT)
'''


def faults(operators, text: str) -> dict[tuple[str, int], list[str]]:
    """For each operator and line, the lines that a mutation changed."""
    found: dict[tuple[str, int], list[str]] = {}
    for mutation in operators(text):
        old, new = text.splitlines(), mutation.text.splitlines()
        changed = [line.strip() for line in new if line not in old]
        found.setdefault((mutation.operator, mutation.line), []).append(" | ".join(changed))
    return found


def test_faults_in_python():
    found = faults(python_code.mutations, PYTHON)
    assert found["python: number", 2] == ["LIMIT = 256"]
    assert found["python: text", 3] == ["@app.post('/predictx')"]
    assert found["python: text", 4] == ["def predict(body: Body, ö='äx'):"]
    assert found["python: comparison", 6] == ["if (body.n <= LIMIT) and not body.empty:"]
    assert found["python: and, or", 6] == ["if (body.n < LIMIT or not body.empty):"]
    assert found["python: not left out", 6] == ["if body.n < LIMIT and (body.empty):"]
    assert found["python: condition true", 6] == ["if True:"]
    assert found["python: raises nothing", 7] == ["pass"]
    assert found["python: statement left out", 8] == ["pass"]
    assert found["python: argument ge left out", 9] == ["return Field(le=LIMIT)"]
    assert found["python: returns nothing", 9] == ["return None"]
    assert not [line for _, line in found if line in (1, 5)]  # docstrings say nothing to a machine
    with pytest.raises(ValueError, match="never closed"):
        list(python_code.mutations("print("))


DOCKERFILE = """\
# syntax=docker/dockerfile:1
FROM python:3.11-slim AS build
COPY requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt \\
    && rm -rf /tmp/build

FROM python:3.11-slim
COPY --from=build --chown=app /venv /venv
USER app
EXPOSE 8000
CMD ["uvicorn", "serve:app"]
"""


def test_faults_in_a_dockerfile():
    found = faults(dockerfile.mutations, DOCKERFILE)
    assert found["dockerfile: base image latest", 2] == ["FROM python:latest AS build"]
    assert found["dockerfile: COPY left out", 3] == [""]
    assert found["dockerfile: everything copied", 3] == ["COPY . ."]
    assert found["dockerfile: --no-cache-dir left out", 4] == ["RUN pip install -r requirements.txt \\"]
    assert found["dockerfile: nothing cleaned up", 4] == [
        "RUN pip install --no-cache-dir -r requirements.txt"
    ]
    assert found["dockerfile: --chown left out", 8] == ["COPY --from=build /venv /venv"]
    assert found["dockerfile: runs as root", 9] == ["USER root"]
    assert found["dockerfile: another port", 10] == ["EXPOSE 8001"]
    assert found["dockerfile: in a shell", 11] == ["CMD uvicorn serve:app"]
    swapped = next(m for m in dockerfile.mutations(DOCKERFILE) if m.operator.endswith("order changed"))
    assert swapped.text.index("RUN pip") < swapped.text.index("COPY requirements.txt")
    with pytest.raises(ValueError, match="no instruction"):
        list(dockerfile.mutations("# nothing\n"))


MANIFEST = """\
# A job
kind: Job
spec:
  parallelism: 2
  suspend: false
  args: [--epochs, "3"]
---
kind: Service
spec:
  limits:
    memory: 1Gi
"""


def test_faults_in_yaml():
    found = {(m.operator, m.line): list(yaml.safe_load_all(m.text)) for m in yaml_values.mutations(MANIFEST)}
    assert found["yaml: number", 4][0]["spec"]["parallelism"] == 3
    assert found["yaml: true, false", 5][0]["spec"]["suspend"] is True
    assert found["yaml: quantity", 11][1]["spec"]["limits"]["memory"] == "2Gi"
    assert "args" not in found["yaml: entry left out", 6][0]["spec"]
    assert found["yaml: item left out", 8] == [yaml.safe_load(MANIFEST.partition("---")[0])]
    with pytest.raises(ValueError, match="expected"):
        list(yaml_values.mutations("a: [1"))


def test_faults_in_json():
    text = json.dumps({"p99": 459, "nested": {"why": "queue", "sure": True}}, indent=1)
    found = [(m.operator, m.line, json.loads(m.text)) for m in json_values.mutations(text)]
    assert ("json: number", 2, {"p99": 460, "nested": {"why": "queue", "sure": True}}) in found
    assert ("json: true, false", 5, {"p99": 459, "nested": {"why": "queue", "sure": False}}) in found
    assert ("json: entry left out", 3, {"p99": 459}) in found


def test_each_kind_of_file_finds_its_operators():
    names = ["serve.py", "Dockerfile", "Dockerfile.gpu", "job.yaml", "ci.yml", "answers.json", "readme.md"]
    assert [operators_for(name) is not None for name in names] == [True] * 6 + [False]


# ---- through a rubric ------------------------------------------------------------------------------------

RUBRIC = '''
from autograder.rubric import points, require
from labkit.errors import WorkFault


@points(2)
def test_sum(submitted):
    """adds"""
    values = {}
    try:
        exec((submitted / "adder.py").read_text(), values)
        found = values["add"](2, 3)
    except Exception as error:
        raise WorkFault(f"{error}") from error
    if found == -1:
        raise RuntimeError("the check itself broke")
    require(found == 5, f"2 + 3 is {found}")
'''
ADDER = "def add(a, b):\n    if a > 0:\n        return a + b\n    return 1\n"


@pytest.fixture
def course(tmp_path: Path) -> Iterator[Course]:
    made = lay_course(tmp_path, labs=(FILES,))
    (made.root / "rubrics" / ASSIGNMENT / f"test_{FILES}.py").write_text(RUBRIC)
    answers = made.root / "rubrics" / ASSIGNMENT / "answers" / FILES
    for folder in answers.iterdir():
        loses = ["sum"] if folder.name.startswith("wrong") else []
        (folder / "answer.toml").write_text(f"loses = {loses}\n")
    (answers / "reference" / "adder.py").write_text(ADDER)
    with use_rubrics(made):
        yield made


def test_mutants_that_lose_nothing_are_found(course: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    (lab,) = course.labs
    mutants = mutants_of(lab)
    results = list(run_mutants(lab, mutants, course.build / "validate"))
    fates = {(r.mutant.operator, r.mutant.line): r.fate for r in results}
    assert fates == {
        ("python: comparison", 2): Fate.SURVIVED,  # nobody asks what 0 + b is
        ("python: number", 2): Fate.SURVIVED,
        ("python: condition true", 2): Fate.SURVIVED,
        ("python: condition false", 2): Fate.KILLED,
        ("python: returns nothing", 3): Fate.KILLED,
        ("python: arithmetic", 3): Fate.BROKE,
        ("python: number", 4): Fate.SURVIVED,
        ("python: returns nothing", 4): Fate.SURVIVED,
    }
    again = list(run_mutants(lab, mutants, course.build / "validate", sample=3, seed=7))
    assert [r.mutant for r in again] == [
        r.mutant for r in run_mutants(lab, mutants, course.build / "validate", sample=3, seed=7)
    ]

    listed = course.root / "rubrics" / ASSIGNMENT / "answers" / FILES / "equivalent.toml"
    entry = 'file = "adder.py"\noperator = "python: number"\nline = "return 1"\nreason = "Not asked."\n'
    listed.write_text(f"[[mutant]]\n{entry}")
    monkeypatch.chdir(course.root)
    app = typer.Typer()
    app.command()(validate)
    ran = CliRunner().invoke(app, ["week99/four_lines", "--mutants", "--json"])
    assert ran.exit_code == 4  # a check broke
    (said,) = json.loads(ran.stdout)
    assert (said["mutants"], said["equivalent"], said["run"]) == (8, 1, 7)
    assert said["share_that_lost_points"] == 2 / 7
    assert json.loads((course.build / "mutants.json").read_text()) == [said]
    shown = CliRunner().invoke(app, ["week99/four_lines", "--mutants"]).stdout
    assert "survived week99/four_lines · adder.py:2 · python: comparison" in shown
    assert "+    if (a >= 0):" in shown

    listed.write_text(listed.read_text().replace("return 1", "return 2"))
    with pytest.raises(WorkbookError, match="lists a mutant that is not made: 'return 2'"):
        mutants_of(lab)
