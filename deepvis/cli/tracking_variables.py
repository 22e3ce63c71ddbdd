"""MLflow's own variables: where they name a store or an experiment that the command line does not."""

import os
from collections.abc import Sequence

from deepvis.core import credentials, terminal

VARIABLES = {"tracker.uri": "MLFLOW_TRACKING_URI", "tracker.experiment": "MLFLOW_EXPERIMENT_NAME"}


def added(typed: Sequence[str]) -> list[str]:
    """Typed overrides, and those that MLflow's variables stand for; each of these is said on the terminal.

    They become part of the sweep, so that it is resumed in the same store whatever the variables are then.
    """
    keys = {each.lstrip("+").partition("=")[0] for each in typed}
    tracker = [each.partition("=")[2].strip("'\"") for each in typed if each.startswith("tracker=")]
    more = []
    for key, variable in VARIABLES.items() if "resume" not in keys and tracker in ([], ["mlflow"]) else ():
        value = credentials.taken(os.environ.get(variable, ""))
        if value and key not in keys:
            terminal.say(f"tracker   {key}={value} (from {variable})")
            more.append(f'{key}="' + value.replace('"', '\\"') + '"')
    return [*typed, *more]
