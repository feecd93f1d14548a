"""Pulumi programs: what they declare, and what their tests say of copies."""

from __future__ import annotations

import shutil

import pytest

from labkit.clouds.pulumi import PulumiPrograms
from labkit.course import find_course
from labkit.errors import WorkFault

pytestmark = pytest.mark.slow
HANDOUT = next(lab for lab in find_course().labs if lab.id == "week12/multicloud").handout / "pulumi"
ARGUMENTS = {"name": "speech", "gpu_nodes": {"min": 1, "max": 3}, "labels": {"team": "speech"}}


def test_a_program_is_declared_and_its_tests_are_run(tmp_path):
    for name in ("sound", "faulty"):
        shutil.copytree(HANDOUT, tmp_path / name)
    program = tmp_path / "faulty" / "aws_platform.py"
    program.write_text(program.read_text().replace('f"{name}-models"', '"models"'))
    with PulumiPrograms(tmp_path, log=tmp_path / "log") as programs:
        found = programs.declares("sound/aws_platform.py", ARGUMENTS)
        (nodes,) = found.of("aws:eks/nodeGroup:NodeGroup")
        assert nodes.inputs["scalingConfig"] == {"minSize": 1, "maxSize": 3, "desiredSize": 1}
        assert found.outputs == {"bucket_url": "s3://speech-models", "cluster": "speech", "gpu_pool": "gpu"}
        with pytest.raises(WorkFault, match="raised NotImplementedError"):
            programs.declares("sound/gcp_platform.py", ARGUMENTS)
        tested = programs.tested("test_aws_platform.py", ["sound", "faulty"])
    assert tested["sound"].passed
    assert tested["faulty"].code == 1
