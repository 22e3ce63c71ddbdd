"""The table of a sweep's filters for MLflow's UI: a row a job and filter, the best score first.

It is in the form of `MlflowClient.log_table` (MLflow 3.17), which appends to what is there and asks the store
about it; these files follow from the results, so they may be written again. The UI sorts a column by its
texts: letter by letter where there are few rows, number by number where there are many. So all numbers of a
column have as many digits before the point, and behind it. Where that does not help, because some are
negative, the head of the column says so, and the column ``place`` has the order.
"""

import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from deepvis.config import params
from deepvis.core import images
from deepvis.metrics import convergence
from deepvis.results import manifest, result_folder, trust
from deepvis.results.result_folder import Result

FILE = "filters.json"
TAG = ("mlflow.loggedArtifacts", json.dumps([{"path": FILE, "type": "table"}]))  # of the run that has it
FOLDER = "filters"
SMALL = 144  # px; the UI shows a picture of a table no larger
PICTURES = 500  # rows that have one, those of the highest scores: a second's work
DIGITS = 4  # of the highest score
MISSING = "–"

Row = tuple[
    str, Path, Result, int
]  # name of the job's folder, result folder, result, number among its filters


def files(results: Mapping[Path, Result]) -> Iterator[tuple[str, bytes]]:
    """The files of the table, by name in the run; results are by result folder, at least one."""
    rows: list[Row] = [
        (manifest.folder_name(folder.parent), folder, result, i)
        for folder, result in results.items()
        for i in range(len(result.filters))
    ]
    scores = [float(result.history["score"][-1][i]) for _, _, result, i in rows]
    order = sorted(range(len(rows)), key=lambda k: -scores[k] if math.isfinite(scores[k]) else math.inf)
    rows, scores = [rows[k] for k in order], [scores[k] for k in order]
    pictures = []
    for number, row in enumerate(rows):
        job, folder, result, i = row
        path = folder / "filters" / f"{result_folder.label(result.filters[i])}.png"
        name = f"{FOLDER}/{job}/{path.stem}.webp"
        if number < PICTURES and path.is_file():
            yield name, _small(path)
        else:
            name = f"{FOLDER}/none.webp"
        pictures.append({"type": "image", "filepath": name, "compressed_filepath": name})
    if any(each["filepath"] == f"{FOLDER}/none.webp" for each in pictures):
        yield f"{FOLDER}/none.webp", _encoded(Image.new("RGB", (SMALL, SMALL), "lightgrey"))
    columns: dict[str, list[Any]] = {"picture": pictures, "place": sortable(range(1, 1 + len(rows)))}
    columns |= _columns(rows, scores)
    headed = {
        f"{name} (sort by place)" if _is_out_of_order(values) else name: values
        for name, values in columns.items()
    }
    table = {"columns": list(headed), "data": list(zip(*headed.values(), strict=True))}
    yield FILE, json.dumps(table, ensure_ascii=False).encode()


def _columns(rows: Sequence[Row], scores: Sequence[float]) -> dict[str, list[str]]:
    captions = [result_folder.captions(result)[i] for _, _, result, i in rows]
    ranks = [float(result.history["rank"][-1][i]) for _, _, result, i in rows]
    largest = max((abs(score) for score in scores if math.isfinite(score)), default=0.0)
    decimals = max(0, DIGITS - 1 - math.floor(math.log10(largest))) if largest else 0
    columns = {
        "score": sortable(scores, decimals),
        "filter": captions,
        "rank": sortable(ranks, 0),
        "status": [convergence.ENDS[result.ends[i]] for _, _, result, i in rows],
    }
    if any(trust.is_there(result) for _, _, result, _ in rows):
        columns["trust"] = [trust.verdicts(result)[i].words if trust.is_there(result) else MISSING
                            for _, _, result, i in rows]  # fmt: skip
    results = list({folder: result for _, folder, result, _ in rows}.values())
    for key in params.varied([result.params for result in results]):
        # The UI takes a point in a column's name for a path into an object, and shows nothing.
        columns[key.replace(".", "/")] = sortable(
            [params.written(row[2].params.get(key, MISSING)) for row in rows]
        )
    return columns | {"job": [result.name for _, _, result, _ in rows]}


def sortable(values: Sequence[Any], decimals: int | None = None) -> list[str]:
    """Values as texts that the UI sorts in their order: numbers all with as many digits."""
    numbers = [value for value in values if isinstance(value, int | float) and math.isfinite(value)]
    if any(isinstance(value, str) and value != MISSING for value in values) or not numbers:
        return [MISSING if isinstance(value, float) else str(value) for value in values]
    if decimals is None:
        decimals = max(
            len(np.format_float_positional(value, trim="-").partition(".")[2]) for value in numbers
        )
    width = max(len(f"{abs(value):.{decimals}f}") for value in numbers)
    return [
        f"{'-' if value < 0 else ''}{abs(value):0{width}.{decimals}f}"
        if isinstance(value, int | float) and math.isfinite(value)
        else MISSING
        for value in values
    ]


def _is_out_of_order(texts: Sequence[Any]) -> bool:
    """Whether the UI would sort these wrongly: it compares the numbers behind a minus as if they had none."""
    return any(isinstance(text, str) and text[:1] == "-" and text[1:2].isdigit() for text in texts)


def _small(path: Path) -> bytes:
    copy = images.opened(path)
    copy.thumbnail((SMALL, SMALL), Image.Resampling.BILINEAR)
    return _encoded(copy)


def _encoded(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "webp", method=0)
    return file.getvalue()
