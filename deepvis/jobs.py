"""Jobs: (config, overrides) -> Job, and jobs -> packs. No tensors.

A job is a config with a name and a key. Jobs that differ only in numbers that are per image share a
skeleton, and with it a batch and a compiled graph.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from omegaconf import DictConfig, OmegaConf

from deepvis import config, devices, networks

# Where the results go and how they are batched and watched; everything else is part of a job's identity.
NOT_IDENTITY = ("tracker", "batch_size", "log_every", "resume", "device", "objective_value")


class Job(NamedTuple):
    """A config, ready to run."""

    name: str  # what a person calls it: its overrides, without their groups
    cfg: DictConfig
    key: str  # hash of everything in the config that changes the result
    filters: tuple[int, ...]
    overrides: tuple[str, ...]  # as typed
    folder: Path  # where its results go


class Row(NamedTuple):
    """One image of a pack: a filter of a job."""

    job: int  # index in the pack
    column: int  # index in that job's filters
    twin: int = 0  # number of its start; 0 is the job's own, the others give the noise floor


class Pack(NamedTuple):
    """Jobs that share a graph."""

    jobs: tuple[Job, ...]
    skeleton: str  # JSON of what the graph is made of
    active: frozenset[str]  # regularizers that any of the jobs uses
    batches: tuple[tuple[Row, ...], ...]


def make(cfg: DictConfig, overrides: Sequence[str], folder: Path) -> Job:
    """A job of a checked config.

    Args:
      cfg: composed and checked; what it leaves to the machine is chosen here.
      overrides: as typed, ``reg.decay=0.8`` ...
      folder: of its output.
    """
    cfg = devices.settled(cfg)
    cfg.model = networks.settled(OmegaConf.to_container(cfg.model, resolve=True))
    plain = OmegaConf.to_container(cfg, resolve=True)
    channels = networks.layers(plain["model"])[cfg.layer.name].channels
    filters = tuple(config.filters(cfg.layer.filters, channels, cfg.layer.name))
    plain["layer"]["filters"] = filters
    identity = {k: v for k, v in plain.items() if k not in NOT_IDENTITY}
    key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]
    return Job(config.name(overrides) or cfg.layer.name, cfg, key, filters, tuple(overrides), folder)


def params(job: Job) -> dict[str, Any]:
    """The handful of numbers that tell a job from its neighbours: what was typed, and what names it."""
    cfg = job.cfg
    shown = (
        o.lstrip("+").replace('"', "")
        for o in job.overrides
        if not o.startswith(("hydra", "tracker", "resume"))
    )
    typed = dict(each.split("=", 1) for each in shown)
    named = {
        "model": cfg.model.name,
        "layer": cfg.layer.name,
        "layer.filters": str(cfg.layer.filters).strip("[]").replace(" ", ""),
        "steps": cfg.steps,
        "size": cfg.size,
        "seed": cfg.seed,
        "precision": cfg.precision,
    }
    return named | typed


def listed(job: Job) -> dict[str, str]:
    """What a sweep's ledger has of a job."""
    return {"name": job.name, "key": job.key, "folder": job.folder.name}


def packs(jobs: Sequence[Job]) -> Iterator[Pack]:
    """Group jobs by skeleton, and their images into batches of ``batch_size``.

    Args:
      jobs: in any order; a pack keeps theirs.
    """
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        groups.setdefault(_skeleton(job.cfg), []).append(job)
    for skeleton, group in groups.items():
        rows = [
            Row(i, j, twin)
            for i, job in enumerate(group)
            for twin in range(1 + job.cfg.twins)
            for j in range(len(job.filters))
        ]
        # Those with as many steps climb together: an image that is done still takes its place in the graph.
        rows.sort(key=lambda row: group[row.job].cfg.steps)
        size = min(group[0].cfg.batch_size, len(rows))
        yield Pack(
            jobs=tuple(group),
            skeleton=skeleton,
            active=frozenset().union(*(active(job.cfg.reg) for job in group)),
            batches=tuple(tuple(rows[i : i + size]) for i in range(0, len(rows), size)),
        )


def active(reg: Mapping[str, Any]) -> set[str]:
    """The regularizers that a config switches on."""
    on = {
        "decay": reg["decay"] != 1,
        "blur": reg["blur"] > 0 or reg["blur_sigma"] > 0,
        "value": reg["value_percentile"] > 0,
        "norm": reg["norm_percentile"] > 0,
        "contribution": reg["contribution_percentile"] > 0,
        "clip_pixels": reg["clip_pixels"],
    }
    return {name for name, is_on in on.items() if is_on}


def hyper(pack: Pack, batch: Sequence[Row]) -> dict[str, np.ndarray]:
    """Every number of a batch, one per image.

    Args:
      pack: the jobs.
      batch: the images.

    Returns:
      ``filter``, ``steps``, ``reg.*``, ``optimizer.*`` -> ``[B]``, float32 or int32. The weight of a
      regularizer that is off is 0.
    """
    numbers = []
    for row in batch:
        job = pack.jobs[row.job]
        reg, on = job.cfg.reg, active(job.cfg.reg)
        scalars = {
            k: v for k, v in reg.items() if isinstance(v, int | float) and k not in ("blur", "blur_sigma")
        }
        numbers.append(
            {"filter": job.filters[row.column], "steps": job.cfg.steps}
            | {f"reg.{k}": float(v) if isinstance(v, bool) else v for k, v in scalars.items()}
            | {f"reg.weights.{k}": float(v) if k in on else 0.0 for k, v in reg.weights.items()}
            | {f"optimizer.{k}": float(v) for k, v in job.cfg.optimizer.items() if k != "_target_"}
        )
    return {
        key: np.array([each[key] for each in numbers], np.float32 if isinstance(value, float) else np.int32)
        for key, value in numbers[0].items()
    }


def _skeleton(cfg: DictConfig) -> str:
    plain = OmegaConf.to_container(cfg, resolve=True)
    shape = {
        k: plain[k]
        for k in (
            "model",
            "objective",
            "size",
            "precision",
            "device",
            "batch_size",
            "log_every",
            "robustness",
        )
    }
    shape |= {"layer": plain["layer"]["name"], "combine": plain["reg"]["combine"],
              "optimizer": plain["optimizer"]["_target_"]}  # fmt: skip
    return json.dumps(shape, sort_keys=True)
