"""Trust of a job (``trust=true``): which of its pictures can be believed, beside photographs.

It is measured of the pictures that the job has, in float32, and changes none of them. What photographs do to
the units is found once in a process for all jobs of the same units.
"""

import functools
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from deepvis import networks
from deepvis.ascent import specs
from deepvis.config import schema
from deepvis.config.schema import Config
from deepvis.core import images as core_images
from deepvis.core.errors import ConfigError
from deepvis.metrics.trust_verdicts import BELIEVE, DISBELIEVE, DOUBT, FEW, FEW_PHOTOGRAPHS
from deepvis.results import trust
from deepvis.results.result_folder import Result
from deepvis.sweeps import natural_examples
from deepvis.sweeps.jobs import Job
from deepvis.sweeps.natural_examples import Units
from deepvis.trust import evidence, observer
from deepvis.trust.evidence import LEAST, Natural


def check(cfg: Config) -> None:
    """Refuse a job whose pictures could not be compared with photographs.

    Raises:
      ConfigError: the objective is not of channels, or there are too few photographs.
    """
    observer.check(cfg)
    count = len(natural_examples.of_settings(cfg.data))
    if count < LEAST:
        raise ConfigError(f"data: got {count} photographs, expected {LEAST} or more for trust=true")


def problem(folder: Path, cfg: Config) -> str | None:
    """Why the finished result of a job says nothing of trust, or of other photographs than the job's.

    Args:
      folder: ``<job folder>/result``.
      cfg: of the job.
    """
    tags = json.loads((folder / "result.json").read_bytes())["tags"]
    digest = natural_examples.of_settings(cfg.data).digest
    if trust.PHOTOGRAPHS not in tags:
        return f"{folder}: without trust, which trust=true asks for"
    if tags[trust.PHOTOGRAPHS] != digest:
        return f"{folder}: its trust is of the photographs {tags[trust.PHOTOGRAPHS]}, these are {digest}"
    return None


def added(result: Result, job: Job, images: Sequence[np.ndarray]) -> Result:
    """A job's result with what was measured of its pictures beside photographs.

    Args:
      result: of the job.
      job: with ``trust``.
      images: its last ones, centred pixels ``[H, W, C]``; of one that diverged nothing is measured.
    """
    finite = [at for at, image in enumerate(images) if np.isfinite(image).all()]
    measured = {name: np.full(len(images), np.nan) for name in trust.MEASURES}
    cfg = job.cfg
    tags = {trust.PHOTOGRAPHS: natural_examples.of_settings(cfg.data).digest}
    figures, features = {}, dict(result.features)
    if finite:
        natural, name, observe = _natural(Units(job, [job.filters[at] for at in finite]))
        made = np.stack([images[at] for at in finite])
        shown = [core_images.displayed(each, specs.display(cfg), cfg.model.mean) for each in made]
        found = evidence.compared(natural, made[None], observe, np.stack(shown)[None].astype(np.float32))
        for key, values in zip(trust.MEASURES, (found.strength, found.best, found.path, found.choice_natural,
                               found.choice_synthesized, found.facets), strict=True):  # fmt: skip
            measured[key][finite] = values
        if found.grouped is not None:
            features[trust.CONTRIBUTIONS] = np.zeros((len(images), found.grouped.shape[-1]), np.float32)
            features[trust.CONTRIBUTIONS][finite] = found.grouped[0]
            tags[trust.CONTRIBUTIONS_OF] = found.grouped_layer
        tags[trust.OBSERVER] = name
        figures[trust.COUNT] = float(found.photographs)
    whole = replace(result, metrics=dict(result.metrics) | measured, tags=dict(result.tags) | tags,
                    features=features)  # fmt: skip
    figures |= trust.figures(whole)
    return replace(whole, figures=dict(result.figures) | figures)


def line(results: Sequence[Result]) -> str:
    """How many pictures of a sweep can be believed; empty where that was not measured."""
    measured = [result for result in results if trust.is_there(result)]
    if not measured:
        return ""
    grades = Counter(said.grade for result in measured for said in trust.verdicts(result))
    total, count = sum(grades.values()), min(int(each.figures.get(trust.COUNT, 0)) for each in measured)
    doubted = "".join(f", {grade} {grades[grade]}" for grade in (DOUBT, DISBELIEVE) if grades[grade])
    few = f"; {FEW_PHOTOGRAPHS}" if count < FEW else ""
    return f"{BELIEVE} {grades[BELIEVE]} of {total} pictures{doubted}, beside {count} photographs{few}"


@functools.lru_cache(maxsize=2)
def _natural(units: Units) -> tuple[Natural, str, Callable[[np.ndarray], np.ndarray]]:
    cfg = units.job.cfg
    name, observe = observer.observer(cfg)
    photographs = natural_examples.of_settings(cfg.data)
    network = networks.network(schema.plain(cfg.model))
    found = evidence.natural(network, cfg.layer.name, units.filters, photographs, cfg.sides, observe)
    return found, name, observe
