"""Trains the model on a machine that may be taken away: `python training.py`.

Variables: RUN (the name of this training), STEPS (how many there are), CHECKPOINT_EVERY (steps), STORE_URL
and STORE_BUCKET (see store.py), CLOUD and REGION. The machine that goes on may stand in another cloud, begins
with an empty disk, and its clock may be wrong by hours.

    data/0000.safetensors ...       what each step trains on: model.batch reads it, once for each step
    runs/RUN/checkpoints/...        yours: any keys you like
    runs/RUN/model.safetensors      the result, model.artifact(model), written when all steps are done

SIGTERM is the notice: some seconds later the machine is gone. Or it is gone without one.
"""

import os

from model import batch, new_model, train_step
from store import Bucket

RUN = os.environ.get("RUN", "try")
STEPS = int(os.environ.get("STEPS", "40"))
CHECKPOINT_EVERY = int(os.environ.get("CHECKPOINT_EVERY", "10"))


def main():
    bucket = Bucket()
    model, optimizer = new_model()
    for step in range(STEPS):
        images, labels = batch(bucket, step)
        train_step(model, optimizer, images, labels)
    # To do: write the result. Then: checkpoints, going on from one, checksums, and what to do at SIGTERM.
    raise NotImplementedError("training.py does not keep what it has trained")


if __name__ == "__main__":
    main()
