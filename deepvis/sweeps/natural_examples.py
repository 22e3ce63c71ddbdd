"""Natural examples of a job (``examples=9``): beside its images in its folder, its run and the report.

Jobs that differ only in how they are optimized have the same examples, looked for once in a process.
"""

import functools
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path

from PIL import Image

from deepvis import networks
from deepvis.config import schema
from deepvis.config.schema import Config, Settings
from deepvis.core import images
from deepvis.data import Photographs, photographs, stamp
from deepvis.natural import Examples, examples
from deepvis.natural.units import check as check_objective
from deepvis.results.result_folder import EXAMPLES, Pictures
from deepvis.sweeps.jobs import Job


def of_settings(data: Settings) -> Photographs:
    """The photographs of a config; of a folder they are looked for again where a file has changed."""
    return _looked_for(data, stamp(schema.plain(data)))


@functools.lru_cache(maxsize=4)
def _looked_for(data: Settings, stamped: Hashable) -> Photographs:
    del stamped
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
    found = _of_job(job)

    def write(folder: Path) -> None:
        (folder / EXAMPLES).mkdir()
        found.write(folder / EXAMPLES)
        gallery: Image.Image = found.gallery([images.on_white(each) for each in pictures.final])
        gallery.save(folder / f"{EXAMPLES}.png")

    return write


class Units:
    """Units of a job as far as what photographs do to them depends on it; a key for what is kept of them."""

    def __init__(self, job: Job, filters: Sequence[int], *options: Hashable) -> None:
        """The units, and what else of the job it depends on."""
        cfg = job.cfg
        self.job, self.filters = job, tuple(filters)
        # The content of files, too: one of weights may be another under the same name.
        weights = networks.network(schema.plain(cfg.model)).digest(cfg.layer.name)
        read = tuple(each for each in job.files.items() if each[0].startswith(("model.", "objective.")))
        self.parts = (
            cfg.model, weights, read, cfg.layer.name, self.filters, cfg.sides, cfg.device, cfg.data,
            of_settings(cfg.data).digest, *options,
        )  # fmt: skip

    def __hash__(self) -> int:
        return hash(self.parts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Units) and self.parts == other.parts


def _of_job(job: Job) -> Examples:
    cfg = job.cfg
    options = cfg.objective, cfg.precision, cfg.examples, cfg.examples_per_image
    return _found(Units(job, job.filters, *options))


@functools.lru_cache(maxsize=2)
def _found(units: Units) -> Examples:
    job = units.job
    return examples(job.cfg, job.filters, job.classes, of_settings(job.cfg.data))
