"""What the checks of project 2 have in common: how long, how often, which model and which stage."""

import numpy as np

from labkit.platform import weights

STEPS, EVERY = 36, 9
WARNED_AT, KILLED_AT = 13, 26
MODEL = "digits"
STAGE = "production"
TOLERANCE = 1e-4
POLL = 0.3
ROUNDS, EMULATED_ROUNDS, EACH = 20, 10, 4
CASES = 200
PLAN_SECONDS = 30.0
MARGIN = 0.05
EDGE = "edge-model"
IMAGES = np.random.default_rng(5).uniform(0, 1, (20, 784)).round(3).astype(np.float32)
ARTIFACTS = {version: weights(400 + version) for version in (1, 2, 6)}
