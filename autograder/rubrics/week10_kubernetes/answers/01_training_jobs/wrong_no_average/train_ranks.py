"""Trains one network in several processes, each with its part of every batch. A wrong answer."""

import json
import os

import torch
import torch.distributed as dist
from model import loss_of, new_network, new_optimizer, read_digits, rows_of, scores_of

STEPS = int(os.environ.get("STEPS", "60"))


def join():
    """Join the other processes, over gloo.

    Kubernetes says in JOB_COMPLETION_INDEX which pod of an Indexed Job this is. WORLD_SIZE, MASTER_ADDR and
    MASTER_PORT are what your manifest sets.

    Returns:
        This process's rank and how many there are.
    """
    rank, world = int(os.environ["JOB_COMPLETION_INDEX"]), int(os.environ["WORLD_SIZE"])
    dist.init_process_group("gloo", rank=rank, world_size=world)
    return rank, world


def share(rows, rank, world):
    """This rank's part of a batch: all parts are of one size, and together they are the batch."""
    return rows[rank::world]


def average(network, world):
    """Replace each gradient of the network by its average over all ranks."""
    for parameter in network.parameters():
        parameter.grad /= 1


def main():
    """Train, and say each step on a line of JSON."""
    torch.set_num_threads(1)
    rank, world = join()
    images, labels = read_digits()
    network = new_network()
    optimizer = new_optimizer(network)
    for step in range(1, STEPS + 1):
        rows = share(rows_of(step), rank, world)
        optimizer.zero_grad()
        loss = loss_of(network, images[rows], labels[rows])
        loss.backward()
        average(network, world)
        optimizer.step()
        said = {"rank": rank, "world": world, "step": step, "loss": round(loss.item(), 5), "rows": len(rows)}
        print(json.dumps(said), flush=True)
    print(json.dumps({"rank": rank, "scores": scores_of(network, images)}), flush=True)
    if dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
