"""The model that the labs serve: a small convolutional network that reads handwritten digits.

This file is handed out beside the weights (as `model.py`), so it stands on PyTorch alone.
"""

import torch
from torch import nn


class DigitClassifier(nn.Module):
    """Scores of the ten digits for images of 28x28 grey levels.

    Input: `(images, 784)`, grey levels from 0 to 255, of any number type.
    Output: `(images, 10)`, one score a digit; the highest is the answer.
    """

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 32, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(32, 64, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(64 * 7 * 7, 128), nn.ReLU(), nn.Dropout(0.25), nn.Linear(128, 10)
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Score the images."""
        scaled = images.float().div(255).reshape(-1, 1, 28, 28)
        scores: torch.Tensor = self.head(self.features(scaled))
        return scores
