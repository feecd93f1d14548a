"""The pipeline `readings`: split a table, train on one part, judge on the other."""

from kfp import dsl

IMAGE = "readings-trainer:1"  # holds trainer.py and NumPy


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def split(table: str, training: dsl.Output[dsl.Dataset], held_out: dsl.Output[dsl.Dataset]):
    """Set a quarter of the machines aside."""
    import numpy as np
    import trainer

    ids, readings, conditions = trainer.read(table)
    order = np.random.default_rng(0).permutation(len(ids))
    cut = len(ids) // 4
    for part, output in ((order[cut:], training), (order[:cut], held_out)):
        trainer.write(output.path, ids[part], readings[part], conditions[part])
        output.metadata["rows"] = len(part)


# Write the two other steps here:
#
# train     reads the Dataset `training` and the numbers gamma and l2, fits a model (trainer.fit) and saves it
#           (trainer.save) as the Model `model`
# evaluate  reads the Model and the Dataset of machines that were set aside, and logs the accuracy in Metrics


@dsl.pipeline(name="readings")
def readings(table: str, gamma: float = 2.0, l2: float = 1e-4):
    """From a table to a judged model."""
    split(table=table)
