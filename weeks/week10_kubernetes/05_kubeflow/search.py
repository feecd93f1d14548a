"""A search for hyperparameters, as Katib would run it: each trial trains a model and reports its accuracy."""

import optuna
import trainer  # noqa: F401 (you need it)


def objective(trial, table):
    """The accuracy that a trial's parameters reach on rows that were not trained on.

    Let the trial suggest gamma from 0.001 to 10 and l2 from 0.000001 to 1, both on a logarithmic scale.
    Train on a part of the table's rows, and return the accuracy on the others.
    """
    raise NotImplementedError


def search(table, trials, seed):
    """Search with that many trials; gives the study."""
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    study.optimize(lambda trial: objective(trial, table), n_trials=trials)
    return study
