"""Outcomes: a finished job, and the folder that holds it, written whole or not at all.

<job folder>/result/
  gallery.png  best.png              the last images, the best by score, stitched
  filters/f012.png  best/f012.png    one picture a filter
  progress/step_00005/f012.png       the same, on the way
  history.npz                        what was seen of each step, [steps + 1, filters]: score, activation,
                                     gradient_rms, image_rms, rank, margin, alive
  metrics.npz                        what each last image is like, [filters]: the names of deepvis.metrics,
                                     and robustness with the share of the score kept under each view
  features.npz                       post: mean of each map of the layer behind its ReLU, [filters, channels]
  twins.npz                          both of each twin, [twins, steps + 1, filters] and [twins, filters]
  twins/1/f012.png                   the last images of the twins, if there are some
  config.yaml                        the composed config
  result.json                        name, key, filters, how each ended, params, tags, figures
"""

import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

from deepvis.core import images

ARRAYS = ("history", "metrics", "features", "twins")  # of a result, each in a file of its own
TEXTS = (*(f"{name}.npz" for name in ARRAYS), "config.yaml", "result.json")  # all but the pictures
LAST = ("score", "activation", "rank", "margin")  # of a history, whose last row is what a job came to
FAILED = "failed.txt"  # in a job's folder: why it failed, where no run of the tracker could be told


class Result(NamedTuple):
    """All that a job leaves."""

    name: str
    key: str
    layer: str
    filters: Sequence[int]
    ends: Sequence[str]  # one of convergence.ENDS a filter
    params: Mapping[str, Any]
    tags: Mapping[str, str]
    figures: Mapping[str, float]
    history: Mapping[str, np.ndarray]
    metrics: Mapping[str, np.ndarray]  # of the last images, [filters] each
    features: Mapping[str, np.ndarray]  # of the layer, by the last images, [filters, channels]
    twins: Mapping[str, np.ndarray]  # history and metrics of the twins, [twins, ...] each
    config: str  # YAML


class Pictures(NamedTuple):
    """What is seen of a job; every list holds one uint8 picture [H, W, 3] a filter."""

    final: Sequence[np.ndarray]
    best: Sequence[np.ndarray]
    progress: Mapping[int, Sequence[np.ndarray]]  # by steps done
    twins: Sequence[Sequence[np.ndarray]] = ()  # last ones, by twin


def label(index: int) -> str:
    """A filter's name in files and in MLflow: ``f012``."""
    return f"f{index:03d}"


def write(folder: Path, result: Result, pictures: Pictures) -> Path:
    """Write a job's results beside their final name, then rename them into place.

    Args:
      folder: of the job.
      result: figures and texts.
      pictures: images.

    Returns:
      ``folder/result``.

    Raises:
      OSError: the disk is full, or the folder cannot be written; nothing of the result remains.
    """
    target, partial = folder / "result", folder / f".result.{os.getpid()}"
    replaced = folder / f".replaced.{os.getpid()}"
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        images.save(partial / "gallery.png", images.gallery(pictures.final))
        images.save(partial / "best.png", images.gallery(pictures.best))
        sets = {"filters": pictures.final, "best": pictures.best}
        sets |= {f"progress/step_{step:05d}": seen for step, seen in pictures.progress.items()}
        sets |= {f"twins/{number}": seen for number, seen in enumerate(pictures.twins, start=1)}
        written: dict[bytes, Path] = {}  # the last look is the last image, and often the best
        for place, seen in sets.items():
            (partial / place).mkdir(parents=True)
            for index, picture in zip(result.filters, seen, strict=True):
                path = partial / place / f"{label(index)}.png"
                same = written.setdefault(picture.tobytes(), path)
                images.save(path, picture) if same is path else link(same, path)
        for name in ARRAYS:
            with (partial / f"{name}.npz").open("wb") as file:
                np.savez_compressed(file, **getattr(result, name))
        (partial / "config.yaml").write_text(result.config)
        rest = {k: v for k, v in result._asdict().items() if k not in (*ARRAYS, "config")}
        (partial / "result.json").write_text(json.dumps(rest, indent=1))
        if target.exists():  # the same folder asked for twice
            target.replace(replaced)
        try:
            partial.replace(target)
        except OSError:
            if replaced.exists():
                replaced.replace(target)
            raise
        shutil.rmtree(replaced, ignore_errors=True)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def link(path: Path, to: Path) -> None:
    """The same file under another name; a copy, where the file system has no hard links."""
    try:
        to.hardlink_to(path)
    except OSError:
        shutil.copyfile(path, to)


