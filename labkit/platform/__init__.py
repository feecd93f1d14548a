"""What project 2 is tried with: machines that are taken away, racing promoters, a device cut off, prices.

It looks at a platform from outside, through the bucket that everything is kept in; what it finds is judged
elsewhere.
"""

from labkit.platform.contents import Contents
from labkit.platform.data import training_data, weights
from labkit.platform.device import Device
from labkit.platform.promoters import Promoter, Race, race
from labkit.platform.training import Leg, TrainingRun

__all__ = [
    "Contents",
    "Device",
    "Leg",
    "Promoter",
    "Race",
    "TrainingRun",
    "race",
    "training_data",
    "weights",
]
