"""This machine's GPUs as metrics, under the names that NVIDIA's DCGM exporter uses; nothing without one."""

from __future__ import annotations

import shutil
import subprocess

QUERY = ("index", "utilization.gpu", "memory.used")
NAMES = ("DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_DEV_FB_USED")


def gpu_metrics() -> str:
    """Utilisation in percent and used memory in MiB of each GPU, in Prometheus' text format."""
    if shutil.which("nvidia-smi") is None:
        return ""
    asked = ["nvidia-smi", f"--query-gpu={','.join(QUERY)}", "--format=csv,noheader,nounits"]
    try:
        said = subprocess.run(asked, capture_output=True, text=True, timeout=5, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
    return as_metrics(said)


def as_metrics(csv: str) -> str:
    """nvidia-smi's rows as metrics; a value that it does not know is left out."""
    lines = []
    for row in csv.splitlines():
        number, *values = (part.strip() for part in row.split(","))
        lines += [
            f'{name}{{gpu="{number}"}} {value}'
            for name, value in zip(NAMES, values, strict=True)
            if value.replace(".", "", 1).isdigit()
        ]
    return "".join(f"{line}\n" for line in lines)