def clear(folder: Path) -> None:
    """Take away what a killed process left half written in a folder."""
    (folder / FAILED).unlink(missing_ok=True)
    for left in folder.glob(".*.*"):
        if left.name.rpartition(".")[2].isdecimal():  # the number of that process
            shutil.rmtree(left) if left.is_dir() else left.unlink()


def read(folder: Path) -> Result:
    """What `write` wrote, without its pictures.

    Args:
      folder: ``<job folder>/result``.
    """
    arrays = {}
    for name in ARRAYS:
        with np.load(folder / f"{name}.npz") as file:
            arrays[name] = {key: file[key] for key in file.files}
    rest = json.loads((folder / "result.json").read_text())
    return Result(**rest, **arrays, config=(folder / "config.yaml").read_text())


def last(result: Result) -> dict[str, np.ndarray]:
    """What each filter's last image came to, [filters] under each name."""
    return {name: result.history[name][-1] for name in LAST} | dict(result.metrics)


def floor(result: Result) -> dict[str, np.ndarray]:
    """The noise floor: how far the twins of each filter end from it, in the mean; nothing without twins.

    Returns:
      ``<name>_floor`` -> ``[filters]``, of what the last image came to.
    """
    twins = {name: values[:, -1] if name in LAST else values for name, values in result.twins.items()}
    return {
        f"{name}_floor": np.abs(twins[name] - values).mean(axis=0)
        for name, values in last(result).items()
        if name in twins and len(twins[name])
    }


def rows(result: Result) -> Iterator[dict[str, Any]]:
    """A result as a table, a row a filter: how it ended, its last image's metrics, its job's parameters."""
    columns = last(result) | floor(result)
    for i, (index, end) in enumerate(zip(result.filters, result.ends, strict=True)):
        values = {name: float(column[i]) for name, column in columns.items()}
        yield {"job": result.name, "filter": index, "end": end} | values | dict(result.params)


def numbers(row: Mapping[str, Any]) -> dict[str, Any]:
    """Values that were typed, as what they mean: 0.8 of ``reg.decay=0.8``; words stay words."""
    return {key: yaml.safe_load(each) if isinstance(each, str) else each for key, each in row.items()}


def value(folder: Path, wanted: str | Sequence[str]) -> float | list[float]:
    """What a search is told of a finished job: one of its figures, or several.

    Args:
      folder: ``<job folder>/result``.
      wanted: ``final/activation`` ..., or a list of such names; NaN where no filter has such a figure.
    """
    figures = json.loads((folder / "result.json").read_text())["figures"]
    found = [figures.get(name, math.nan) for name in ([wanted] if isinstance(wanted, str) else wanted)]
    return found[0] if isinstance(wanted, str) else found


def finished(sweep_folder: Path) -> list[Path]:
    """The result folders of a sweep, in the order of its jobs; of a job in a folder of its own, that one."""
    own = [sweep_folder / "result"] if (sweep_folder / "result" / "result.json").is_file() else []
    found = [path.parent for path in sweep_folder.glob("*/result/result.json")]

    def order(place):
        number = place.parent.name.partition("_")[0]
        return (int(number) if number.isdecimal() else -1, place.parent.name)

    return own + sorted(found, key=order)
