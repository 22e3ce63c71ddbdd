"""Natural examples of a job (``examples=9``): beside its images in its folder, its run and the report.

Jobs that differ only in how they are optimized have the same examples, looked for once in a process.
"""

import functools
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from deepvis import networks
from deepvis.config import schema
from deepvis.config.schema import Config, Settings
from deepvis.core import images
from deepvis.data import Photographs, photographs
from deepvis.natural import Examples, examples
from deepvis.natural.units import check as check_objective
from deepvis.results.result_folder import EXAMPLES, Pictures
from deepvis.sweeps.jobs import Job


@functools.lru_cache(maxsize=4)
def of_settings(data: Settings) -> Photographs:
    """The photographs of a config, looked for once in a process."""
    return photographs(schema.plain(data))


def check(cfg: Config) -> None:
    """Refuse a job whose natural examples could not be found.

    Raises:
      ConfigError: the objective is not about units, or there are no photographs.
    """
    check_objective(cfg)
    of_settings(cfg.data)
    networks.network(schema.plain(cfg.model)).boxes(cfg.layer.name, cfg.sides)


def of_job(job: Job, pictures: Pictures) -> Callable[[Path], None]:
    """Finds a job's examples; returns what writes them into the folder of its result.

    Args:
      job: with ``examples``.
      pictures: its own, which are shown beside.
    """
    found = _found(_Units(job))

    def write(folder: Path) -> None:
        (folder / EXAMPLES).mkdir()
        found.write(folder / EXAMPLES)
        gallery: Image.Image = found.gallery([images.on_white(each) for each in pictures.final])
        gallery.save(folder / f"{EXAMPLES}.png")

    return write


class _Units:
    """A job as far as its examples depend on it."""

    def __init__(self, job: Job) -> None:
        cfg = job.cfg
        self.job = job
        # The content of files, too: one of weights may be another under the same name.
        weights = networks.network(schema.plain(cfg.model)).digest(cfg.layer.name)
        read = tuple(each for each in job.files.items() if each[0].startswith(("model.", "objective.")))
        self.parts = (
            cfg.model, weights, read, cfg.layer, job.filters, cfg.objective, cfg.sides, cfg.precision,
            cfg.device, cfg.data, cfg.examples, cfg.examples_per_image,
        )  # fmt: skip

    def __hash__(self) -> int:
        return hash(self.parts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Units) and self.parts == other.parts


@functools.lru_cache(maxsize=2)
def _found(units: _Units) -> Examples:
    job = units.job
    return examples(job.cfg, job.filters, job.classes, of_settings(job.cfg.data))
