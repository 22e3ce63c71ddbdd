"""Tables: a sweep -> one tidy pandas DataFrame, a row a job and filter. It is `deepvis.results`."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from deepvis.results import manifest, result_folder
from deepvis.tracking import mlflow

if TYPE_CHECKING:
    import pandas as pd


def results(
    sweep: str = "latest", folder: str | Path = "outputs", uri: str | None = None, experiment: str = "deepvis"
) -> "pd.DataFrame":
    """The final values of a sweep's jobs, filter by filter.

    Args:
      sweep: ``latest``, or its id.
      folder: where sweeps are, or a sweep's folder. Nothing else is read.
      uri: of an MLflow store or server, which is then read instead of the folder.
      experiment: name of the MLflow experiment, with a uri.

    Returns:
      A row a job and filter: ``job``, ``filter``, ``end`` (one of `deepvis.metrics.convergence.ENDS`),
      ``score``, ``activation``, ``rank`` and ``margin`` of the last image, and its `deepvis.metrics`; with
      twins the noise floor of each of these (``score_floor`` ...); and the job's main parameters, with what
      was swept among them, as typed values.

    Raises:
      ConfigError: there is no such sweep.

    Example:
      >>> deepvis.results("latest").groupby("reg.decay").score.median()  # doctest: +SKIP
    """
    import pandas as pd

    def table(folders: Iterable[Path]) -> "pd.DataFrame":
        return pd.DataFrame(result_folder.table([result_folder.read(each) for each in folders]))

    if not uri:
        return table(result_folder.finished(manifest.locate(sweep, Path(folder), "sweep")))
    with mlflow.fetched(uri, experiment, sweep) as folders:
        return table(folders)
