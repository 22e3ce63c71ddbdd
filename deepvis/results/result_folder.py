"""Results: a finished job, and the folder that holds it, written whole or not at all.

<job folder>/result/
  gallery.png  best.png              the last images, the best by score, stitched
  animation.webp                     with animation=true: the images on the way, stitched, a frame a snapshot
  examples.png  examples/            with examples=9: natural examples, beside the last images
  trust.csv                          with trust=true: which pictures can be believed, beside photographs
  filters/f012.png  best/f012.png    one picture a filter
  progress/step_00005/f012.png       the same, on the way, from the start (step_00000)
  history.npz                        recorded at each step, [steps + 1, filters]: score, activation,
                                     gradient_rms, image_rms, rank, margin, alive
  metrics.npz                        of the last images, [filters]: the names of deepvis.metrics, and
                                     robustness with the share of the score retained under each change
  features.npz                       post: mean of each map of the layer behind its ReLU, [filters, channels];
                                     with trust=true contributions of the channels of a layer below
  twins.npz                          both of the replicas, [twins, steps + 1, filters], [twins, filters]
  twins/1/f012.png                   the last images of the replicas, if there are some
  config.yaml                        the resolved config
  result.json                        name, key, filters, how each ended, params, choices, tags, figures, and
                                     size and checksum of every file above

A job is finished when `problem` finds none there; nothing else, and no tracker, says so.
"""

import functools
import json
import math
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from deepvis.config import params
from deepvis.core import animations, files, images
from deepvis.core.errors import first_line
from deepvis.results import trust

ARRAYS = ("history", "metrics", "features", "twins")  # of a result, each in a file of its own
TEXTS = (*(f"{name}.npz" for name in ARRAYS), "config.yaml", "result.json")  # all but the pictures
ANIMATION = "animation.webp"
EXAMPLES = "examples"  # of natural examples: the folder, and the name of their gallery
LAST = ("score", "activation", "rank", "margin")  # of a history, whose last row is the job's end
START = "progress/step_00000"  # the folder of the images before their first step
STARTS = 32  # such pictures that are kept encoded for the next job
FAILED = "failed.txt"  # in a job's folder: why it failed, where it has no result


@dataclass(frozen=True)
class Result:
    """All that a job leaves, but its pictures."""

    name: str
    key: str
    layer: str
    filters: Sequence[int]
    ends: Sequence[str]  # one of convergence.ENDS a filter
    params: Mapping[str, params.Value]  # the resolved config, flat
    tags: Mapping[str, str]
    figures: Mapping[str, float]
    history: Mapping[str, np.ndarray]
    metrics: Mapping[str, np.ndarray]  # of the last images, [filters] each
    features: Mapping[str, np.ndarray]  # of the layer, by the last images, [filters, channels]
    twins: Mapping[str, np.ndarray]  # history and metrics of the perturbed replicas, [twins, ...] each
    config: str  # YAML
    choices: Mapping[str, str] = field(default_factory=dict)  # typed choices of groups: {reg: yosinski_1}
    classes: Sequence[str] = ()  # what each filter is called, where they are classes of the network


IN_JSON = tuple(each.name for each in fields(Result) if each.name not in (*ARRAYS, "config"))


@dataclass(frozen=True)
class Pictures:
    """A job's pictures; every list holds one uint8 picture [H, W, 3] a filter, with alpha [H, W, 4]."""

    final: Sequence[np.ndarray]
    best: Sequence[np.ndarray]
    progress: Mapping[int, Sequence[np.ndarray]]  # by steps done
    twins: Sequence[Sequence[np.ndarray]] = ()  # last ones, by twin


def label(index: int) -> str:
    """A filter's name in files and in MLflow: ``f012``."""
    return f"f{index:03d}"


def captions(result: Result) -> list[str]:
    """A caption for each filter: ``flamingo (130)`` of a class, else its name in files."""
    return captions_for(result.filters, result.classes)


def captions_for(
    filters: Sequence[int], classes: Sequence[str], number: Callable[[int], str] = label
) -> list[str]:
    """A caption for each of some filters: its class and number, or, of no classes, its number as written."""
    return list(map(caption, classes, filters)) if classes else list(map(number, filters))


