"""Trains the network step by step, says each on a line of JSON. Ends well when it is asked to end."""

import json
import os
import signal
import time
from pathlib import Path

import torch
from model import loss_of, new_network, new_optimizer, read_digits, rows_of, scores_of

STEPS = int(os.environ.get("STEPS", "60"))
EVERY = 5
"""A checkpoint is written after each fifth step."""
PAUSE = float(os.environ.get("PAUSE", "0"))
"""Seconds to wait after a step, so that there is something to watch."""
FOLDER = Path(os.environ.get("CHECKPOINTS", "checkpoints"))


def save(step, network, optimizer):
    """Write all that is needed to go on after this step into FOLDER.

    The process may be killed at any moment, in the middle of writing too: what the last save wrote must then
    still be there, whole.
    """
    draft = FOLDER / "checkpoint.draft"
    kept = {"step": step, "network": network.state_dict(), "optimizer": optimizer.state_dict()}
    torch.save(kept, draft)
    draft.replace(FOLDER / "checkpoint.pt")


def load(network, optimizer):
    """Put network and optimizer back to where the newest checkpoint in FOLDER left them.

    Returns:
        The last step that it holds; 0 if there is none.
    """
    checkpoint = FOLDER / "checkpoint.pt"
    if not checkpoint.is_file():
        return 0
    kept = torch.load(checkpoint, weights_only=True)
    network.load_state_dict(kept["network"])
    optimizer.load_state_dict(kept["optimizer"])
    return kept["step"]


stopping = False


def stop(number, frame):
    """Called when the pod is asked to end (SIGTERM): some seconds are left until it is killed."""
    global stopping
    stopping = True


def main():
    """Train from where the last run was to STEPS."""
    signal.signal(signal.SIGTERM, stop)
    torch.set_num_threads(1)
    FOLDER.mkdir(parents=True, exist_ok=True)
    images, labels = read_digits()
    network = new_network()
    optimizer = new_optimizer(network)
    for step in range(load(network, optimizer) + 1, STEPS + 1):
        rows = rows_of(step)
        optimizer.zero_grad()
        loss = loss_of(network, images[rows], labels[rows])
        loss.backward()
        optimizer.step()
        print(json.dumps({"step": step, "loss": round(loss.item(), 5)}), flush=True)
        if step % EVERY == 0 or stopping:
            save(step, network, optimizer)
        if stopping:
            return
        time.sleep(PAUSE)
    print(json.dumps({"done": STEPS, "scores": scores_of(network, images)}), flush=True)


if __name__ == "__main__":
    main()
