"""Jobs: (config, overrides) -> `Job`, and jobs -> `JobGroup`. No tensors.

A job is a config with a name and a key. Jobs that differ only in numbers that are per image share a
static config, and with it batches and a compiled graph.
"""

import functools
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from deepvis import networks
from deepvis.ascent import devices, specs, validation
from deepvis.ascent.specs import ImageSpec, StaticConfig
from deepvis.config import compose, job_names, schema
from deepvis.config.knobs import Component
from deepvis.config.params import NOT_IDENTITY, Value, flatten
from deepvis.config.schema import Config
from deepvis.core import names
from deepvis.core.version import __version__
from deepvis.data import photographs
from deepvis.results import manifest
from deepvis.sweeps import contents


@dataclass(frozen=True)
class Job:
    """A config, ready to run."""

    name: str  # what a person calls it: its overrides, without their groups
    cfg: Config
    key: str  # hash of what changes the result: the config, the content of files, weights, the version
    filters: tuple[int, ...]
    classes: tuple[str, ...]  # what each filter is called, where they are classes of the network
    overrides: tuple[str, ...]  # as typed, but for those that resume a sweep
    folder: Path  # where its results go
    files: Mapping[str, str] = field(default_factory=dict)  # digest of each file that it reads, by key=path

    @property
    def folder_name(self) -> str:
        """What a manifest and a store call its folder."""
        return manifest.folder_name(self.folder)


@dataclass(frozen=True, order=True)
class Row:
    """One image of a group: a filter of a job."""

    job: int  # index in the group
    column: int  # index in that job's filters
    twin: int = 0  # number of its start; 0 is the job's, the others give the noise floor


@dataclass(frozen=True)
class JobGroup:
    """Jobs that share a graph."""

    jobs: tuple[Job, ...]
    static_config: StaticConfig
    enabled: frozenset[Component]  # regularizers and transforms that any of the jobs uses
    batches: tuple[tuple[Row, ...], ...]


def make(cfg: Config, overrides: Sequence[str], folder: Path, weights: str = "") -> Job:
    """A job of a checked config; what that leaves to the machine is chosen here.

    Args:
      cfg: checked.
      overrides: as typed.
      folder: where its results go.
      weights: digest of the network's weights, which are part of the job's identity.
    """
    changed = overrides if job_names.swept() else _changed(cfg, overrides)
    model = networks.resolved(schema.plain(cfg.model))
    cfg = replace(devices.resolved(cfg), model=schema.free("model", model))
    layer = networks.network(model).layer(cfg.layer.name)
    filters = tuple(validation.indices(cfg, layer))
    classes = tuple(validation.class_names(cfg, layer, filters))
    cfg = replace(cfg, layer=replace(cfg.layer, filters=names.spelled(cfg.layer.filters, filters)))
    files = contents.files(cfg)
    identity = {k: v for k, v in schema.plain(cfg).items() if k not in NOT_IDENTITY}
    identity["model"].pop("paired_with", None)  # says what a report pairs, and changes no result
    if not cfg.examples:
        for key in ("examples", "examples_per_image"):
            identity.pop(key)
    data = identity.pop("data")  # unless something is made of photographs, nothing depends on them
    if cfg.examples or specs.reads_photographs(cfg):
        identity["data"] = photographs(data).digest
    identity = contents.without_paths(identity, files) | {"deepvis": __version__, "weights": weights}
    identity["layer"] |= {"filters": filters} | ({"classes": classes} if classes else {})
    key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]
    name = job_names.name(changed) or cfg.layer.name
    read = {f"{key}={file.path}": file.digest for key, file in files.items()}
    typed = tuple(each for each in overrides if not each.startswith(("resume=", "resume_force=")))
    return Job(name, cfg, key, filters, classes, typed, folder, read)


def _changed(cfg: Config, overrides: Sequence[str]) -> list[str]:
    """The overrides whose values are not the defaults."""
    values, defaults = flatten(schema.plain(cfg)), _defaults()
    found = []
    for each in overrides:
        key = each.lstrip("+").partition("=")[0]
        under = [name for name in values if name == key or name.startswith(f"{key}.")]
        if not under or any(values[name] != defaults.get(name) for name in under):
            found.append(each)
    return found


@functools.cache
def _defaults() -> dict[str, Value]:
    """The config where nothing is typed, flat."""
    return flatten(schema.plain(schema.resolve(compose.plain_mapping(compose.config([])))))


def resolved(job: Job) -> dict[str, Any]:
    """A job's resolved config, the same whether its sweep was resumed or not."""
    return schema.plain(job.cfg) | {"resume": None, "resume_force": False}


def params(job: Job) -> dict[str, Value]:
    """A job's resolved config, flat."""
    return flatten(resolved(job))


def manifest_entry(job: Job) -> dict[str, str]:
    """What a sweep's manifest holds of a job."""
    return {"name": job.name, "key": job.key, "folder": job.folder_name}


def job_groups(jobs: Sequence[Job]) -> Iterator[JobGroup]:
    """Group jobs by static config, in their order, and their images into batches of ``batch_size``."""
    groups: dict[StaticConfig, list[Job]] = {}
    for job in jobs:
        groups.setdefault(specs.static_config(job.cfg), []).append(job)
    for static_config, group in groups.items():
        rows = [
            Row(i, j, twin)
            for i, job in enumerate(group)
            for twin in range(1 + job.cfg.twins)
            for j in range(len(job.filters))
        ]
        # Images with equally many steps share batches: one that is done is computed until the last is done.
        rows.sort(key=lambda row: group[row.job].cfg.steps)
        yield JobGroup(
            jobs=tuple(group),
            static_config=static_config,
            enabled=frozenset().union(*(specs.enabled(job.cfg) for job in group)),
            batches=tuple(_batches(rows, group[0].cfg)),
        )


def remaining_batches(group: JobGroup, done: Mapping[Row, int]) -> list[tuple[Row, ...]]:
    """A group's batches where some images have done steps: those with as many steps done share a batch."""
    cfgs = [job.cfg for job in group.jobs]
    by_step: dict[int, list[Row]] = {}
    for row in (row for batch in group.batches for row in batch):
        step = done.get(row, 0)
        if step < cfgs[row.job].steps:
            by_step.setdefault(step, []).append(row)
    return [batch for step in sorted(by_step, reverse=True) for batch in _batches(by_step[step], cfgs[0])]


def image_spec(group: JobGroup, row: Row) -> ImageSpec:
    """The image of a row, by itself."""
    job = group.jobs[row.job]
    number = row.job * (1 + job.cfg.twins) + row.twin
    return ImageSpec(job.cfg, job.filters[row.column], row.twin, number)


def _batches(rows: Sequence[Row], cfg: Config) -> Iterator[tuple[Row, ...]]:
    """By number; where the images of a job see one another, a batch for each job and twin."""
    if specs.is_joint(cfg):
        for key in dict.fromkeys((row.job, row.twin) for row in rows):
            yield tuple(row for row in rows if (row.job, row.twin) == key)
        return
    size = min(cfg.batch_size, len(rows))
    for i in range(0, len(rows), size):
        yield tuple(rows[i : i + size])
