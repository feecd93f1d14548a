"""A search for hyperparameters, as Katib would run it: each trial trains a model and reports its accuracy."""

import numpy as np
import optuna
import trainer


def objective(trial, table):
    """The accuracy that a trial's parameters reach on rows that were not trained on."""
    gamma = trial.suggest_float("gamma", 1e-3, 10.0, log=True)
    l2 = trial.suggest_float("l2", 1e-6, 1.0, log=True)
    _, readings, conditions = trainer.read(table)
    order = np.random.default_rng(0).permutation(len(readings))
    training, validation = order[len(order) // 3 :], order[: len(order) // 3]
    model = trainer.fit(readings[training], conditions[training], gamma=gamma, l2=l2)
    return trainer.accuracy(model, readings[validation], conditions[validation])


def search(table, trials, seed):
    """Search with that many trials; gives the study."""
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    study.optimize(lambda trial: objective(trial, table), n_trials=trials)
    return study
