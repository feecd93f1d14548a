"""A network small enough for a microcontroller, and what it learns from labels alone.

Lab week11/model_optimization distils the digit classifier into it, and measures it against this.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn.functional import cross_entropy

STEPS = 500
Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class Student(nn.Module):
    """Scores of the ten digits from one hidden layer of 16 numbers: 12,730 weights.

    Input: `(images, 784)`, grey levels from 0 to 255, of any number type.
    Output: `(images, 10)`, one score a digit.
    """

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(784, 16)
        self.scores = nn.Linear(16, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Score the images."""
        scores: torch.Tensor = self.scores(self.hidden(images.float().div(255)).relu())
        return scores


def train(images: torch.Tensor, loss: Loss, *, seed: int, steps: int = STEPS) -> Student:
    """Train a student from nothing.

    Args:
        images: `(images, 784)` grey levels.
        loss: Of the student's scores `(batch, 10)` and the rows `(batch,)` of the images that they are for.
        seed: Of its first weights and of the batches.
        steps: How many batches of 64 it sees.
    """
    torch.manual_seed(seed)
    student = Student()
    optimizer = torch.optim.Adam(student.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-2, total_steps=steps)
    for _ in range(steps):
        rows = torch.randint(len(images), (64,))
        optimizer.zero_grad()
        loss(student(images[rows]), rows).backward()
        optimizer.step()
        schedule.step()
    return student.eval()


def train_alone(images: torch.Tensor, labels: torch.Tensor, *, seed: int) -> Student:
    """A student that has nothing but labelled images, `(images, 784)` and `(images,)`."""
    return train(images, lambda scores, rows: cross_entropy(scores, labels[rows]), seed=seed)
