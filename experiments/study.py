"""What the studies share: sweep -> arrays [levels ..., filters] -> comparisons, tables, pictures.

A study's `make.py` says what is compared; this module reads, tests, writes and parses the command line:

python experiments/<study>/make.py outputs/<sweep> ... [--to FOLDER]

It is the one module of the studies that imports deepvis.
"""

import argparse
import functools
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hydra
import numpy as np
import paired
from omegaconf import DictConfig, OmegaConf
from PIL import Image

import deepvis.ascent  # noqa: F401  its components declare the knobs of a config
from deepvis import networks
from deepvis.config import schema
from deepvis.config.compose import plain_mapping
from deepvis.core import images, names
from deepvis.core.files import write_csv
from deepvis.metrics import across_seeds, convergence
from deepvis.results import result_folder

ENDS = convergence.ENDS
ends = convergence.ends
contrasts, effect = paired.contrasts, paired.effect
contrast, gallery, label = images.contrast, images.gallery, result_folder.label


@dataclass(frozen=True)
class Job:
    """A finished job of a sweep."""

    folder: Path  # of its result
    config: DictConfig
    result: result_folder.Result

    def picture(self, index: int, kind: str = "filters") -> np.ndarray:
        """Final picture of a filter, uint8 ``[H, W, 3]``; of a replica with ``kind="twins/1"``."""
        return np.asarray(Image.open(self.folder / kind / f"{label(index)}.png"))


def jobs(sweep: Path) -> list[Job]:
    """The finished jobs of a sweep, in its order.

    Raises:
      SystemExit: there are none.
    """
    found = [
        Job(folder, OmegaConf.load(folder / "config.yaml"), result_folder.read(folder))
        for folder in result_folder.finished(sweep)
    ]
    if not found:
        sys.exit(f"got {sweep}, which holds no finished job; expected the folder of a sweep, outputs/<sweep>")
    return found


@functools.cache
def resolved(*overrides: str) -> schema.Config:
    """The typed config that these overrides give on the command line."""
    with hydra.initialize_config_dir(str(names.CONF), version_base="1.3"):
        composed = schema.without_hydra(hydra.compose("config", list(overrides)))
    return schema.resolve(plain_mapping(composed))


def config(*overrides: str) -> DictConfig:
    """The same as the result of a job has it."""
    return OmegaConf.create(schema.plain(resolved(*overrides)))


def choice(job: Job, group: str, options: Iterable[str], *overrides: str) -> str:
    """Which preset of a config group a job has.

    Args:
      job: of a sweep.
      group: such as ``reg``.
      options: the presets that come into question.
      overrides: what else the sweep sets, such as ``experiment=gildenblat_2016``.
    """
    values = job.config[group]
    for option in options:
        if config(*overrides, f"{group}={option}")[group] == values:
            return option
    sys.exit(f"got {group}={values} in {job.folder}; expected one of {', '.join(options)}")


@dataclass(frozen=True)
class Grid:
    """A sweep over some factors and seeds, whole."""

    levels: dict[str, tuple]  # of each factor, in the sweep's order
    jobs: np.ndarray  # of `Job`, [levels ..., seeds]

    def at(self, *levels: object) -> Job:
        """The job of the first seed at these levels."""
        where = (own.index(level) for own, level in zip(self.levels.values(), levels, strict=True))
        return self.jobs[(*where, 0)]

    def values(self, name: str) -> np.ndarray:
        """A measure of final images, seeds averaged: ``[levels ..., filters]``; activations as logarithms."""
        return self._stacked(lambda job: _final(job)[name]).mean(axis=-2)

    def floor(self, name: str) -> np.ndarray:
        """Its numerical noise floor, from the replicas; of activations that of a small logarithm."""

        def one(job):
            found = result_folder.floor(job.result)[f"{name}_floor"].astype(float)
            with np.errstate(divide="ignore", invalid="ignore"):
                return found / job.result.history[name][-1].astype(float) if name == "activation" else found

        return self._stacked(one).mean(axis=-2)

    def across_seeds(self, name: str) -> np.ndarray:
        """``diversity`` or ``reproducibility`` of the features of the seeds: ``[levels ..., filters]``."""
        features = self._stacked(lambda job: job.result.features["post"])
        shape, measure = features.shape[: len(self.levels)], getattr(across_seeds, name)
        found = [measure(cell) for cell in features.reshape(-1, *features.shape[len(self.levels) :])]
        return np.stack(found).reshape(*shape, -1)

    def _stacked(self, of: Callable[[Job], np.ndarray]) -> np.ndarray:
        found = np.stack([of(job) for job in self.jobs.flat])
        return found.reshape(*self.jobs.shape, *found.shape[1:])


def grid(sweep: Path, **factors: str) -> Grid:
    """Read a sweep over some factors and seeds.

    Args:
      sweep: its folder.
      factors: name of each, and the key that was swept: ``decay="reg.decay"``.

    Raises:
      SystemExit: a cell of the grid is missing.
    """
    cells: dict[tuple, Job] = {}
    for job in jobs(sweep):
        cells[*(_level(OmegaConf.select(job.config, key)) for key in (*factors.values(), "seed"))] = job
    levels = [tuple(dict.fromkeys(own)) for own in zip(*cells, strict=True)]
    shape = [len(own) for own in levels]
    found = np.empty(shape, object)
    for cell in np.ndindex(*shape):
        where = tuple(own[i] for own, i in zip(levels, cell, strict=True))
        if where not in cells:
            missing = dict(zip((*factors, "seed"), where, strict=True))
            sys.exit(f"got no job of {missing} in {sweep}; finish the sweep")
        found[cell] = cells[where]
    return Grid(dict(zip(factors, levels, strict=False)), found)