def caption(name: str, index: int) -> str:
    """A class and its number: ``flamingo (130)``."""
    return f"{name} ({index})"


def captions_of(results: Iterable[Result]) -> dict[int, str]:
    """A caption for each filter of some results; its name in files where they call it differently."""
    found: dict[int, str] = {}
    for result in results:
        for index, text in zip(result.filters, captions(result), strict=True):
            found[index] = text if found.setdefault(index, text) == text else label(index)
    return found


def write(
    folder: Path, result: Result, pictures: Pictures, more: Callable[[Path], None] = lambda folder: None
) -> Path:
    """Write a job's results beside their final name, then rename them into place; returns ``folder/result``.

    Args:
      folder: of the job.
      result: of the job.
      pictures: likewise.
      more: writes more files into the result's folder.

    Raises:
      OSError: the disk is full, or the folder cannot be written; nothing of the result remains.
    """
    target = folder / "result"
    with files.replacing_folder(target) as partial:  # it may be there, of the same job run before
        texts = captions(result)
        (partial / "gallery.png").write_bytes(images.png(images.gallery(pictures.final, texts)))
        if all(map(np.array_equal, pictures.final, pictures.best)):
            link(partial / "gallery.png", partial / "best.png")
        else:
            (partial / "best.png").write_bytes(images.png(images.gallery(pictures.best, texts)))
        if result.params.get("animation"):
            frames = [images.gallery(pictures.progress[step], texts) for step in sorted(pictures.progress)]
            (partial / ANIMATION).write_bytes(animations.encoded(frames))
        sets = {"filters": pictures.final, "best": pictures.best}
        sets |= {f"progress/step_{step:05d}": shown for step, shown in pictures.progress.items()}
        sets |= {f"twins/{number}": shown for number, shown in enumerate(pictures.twins, start=1)}
        written: dict[bytes, Path] = {}  # the last snapshot is the last image, and often the best
        for name, shown in sets.items():
            (partial / name).mkdir(parents=True)
            for index, picture in zip(result.filters, shown, strict=True):
                path, pixels = partial / name / f"{label(index)}.png", picture.tobytes()
                same = written.setdefault(pixels, path)
                if same is not path:
                    link(same, path)
                else:
                    path.write_bytes(_start(pixels, picture.shape) if name == START else images.png(picture))
        for name in ARRAYS:
            with (partial / f"{name}.npz").open("wb") as file:
                np.savez_compressed(file, **getattr(result, name))
        if trust.is_there(result):
            files.write_csv(partial / trust.FILE, trust.rows(result, texts))
        more(partial)
        (partial / "config.yaml").write_text(result.config, encoding="utf-8")
        rest = {name: getattr(result, name) for name in IN_JSON} | {"files": files.checksums(partial)}
        files.write_text(partial / "result.json", json.dumps(rest, indent=1))
    return target


@functools.lru_cache(maxsize=STARTS)
def _start(pixels: bytes, shape: tuple[int, ...]) -> bytes:
    """A PNG of an image before its first step: where a sweep varies no seed, its jobs begin with the same."""
    return images.png(np.frombuffer(pixels, np.uint8).reshape(shape))


def problem(folder: Path, key: str) -> str | None:
    """Why a folder does not hold the finished result of a job, as one line that names the file.

    Args:
      folder: ``<job folder>/result``.
      key: of the job.

    Returns:
      None: ``result.json`` can be read and has that key, and every file that it lists is there with its size
      and checksum. Otherwise the job has to be computed again; a folder that is missing is no fault.
    """
    path = folder / "result.json"
    if not path.is_file():
        return f"{path}: missing"
    try:
        rest = json.loads(path.read_bytes())
        listed = {str(name): (int(size), int(crc)) for name, (size, crc) in rest["files"].items()}
        lacking = {*IN_JSON, *TEXTS[:-1]} - {*rest, *listed}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as err:
        return f"{path}: torn ({first_line(err)})"
    if lacking:
        return f"{path}: incomplete, it lacks {min(lacking)}"
    if rest["key"] != key:
        return f"{path}: of the job {rest['key']}, expected {key}"
    for name, expected in listed.items():
        try:
            got = files.checksum(folder / name)
        except OSError as err:
            return f"{folder / name}: {err.strerror}"
        if got != expected:
            torn = got[0] != expected[0]
            return f"{folder / name}: " + (
                f"got {got[0]} bytes, expected {expected[0]}" if torn else "changed"
            )
    return None


