"""Frames: a sweep -> one tidy pandas DataFrame, a row a job and filter. It is `deepvis.results`."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from deepvis.core.errors import ConfigError
from deepvis.results import manifest, result_folder
from deepvis.tracking import mlflow

if TYPE_CHECKING:
    import pandas as pd


def results(
    sweep: str = "latest", folder: str | Path = "outputs", uri: str | None = None, experiment: str = "deepvis"
) -> "pd.DataFrame":
    """What the jobs of a sweep came to, filter by filter.

    Args:
      sweep: ``latest``, or its id.
      folder: where sweeps are, or a sweep's own. Nothing else is read.
      uri: of an MLflow store or server, which is then read in the place of the folder.
      experiment: name of the MLflow experiment, with a uri.

    Returns:
      A row a job and filter: ``job``, ``filter``, ``end`` (one of `deepvis.metrics.convergence.ENDS`), ``score``,
      ``activation``, ``rank`` and ``margin`` of the last image, and its `deepvis.metrics`; with twins how
      far they end from each of these (``score_floor`` ...); and the job's parameters, what was swept among
      them, as numbers where they are some.

    Raises:
      ConfigError: there is no such sweep.

    Example:
      >>> deepvis.results("latest").groupby("reg.decay").score.median()  # doctest: +SKIP
    """
    import pandas as pd

    with _stored(uri, experiment, sweep) if uri else _kept(Path(folder), sweep) as places:
        rows = [row for place in places for row in result_folder.rows(result_folder.read(place))]
    return pd.DataFrame([result_folder.numbers(row) for row in rows])


@contextmanager
def _kept(folder: Path, sweep: str) -> Iterator[list[Path]]:
    """The result folders of a sweep in a folder of sweeps."""
    yield result_folder.finished(manifest.locate(sweep, folder, "sweep"))


@contextmanager
def _stored(uri: str, experiment: str, sweep: str) -> Iterator[list[Path]]:
    """Copies of the result folders of a sweep in an MLflow store."""
    store = mlflow.mlflow(uri, None, experiment)
    wanted = store.newest() if sweep == "latest" else sweep
    with tempfile.TemporaryDirectory() as place:
        found = store.fetch(wanted, Path(place)) if wanted else []
        if not found:
            raise ConfigError(f"sweep={sweep}: {uri} has no finished job of such a sweep")
        yield found
