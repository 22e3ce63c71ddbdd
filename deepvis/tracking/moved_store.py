"""A store that was copied or moved with its project folder.

MLflow keeps where the files of an experiment and of each run are as an absolute address, from the first run
on, and has no call that changes it: a copied project would write into the original, and a moved one would
show no pictures. So these addresses are corrected in the database, where the files are: new runs write where
``tracker.artifacts`` says, so do those that are not finished and may go on, and runs whose files are there
are read there. Nothing else is touched, and nothing where the database and the files are not in one folder:
then they need not have moved together.
"""

from pathlib import Path

from deepvis.core import terminal
from deepvis.tracking import database

RUN_FILES = "artifacts"  # in a run's folder, as MLflow names it


def adopt(file: Path, artifacts: Path, experiment: str) -> None:
    """Make an experiment, and the runs of it whose files are in `artifacts`, point there.

    Args:
      file: the database; nothing happens where there is none yet.
      artifacts: the folder for the files of runs, absolute.
      experiment: name of the experiment.
    """
    is_beside = artifacts.is_relative_to(file.resolve().parent)
    if not is_beside or not file.exists() or file.stat().st_size == 0:
        return
    here = artifacts.as_uri()
    with database.opened(file, timeout=20) as opened:
        known = opened.execute(
            "SELECT experiment_id, artifact_location FROM experiments WHERE name = ?", (experiment,)
        ).fetchone()
        if known is None or known[1] == here:
            return
        number, was = known
        runs = opened.execute(
            "SELECT run_uuid, artifact_uri, status FROM runs WHERE experiment_id = ?", (number,)
        ).fetchall()
        moved = [
            (f"{here}/{run}/{RUN_FILES}", run)
            for run, uri, status in runs
            if uri == f"{was}/{run}/{RUN_FILES}"
            and (status != "FINISHED" or (artifacts / run / RUN_FILES).is_dir())
        ]
        with opened:  # one transaction
            opened.execute(
                "UPDATE experiments SET artifact_location = ? WHERE experiment_id = ?", (here, number)
            )
            opened.executemany("UPDATE runs SET artifact_uri = ? WHERE run_uuid = ?", moved)
    terminal.say(
        f"moved     files of runs are in {artifacts} and no longer in {was}: new runs write here, "
        f"{len(moved)} of {len(runs)} earlier runs are read here"
    )
