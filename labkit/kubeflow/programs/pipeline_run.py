"""Compiles a learner's pipeline, runs it by kfp's local runner, prints what came of it as a line of JSON.

Runs in the environment kubeflow, in the folder of pipeline.py: `pipeline_run.py MARK SETTINGS`.
"""

import base64
import json
import os
import sys
import tempfile
from pathlib import Path

MOST_BYTES = 4 << 20  # of one artifact


def main():
    mark, settings = sys.argv[1], json.loads(sys.argv[2])
    here = os.getcwd()
    sys.path.insert(0, here)
    os.environ["PYTHONPATH"] = here  # of the steps, which are processes of their own
    import pipeline
    from kfp import compiler, local

    with tempfile.TemporaryDirectory() as root:
        for ending in ("json", "yaml"):
            compiler.Compiler().compile(pipeline.readings, f"{root}/compiled.{ending}")
        local.init(local.SubprocessRunner(use_venv=False), pipeline_root=f"{root}/run", raise_on_error=True)
        pipeline.readings(**settings)
        found = {
            "specification": json.loads(Path(root, "compiled.json").read_text()),
            "yaml": Path(root, "compiled.yaml").read_text(),
            "outputs": {
                place.parent.name: outputs(place) for place in Path(root, "run").rglob("executor_output.json")
            },
        }
    print(mark + json.dumps(found), flush=True)


def outputs(place):
    """What one step left: each artifact's metadata and bytes."""
    found = {}
    for name, listed in json.loads(place.read_text()).get("artifacts", {}).items():
        artifact = listed["artifacts"][0]
        file = Path(artifact["uri"].removeprefix("file://"))
        data = file.read_bytes() if file.is_file() and file.stat().st_size <= MOST_BYTES else None
        found[name] = {
            "metadata": artifact.get("metadata") or {},
            "data": None if data is None else base64.b64encode(data).decode(),
        }
    return found


if __name__ == "__main__":
    main()