def final(job: Job) -> dict[str, np.ndarray]:
    """What is measured of each final image, ``[filters]`` under each name."""
    return result_folder.last(job.result)


def _final(job: Job) -> dict[str, np.ndarray]:
    found = {name: values.astype(float) for name, values in final(job).items()}
    return found | {"activation": logarithm(found["activation"])}


def logarithm(values: np.ndarray) -> np.ndarray:
    """NaN where a value is not above zero."""
    return np.log(np.where(values > 0, values, np.nan))


def _level(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def unit(measure: str) -> Callable[[Any], float]:
    """From what is compared to what is told: differences of logarithms are told as ratios."""
    return lambda value: float(np.exp(value) if measure == "activation" else value)


def friedman(values: np.ndarray) -> float:
    """p of Friedman's test over ``[levels, filters]``; NaN of fewer than three levels."""
    return paired.friedman(values) if len(values) > 2 else np.nan


def columns(found: paired.Effect, measure: str) -> dict[str, Any]:
    """An effect as the columns of a table: p as it is, filters, median with interval, how many are higher."""
    told = {key: unit(measure)(getattr(found, key)) for key in ("median", "low", "high")}
    return {"p": found.p, "filters": found.n} | told | {"higher": round(found.n * found.up)}


def holm(rows: Sequence[dict[str, Any]]) -> None:
    """Give each row its ``p_holm``, over all rows."""
    for row, p in zip(rows, paired.holm([row["p"] for row in rows]), strict=True):
        row["p_holm"] = float(p)


def table(path: Path, rows: Iterable[Mapping[str, Any]], digits: int = 6) -> None:
    """Write a CSV; a number that is not whole with so many digits."""
    write_csv(path, list(rows), digits=digits)


def pictures(
    path: Path, rows: Sequence[Sequence[np.ndarray]], row_names: Sequence[str], column_names: Sequence[str],
    quality: int = 85, longest: int | None = None,
) -> None:  # fmt: skip
    """Write a labelled grid of pictures, as a JPEG.

    Args:
      path: of the file.
      rows: uint8 pictures ``[H, W, 3]`` of one size.
      row_names: one a row.
      column_names: one a column.
      quality: of the JPEG.
      longest: px that its longer side may have.
    """
    page = Image.fromarray(images.contact_sheet(rows, row_names, column_names))
    if longest:
        page.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    page.save(path, quality=quality)


@dataclass(frozen=True)
class Optimized:
    """Images that a study has optimized by itself."""

    images: np.ndarray  # starts, then after each chunk of snapshot_every steps: [chunks + 1, images, H, W, C]
    score: np.ndarray  # [steps + 1, images]
    activation: np.ndarray  # of the final images, [images]


def optimize(settings: Mapping[str, object]) -> Optimized:
    """Optimize the images of one job, replicas after all filters of the job itself.

    Args:
      settings: overrides of the config, value by key.
    """
    from deepvis.ascent import optimize, program
    from deepvis.sweeps import jobs as sweep_jobs

    typed = tuple(f"{key}={value}" for key, value in settings.items())
    (group,) = sweep_jobs.job_groups([sweep_jobs.make(resolved(*typed), typed, Path())])
    specs = [sweep_jobs.image_spec(group, row) for batch in group.batches for row in batch]
    using = optimize.compiled(specs)
    first = np.stack([program.start(each, using.network.mean) for each in specs])
    chunks: dict[int, list[np.ndarray]] = {}  # by first step, those of each batch

    def keep(batch, snapshot):
        chunks.setdefault(snapshot.first, []).append(snapshot.image[: len(batch)])

    history = optimize.optimize(specs, using=using, starts=first, on_snapshot=keep).history
    seen = np.stack([first, *(np.concatenate(each) for each in chunks.values())])
    return Optimized(seen, history["score"], history["activation"][-1])


def start(job: Job, index: int) -> np.ndarray:
    """The image that a filter's optimization began with, centred pixels ``[H, W, C]``."""
    from deepvis.ascent import program
    from deepvis.ascent.specs import ImageSpec

    cfg = schema.resolve(plain_mapping(job.config))
    return program.start(ImageSpec(cfg, index), job.config.model.mean)


def network(model: DictConfig, layer: str, size: int, precision: str) -> Callable[[Any], Any]:
    """A VGG up to a layer: centred pixels ``[B, H, W, C]`` -> the layer's maps, ``.pre`` and ``.post``."""
    import tensorflow as tf

    made = networks.network(plain_mapping(model)).build([layer], size, precision)
    return lambda pixels: made.activations(tf.convert_to_tensor(pixels), [layer])[layer]


def kernel(model: DictConfig, layer: str) -> tuple[np.ndarray, np.ndarray]:
    """Kernel ``[H, W, I, O]`` and bias ``[O]`` of a layer."""
    return networks.network(plain_mapping(model)).read(layer).layers[layer]


def run(file: str, make: Callable[..., None], *sweeps: str) -> None:
    """The command line of a study.

    Args:
      file: the study's ``make.py``.
      make: called with the folder to write to, then the folders of the sweeps.
      sweeps: what each sweep is, for the help.
    """
    parser = argparse.ArgumentParser(description=f"Tables and pictures of {Path(file).parent.name}.")
    for name in sweeps:
        parser.add_argument(name, type=Path, help="folder of that sweep: outputs/<sweep>")
    parser.add_argument("--to", type=Path, default=Path(file).parent, help="folder to write to (the study's)")
    said = vars(parser.parse_args())
    said["to"].mkdir(parents=True, exist_ok=True)
    make(said["to"], *(said[name] for name in sweeps))
