"""The backend that docs/backends.md shows, taken from the page, installed and used as it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from labkit.clusters import choice
from labkit.errors import WorkbookError

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "backends.md").read_text()
USE = """\
import kubernetes.client, kubernetes.config
from labkit.clusters import connect

cluster = connect("rehearsal")
try:
    api = kubernetes.client.CoreV1Api(kubernetes.config.new_client_from_config(str(cluster.kubeconfig)))
    print(cluster.name, cluster.capabilities.tier.value, len(api.list_node().items) > 0)
finally:
    cluster.down(purge=True)
print(cluster.kubeconfig.exists())
"""


def block(language: str) -> str:
    (text,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    return text


def test_the_backend_that_the_page_shows_is_one(tmp_path):
    installed = tmp_path / "installed"
    information = installed / "rehearsal-1.dist-info"
    information.mkdir(parents=True)
    (installed / "rehearsal.py").write_text(block("python"))
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: rehearsal\nVersion: 1\n")
    ((group, entries),) = tomllib.loads(block("toml"))["project"]["entry-points"].items()
    lines = [f"[{group}]", *(f"{name} = {where}" for name, where in entries.items())]
    (information / "entry_points.txt").write_text("\n".join(lines) + "\n")
    ran = subprocess.run(
        [sys.executable, "-c", USE],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(installed), str(ROOT)])},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == ["rehearsal simulated True", "False"]


@pytest.mark.parametrize("name", re.findall(r'`CLUSTER = "(\w+)"`', PAGE))
def test_each_cluster_that_the_page_names_is_there(name):
    if name == "rehearsal":
        with pytest.raises(WorkbookError, match="There is no cluster 'rehearsal'"):
            choice.chosen(name)
    else:
        assert choice.chosen(name) == name
