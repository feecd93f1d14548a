"""What the checks of lab week10/kubeflow find in a run, in a predictor's answers and in manifests."""

import importlib.util
import json
import re

import numpy as np

from autograder.rubric import require
from labkit.errors import WorkFault
from labkit.kubeflow import resources
from labkit.serving import NoAnswer

MANIFESTS = {
    "inference_service.yaml": "InferenceService",
    "experiment.yaml": "Experiment",
    "notebook.yaml": "Notebook",
}


def loaded(file):
    """A module of ours from its file."""
    specification = importlib.util.spec_from_file_location(file.stem, file)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def expect(found, evidence, cause=""):
    """As `require`, of what goes without saying when it holds."""
    if not found:
        require(False, evidence, cause=cause)


def manifest(submitted, name):
    """A manifest of the learner's that fits its definition."""
    thing = resources.read_manifest(submitted / name)
    wrong = resources.faults(thing, MANIFESTS[name])
    expect(not wrong, f"{name}: {wrong[0] if wrong else ''}", "; ".join(wrong[1:3]))
    return thing


def judged(run):
    """The metrics of a run, the model that they are about, the rows trained on and the rows judged on."""
    metrics = [one for one in run.artifacts("system.Metrics") if "accuracy" in one.metadata]
    expect(len(metrics) == 1, f"{len(metrics)} artifact(s) of the type Metrics hold an accuracy")
    sources = run.made_from(metrics[0])
    models = [one for one in sources if one.kind == "system.Model"]
    judged_on = [one for one in sources if one.kind == "system.Dataset"]
    expect(
        len(models) == 1 and len(judged_on) == 1,
        f"the metrics come of {len(models)} Model and {len(judged_on)} Dataset",
        cause="What a step reads is an Input[...] of it: a path in a parameter leaves no lineage.",
    )
    trained_on = [one for one in run.made_from(models[0]) if one.kind == "system.Dataset"]
    expect(len(trained_on) == 1, f"the model comes of {len(trained_on)} Dataset")
    return metrics[0], models[0], trained_on[0], judged_on[0]


def rows_of(artifact, trainer, scratch):
    """A Dataset's ids, readings and conditions."""
    file = scratch / f"{artifact.step}-{artifact.name}.csv"
    file.write_bytes(artifact.data or b"")
    try:
        return trainer.read(file)
    except (ValueError, IndexError) as error:
        raise WorkFault(f"The Dataset {artifact.name} of {artifact.step} is no table.") from error


def rightly(caller, trainer, model, rows):
    """How many rows get the model's scores."""
    wanted = trainer.scores(model, rows)
    same = 0
    for part in (slice(0, 1), slice(1, 2), slice(2, 100)):
        try:
            given = caller.predict(rows[part].astype(np.float32))
        except NoAnswer as error:
            raise WorkFault(f"{len(wanted[part])} good row(s) got no scores: {error}.") from error
        if given.shape == wanted[part].shape:
            same += int((np.abs(given - wanted[part]) < 1e-3).all(axis=1).sum())
    return same


def refuses(caller, bodies):
    """Which bodies are not answered as the asker's mistake."""
    wrong = []
    for what, body in bodies.items():
        try:
            answer = caller.send(json.dumps(body).encode())
        except NoAnswer as error:
            wrong.append(f"{what}: {error}")
            continue
        if not answer.theirs:
            wrong.append(f"{what}: {answer.status}")
    return wrong


def v2(rows, **more):
    rows = np.asarray(rows, dtype=np.float32)
    data = rows.ravel().tolist()
    return {"inputs": [{"name": "x", "shape": list(rows.shape), "datatype": "FP32", "data": data}], **more}


def differences(parameters, space):
    """Where Katib would look elsewhere than the search does."""
    if set(parameters) != set(space):
        yield f"spec.parameters: {sorted(parameters)}, and the search has {sorted(space)}"
    for name in sorted(set(parameters) & set(space)):
        feasible, wanted = parameters[name]["feasibleSpace"], space[name]
        try:
            ends = float(feasible["min"]), float(feasible["max"])
        except (KeyError, ValueError):
            yield f"spec.parameters[{name}].feasibleSpace: min and max are not numbers in strings"
            continue
        if not np.allclose(ends, (wanted.get("low", np.nan), wanted.get("high", np.nan)), rtol=1e-6, atol=0):
            yield f"spec.parameters[{name}]: from {ends[0]:g} to {ends[1]:g}, not as the search has it"
        logarithmic = feasible.get("distribution") == "logUniform"
        if logarithmic != bool(wanted.get("log")):
            yield f"spec.parameters[{name}].feasibleSpace.distribution: not as the search has it"


def unused(template, names):
    """What a trial does not get or use of its parameters."""
    given = {one["name"]: one["reference"] for one in template.get("trialParameters") or ()}
    job = template["trialSpec"]
    if (job.get("apiVersion"), job.get("kind")) != ("batch/v1", "Job"):
        yield f"trialSpec: a {job.get('kind')}, not a Job of batch/v1"
    text = json.dumps(job)
    used = set(re.findall(r"\$\{trialParameters\.([\w-]+)\}", text))
    for name in sorted(names - {given[one] for one in used & set(given)}):
        yield f"trialSpec: no trial is told its {name}"
    for name in sorted(used - set(given)):
        yield f"trialSpec: ${{trialParameters.{name}}} is not among trialParameters"
    containers = (((job.get("spec") or {}).get("template") or {}).get("spec") or {}).get("containers") or []
    if template.get("primaryContainerName") not in {one.get("name") for one in containers}:
        yield "primaryContainerName: no container of the trial is called so, and nobody reads its metric"


def said_by(error):
    """The API's own sentence."""
    try:
        return json.loads(error.body)["message"][:300]
    except (TypeError, ValueError, KeyError):
        return f"{error.status} {error.reason}"
