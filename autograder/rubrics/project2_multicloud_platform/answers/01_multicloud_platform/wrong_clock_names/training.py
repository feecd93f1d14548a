"""Trains the model on a machine that may be taken away; see the variables below."""

import hashlib
import os
import re
import signal
import time

from model import artifact, batch, new_model, pack, train_step, unpack
from store import Bucket

RUN = os.environ.get("RUN", "try")
STEPS = int(os.environ.get("STEPS", "40"))
CHECKPOINT_EVERY = int(os.environ.get("CHECKPOINT_EVERY", "10"))


class Checkpoints:
    """The states of a run, each one object whose key says its step and its hash.

    A key that holds the hash needs no second object that could be lost or changed alone. The time says which
    is the newest.
    """

    def __init__(self, bucket, run):
        self.bucket = bucket
        self.prefix = f"runs/{run}/checkpoints/"

    def save(self, model, optimizer, step):
        content = pack(model, optimizer, step)
        digest = hashlib.sha256(content).hexdigest()
        self.bucket.write(f"{self.prefix}{int(time.time() * 1000):015d}-{digest}.safetensors", content)

    def restore(self, model, optimizer):
        """Go back to the newest state that is what was saved; gives its step, 0 if there is none."""
        for key in reversed(self.bucket.keys(self.prefix)):
            named = re.fullmatch(r"(\d{15})-([0-9a-f]{64})\.safetensors", key.removeprefix(self.prefix))
            if named is None:
                continue
            content, _ = self.bucket.read(key)
            if hashlib.sha256(content).hexdigest() == named[2]:
                return unpack(content, model, optimizer)
            print(f"{key} is damaged; the one before is taken", flush=True)
        return 0


def main():
    noticed = []
    signal.signal(signal.SIGTERM, lambda *_: noticed.append(True))
    bucket = Bucket()
    model, optimizer = new_model()
    checkpoints = Checkpoints(bucket, RUN)
    step = checkpoints.restore(model, optimizer)
    while step < STEPS:
        images, labels = batch(bucket, step)
        train_step(model, optimizer, images, labels)
        step += 1
        if noticed or (step % CHECKPOINT_EVERY == 0 and step < STEPS):
            checkpoints.save(model, optimizer, step)
        if noticed:
            print(f"noticed: stopped after step {step}", flush=True)
            return
    bucket.write(f"runs/{RUN}/model.safetensors", artifact(model))


if __name__ == "__main__":
    main()
