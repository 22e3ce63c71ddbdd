"""Searches: how one that Optuna draws is resumed.

The jobs of a search are drawn one batch after the other, each from the values of those before. With a seed
the same values lead to the same draws. So a resumed search is drawn from its start again: a trial whose
result is there gives its value at once, the others are computed. Only the manifest and the result folders
have to be kept. A study that Optuna 2.10 stores in SQLite would lack the state of the sampler's random
numbers, and its storage fails under the SQLAlchemy that MLflow needs.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deepvis.core.errors import ConfigError
from deepvis.results import manifest
from deepvis.sweeps.jobs import Job


def seed(sweep: str) -> int:
    """The seed of a sampler that was given none: another in each sweep, the same when it is resumed."""
    return int.from_bytes(hashlib.sha256(sweep.encode()).digest()[:4])


def check_settings(sweeper: Mapping[str, Any]) -> None:
    """Refuse what a search of deepvis cannot have.

    Raises:
      ConfigError: a storage of Optuna's.
    """
    if sweeper.get("storage") is not None:
        raise ConfigError(
            f"hydra.sweeper.storage={sweeper['storage']}: expected none; a search is kept in its folder, "
            "and resume=latest goes on with it"
        )


def check_resumable(sweeper: Mapping[str, Any], old: Mapping[str, Any]) -> None:
    """Refuse to resume a search that could not be drawn again.

    Args:
      sweeper: the config of Hydra's sweeper.
      old: the manifest of the search.

    Raises:
      ConfigError: a sampler without a seed, or fewer trials than there are.
    """
    what = f"resume={old['id']}"
    sampler = sweeper.get("sampler") or {"seed": None}
    if "seed" not in sampler:
        raise ConfigError(
            f"{what}: got a sampler without a seed ({sampler['_target_']}), expected one that draws the same "
            "again; start a new search"
        )
    if sweeper.get("n_trials", len(old["jobs"])) < len(old["jobs"]):
        raise ConfigError(
            f"{what}: got hydra.sweeper.n_trials={sweeper['n_trials']}, expected {len(old['jobs'])} or more: "
            "so many trials have been drawn"
        )


def check_drawn(folder: Path, drawn: Sequence[Job], first: int) -> None:
    """Refuse jobs that are not those that the sweep in this folder had at their numbers before.

    Args:
      folder: of the sweep.
      drawn: jobs, in order.
      first: number of the first.

    Raises:
      ConfigError: names the first that differs.
    """
    entry = manifest.read(folder)
    for number, job in enumerate(drawn, start=first):
        old = entry["jobs"][number] if number < len(entry["jobs"]) else None
        if old is not None and old["key"] != job.key:
            raise ConfigError(
                f"resume={entry['id']}: trial {number} is now drawn as {job.name}, expected {old['name']} as "
                "before; the search, its sampler, seed and n_jobs must be those that it was started with: "
                f"{manifest.typed(entry)}"
            )
