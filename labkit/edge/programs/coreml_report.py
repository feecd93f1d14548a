"""What a Core ML package holds: `model.mlpackage.zip` and `model.safetensors` become `report.json`.

Core ML itself runs on Apple's systems alone: what can be said elsewhere is what the package declares, and
whether its large weights are those of the model.
"""

import json
import zipfile
from pathlib import Path
from typing import Any

import coremltools
import numpy as np
from safetensors.numpy import load_file


def main() -> None:
    """Unpack it, read its specification, look for the model's weights in it."""
    with zipfile.ZipFile("model.mlpackage.zip") as archive:
        archive.extractall("package")
    manifest = next(Path("package").rglob("Manifest.json"))
    package = manifest.parent
    if package.suffix != ".mlpackage":  # zipped from within: the suffix tells what it is
        package = package.rename(package.with_name("model.mlpackage"))
    model = coremltools.models.MLModel(str(package), skip_model_load=True)
    specification = model.get_spec()
    stored = coremltools.optimize.coreml.get_weights_metadata(model, weight_threshold=2048)
    found = [np.asarray(each.val) for each in stored.values()]
    wanted = [value for value in load_file("model.safetensors").values() if value.size >= 2048]
    report = {
        "kind": specification.WhichOneof("Type"),
        "inputs": {each.name: _shape(each) for each in specification.description.input},
        "outputs": [each.name for each in specification.description.output],
        "weights": len(wanted),
        "weights_found": sum(any(_same(value, each) for each in found) for value in wanted),
    }
    Path("report.json").write_text(json.dumps(report))


def _same(value: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> bool:
    """Whether two tensors hold the same weights, to half precision."""
    return other.shape == value.shape and bool(np.allclose(value, other, atol=2e-3))


def _shape(feature: Any) -> list[int]:
    return [int(length) for length in feature.type.multiArrayType.shape]


if __name__ == "__main__":
    main()
