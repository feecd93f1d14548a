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
    for part, output in ((order, training), (order[:cut], held_out)):
        trainer.write(output.path, ids[part], readings[part], conditions[part])
        output.metadata["rows"] = len(part)


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def train(gamma: float, l2: float, training: dsl.Input[dsl.Dataset], model: dsl.Output[dsl.Model]):
    """Fit a model to the training part."""
    import trainer

    _, readings, conditions = trainer.read(training.path)
    trainer.save(trainer.fit(readings, conditions, gamma=gamma, l2=l2), model.path)
    model.metadata["gamma"] = gamma
    model.metadata["l2"] = l2


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def evaluate(model: dsl.Input[dsl.Model], held_out: dsl.Input[dsl.Dataset], metrics: dsl.Output[dsl.Metrics]):
    """Judge the model on machines that it has not seen."""
    import trainer

    _, readings, conditions = trainer.read(held_out.path)
    metrics.log_metric("accuracy", trainer.accuracy(trainer.load(model.path), readings, conditions))


@dsl.pipeline(name="readings")
def readings(table: str, gamma: float = 2.0, l2: float = 1e-4):
    """From a table to a judged model."""
    parts = split(table=table)
    fitted = train(gamma=gamma, l2=l2, training=parts.outputs["training"])
    evaluate(model=fitted.outputs["model"], held_out=parts.outputs["held_out"])
