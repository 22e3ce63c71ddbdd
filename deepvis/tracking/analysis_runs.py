"""Runs of analyses in MLflow: their parameters, metrics and files; pictures are in the UI's grid, too."""

import io
import re
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from deepvis.tracking import runs
from deepvis.tracking.base import AnalysisRun
from deepvis.tracking.ui_images import CHARACTERS, GRID, Files


def log(client: Any, experiment_id: str, run: AnalysisRun, is_local: bool) -> None:
    """Make a run that holds an analysis, and end it: as FAILED or KILLED where it is not whole."""
    from mlflow.entities import Metric

    tags = {"kind": run.kind, "analysis": run.id, "mlflow.loggedImages": "True"}
    target = runs.create(client, experiment_id, run.name, tags)
    metrics = [
        Metric(name, value, target.start, 0) for name, value in run.metrics.items() if np.isfinite(value)
    ]
    try:
        client.log_batch(target.id, metrics=metrics, params=runs.params_of(run.params, {}))
        runs.add_files(client, target, _files(run, target.start), is_local)
    except BaseException as err:  # a full disk, a server that is away, Ctrl-C
        with suppress(Exception):  # what ended it says more
            client.set_terminated(target.id, "FAILED" if isinstance(err, Exception) else "KILLED")
        raise
    client.set_terminated(target.id, "FINISHED")


def _files(run: AnalysisRun, time: int) -> Files:
    """Every file by its path, and each picture at the top once more as `MlflowClient.log_image` names it."""
    for path in sorted(path for path in run.folder.rglob("*") if path.is_file()):
        yield path.relative_to(run.folder).as_posix(), path
    for path in sorted(run.folder.glob("*.png")):
        yield from _in_grid(run, path, time)


def _in_grid(run: AnalysisRun, path: Path, time: int) -> Iterator[tuple[str, Path | bytes]]:
    key = re.sub(r"[^\w .()-]", "_", path.stem)[:CHARACTERS]
    number = uuid.uuid5(uuid.NAMESPACE_OID, f"{run.id} {key}")
    name = f"images/{key}+step+0+timestamp+{time}+{number}"
    yield f"{name}.png", path
    copy = io.BytesIO()
    with Image.open(path) as image:
        ImageOps.contain(image, (GRID, GRID), Image.Resampling.BILINEAR).save(copy, "webp", method=0)
    yield f"{name}+compressed.webp", copy.getvalue()
