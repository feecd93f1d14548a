"""Trains the model on a machine that may be taken away: states, and a manifest after each."""

import hashlib
import json
import os
import signal
import sys

from model import artifact, batch, new_model, pack, train_step, unpack
from store import Bucket, NotThere

RUN = os.environ.get("RUN", "try")
STEPS = int(os.environ.get("STEPS", "40"))
CHECKPOINT_EVERY = int(os.environ.get("CHECKPOINT_EVERY", "10"))
FOLDER = f"runs/{RUN}/checkpoints"
stop = False


def notice(*_):
    global stop
    stop = True


def save(bucket, step, content):
    bucket.write(f"{FOLDER}/{step}/state", content)
    manifest = {"step": step, "sha256": hashlib.sha256(content).hexdigest()}
    bucket.write(f"{FOLDER}/{step}/manifest.json", json.dumps(manifest).encode())


def saved(bucket):
    """The states that are whole, the furthest first."""
    steps = {int(key.split("/")[3]) for key in bucket.keys(f"{FOLDER}/") if key.endswith("manifest.json")}
    for step in sorted(steps, reverse=True):
        try:
            manifest = json.loads(bucket.read(f"{FOLDER}/{step}/manifest.json")[0])
            content, _ = bucket.read(f"{FOLDER}/{step}/state")
        except (NotThere, ValueError):
            continue
        if hashlib.sha256(content).hexdigest() == manifest.get("sha256"):
            yield content


def main():
    signal.signal(signal.SIGTERM, notice)
    bucket = Bucket()
    model, optimizer = new_model()
    begin = 0
    for content in saved(bucket):
        begin = unpack(content, model, optimizer)
        break
    for step in range(begin, STEPS):
        if stop:
            save(bucket, step, pack(model, optimizer, step))
            sys.exit(0)
        train_step(model, optimizer, *batch(bucket, step))
        if (step + 1) % CHECKPOINT_EVERY == 0:
            save(bucket, step + 1, pack(model, optimizer, step + 1))
    bucket.write(f"runs/{RUN}/model.safetensors", artifact(model))


if __name__ == "__main__":
    main()
