"""Finished sweeps from Python: their tables, tests and reports. TensorFlow is not imported.

deepvis.results("latest").groupby("reg.decay").score.median()
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def results(
    sweep: str = "latest", folder: str | Path = "outputs", uri: str | None = None, experiment: str = "deepvis"
) -> "pd.DataFrame":
    """The final values of a sweep's jobs as one tidy table, filter by filter.

    Args:
      sweep: ``latest``, or its id.
      folder: where sweeps are, or a sweep's folder. Nothing else is read.
      uri: of an MLflow store or server, which is then read instead of the folder.
      experiment: name of the MLflow experiment, with a uri.

    Returns:
      A row a job and filter, in the order of the report: ``job``, ``filter``, ``end`` (one of
      `deepvis.metrics.convergence.ENDS`), ``score``, ``activation``, ``rank`` and ``margin`` of the last
      image, and its `deepvis.metrics`; with twins the noise floor of each of these (``score_floor`` ...);
      and the job's main parameters, with what was swept among them, as typed values.

    Raises:
      ConfigError: there is no such sweep.

    Example:
      >>> deepvis.results("latest").groupby("reg.decay").score.median()  # doctest: +SKIP
    """
    import pandas as pd

    from deepvis.report import placement
    from deepvis.results import finished_jobs, known_sweeps, manifest, result_folder
    from deepvis.tracking import mlflow

    if not uri:
        found = known_sweeps.locate(sweep, Path(folder), "sweep")
        results = finished_jobs.read(found, manifest.read(found), {})
        return pd.DataFrame(result_folder.table(list(placement.in_order(results).values())))
    with mlflow.fetched(uri, experiment, sweep) as folders:
        results = placement.in_order({each: result_folder.read(each) for each in folders})
        return pd.DataFrame(result_folder.table(list(results.values())))


def compare(*sweeps: str, folder: str | Path = "outputs") -> "pd.DataFrame":
    """All that is tested between the settings of some sweeps: what the report's tables have.

    Args:
      sweeps: ids, or ``latest``.
      folder: where sweeps are.

    Returns:
      A row a test: kind, measure, comparison, unit, n, estimate, low, high, up, down, changed, p,
      p_adjusted, p_page, floor.

    Raises:
      ConfigError: no such sweep, or no job of it is finished.
    """
    import pandas as pd

    from deepvis.report import comparison, effects

    compared = comparison.of_sweeps(_folders(sweeps, folder), {})
    return pd.DataFrame([test.row() for test in effects.tested(compared)])


def report(*sweeps: str, folder: str | Path = "outputs") -> Path:
    """Make the report of a sweep, or of several compared, as ``deepvis report`` does.

    Args:
      sweeps: ids, or ``latest``.
      folder: where sweeps are.

    Returns:
      ``report.html``; ``report.md`` and ``results.csv`` are beside it.
    """
    from deepvis.report import page

    folders = _folders(sweeps, folder)
    return page.make(folders, page.target(folders))[0]


def _folders(sweeps: Sequence[str], folder: str | Path) -> list[Path]:
    from deepvis.results import known_sweeps

    return [known_sweeps.locate(sweep, Path(folder), "sweep") for sweep in sweeps or ("latest",)]
