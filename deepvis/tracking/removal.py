"""Removal of a sweep from an MLflow store: its runs are marked as deleted, and its saved view goes."""

from contextlib import suppress
from pathlib import Path

from deepvis.core.errors import TrackingError, first_line
from deepvis.tracking import moved_store, saved_view, store


def remove(uri: str, artifacts: str, experiment: str, sweep: str) -> list[str]:
    """Delete the runs of a sweep's jobs and its own; returns their ids.

    MLflow keeps a deleted run and its artifacts: it can be restored, until ``mlflow gc`` removes it.

    Raises:
      TrackingError: the store cannot be opened, or a run cannot be deleted.
    """
    client, experiment_id = store.connect(uri, None, experiment)
    if file := store.file(uri):  # in a copied project, `mlflow gc` would remove the original's files
        moved_store.adopt(file, Path(artifacts).resolve(), experiment)
    found: list[str] = []
    try:
        token = None
        while True:
            page = client.search_runs([experiment_id], f"tags.sweep = '{sweep}'", page_token=token)
            found += [run.info.run_id for run in page]
            if not (token := page.token):
                break
        for run in found:
            client.delete_run(run)
        with suppress(Exception):  # a sweep that was never summed up has no view
            client.delete_experiment_tag(experiment_id, f"{saved_view.PREFIX}{sweep}")
    except Exception as err:
        raise TrackingError(
            f"tracker.uri={uri}: the runs of {sweep} cannot be deleted ({first_line(err)})"
        ) from err
    return found