def link(path: Path, to: Path) -> None:
    """The same file under another name; a copy, where the file system has no hard links."""
    try:
        to.hardlink_to(path)
    except OSError:
        shutil.copyfile(path, to)


def clear(folder: Path) -> None:
    """Remove what a killed process left half written in a job's folder, and why the job failed before."""
    (folder / FAILED).unlink(missing_ok=True)
    files.remove_partials(folder)


def read(folder: Path) -> Result:
    """The result that `write` wrote in ``<job folder>/result``, without its pictures."""
    arrays: dict[str, Any] = {}
    for name in ARRAYS:
        with np.load(folder / f"{name}.npz") as file:
            arrays[name] = {key: file[key] for key in file.files}
    rest = json.loads((folder / "result.json").read_bytes())
    config = (folder / "config.yaml").read_text(encoding="utf-8")
    return Result(**{name: rest[name] for name in IN_JSON if name in rest}, **arrays, config=config)


def last(result: Result) -> dict[str, np.ndarray]:
    """The final values of each filter, [filters] under each name."""
    return {name: result.history[name][-1] for name in LAST} | dict(result.metrics)


def floor(result: Result) -> dict[str, np.ndarray]:
    """The numerical noise floor: the mean distance of a filter's perturbed replicas from it.

    ``<name>_floor`` -> ``[filters]``, of the final values; nothing without replicas.
    """
    return {
        f"{name}_floor": np.abs(differences).mean(axis=0)
        for name, differences in replica_differences(result).items()
    }


def replica_differences(result: Result) -> dict[str, np.ndarray]:
    """How much the final values of a filter's perturbed replicas are above its own: ``[twins, filters]``."""
    twins = {name: values[:, -1] if name in LAST else values for name, values in result.twins.items()}
    return {
        name: twins[name] - values
        for name, values in last(result).items()
        if name in twins and len(twins[name])
    }


def table(results: Sequence[Result]) -> list[dict[str, Any]]:
    """Results of a sweep, a row a job and filter: its end, final values and job's main parameters."""
    varied = params.varied([result.params for result in results])
    rows = []
    for result in results:
        columns, main = last(result) | floor(result), params.main(result.params, varied)
        verdicts = trust.verdicts(result) if trust.is_there(result) else ()
        for i, (index, end) in enumerate(zip(result.filters, result.ends, strict=True)):
            row = {"job": result.name, "filter": index, "end": end}
            row |= {"class": result.classes[i]} if result.classes else {}
            row |= {"trust": verdicts[i].words} if verdicts else {}
            row |= {name: float(column[i]) for name, column in columns.items()}
            rows.append(row | {key: value for key, value in main.items() if key not in row})
    return rows


def value(folder: Path, names: str | Sequence[str]) -> float | list[float]:
    """What a search maximizes or minimizes: one of a finished job's figures, or several.

    NaN where no filter has such a figure.
    """
    figures = json.loads((folder / "result.json").read_bytes())["figures"]
    values = [figures.get(name, math.nan) for name in ([names] if isinstance(names, str) else names)]
    return values[0] if isinstance(names, str) else values


def finished(sweep_folder: Path) -> list[Path]:
    """The result folders of a sweep, in the order of its jobs; of a job in a folder of its own, that one."""
    single = [sweep_folder / "result"] if (sweep_folder / "result" / "result.json").is_file() else []

    def order(folder: Path) -> tuple[int, str]:
        number = folder.parent.name.partition("_")[0]
        return (int(number) if number.isdecimal() else -1, folder.parent.name)

    return single + sorted((path.parent for path in sweep_folder.glob("*/result/result.json")), key=order)


def begun(sweep_folder: Path) -> list[Path]:
    """The result folders of the jobs that were begun in a sweep's folder, whether they are there or not."""
    folders = [sweep_folder, *sweep_folder.glob("*/")]
    return [each / "result" for each in folders if (each / "result").exists() or (each / "live.png").exists()]
