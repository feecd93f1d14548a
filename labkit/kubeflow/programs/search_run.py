"""Runs a learner's search and prints its study as a line of JSON.

Runs in the environment kubeflow, in the folder of search.py: `search_run.py MARK SETTINGS`.
"""

import json
import os
import sys


def main():
    mark, settings = sys.argv[1], json.loads(sys.argv[2])
    sys.path.insert(0, os.getcwd())
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    import search

    study = search.search(settings["table"], settings["trials"], settings["seed"])
    ended = [trial for trial in study.trials if trial.value is not None]
    found = {
        "direction": study.direction.name.lower(),
        "best": study.best_trial.number,
        "trials": [{"number": t.number, "parameters": t.params, "value": t.value} for t in ended],
        "space": {name: vars_of(one) for name, one in ended[0].distributions.items()} if ended else {},
    }
    print(mark + json.dumps(found), flush=True)


def vars_of(distribution):
    """Where a parameter is searched."""
    known = {name: getattr(distribution, name, None) for name in ("low", "high", "log", "choices")}
    return {name: value for name, value in known.items() if value is not None}


if __name__ == "__main__":
    main()
