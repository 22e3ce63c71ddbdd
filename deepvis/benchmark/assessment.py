"""A benchmark: (methods, units, budgets, seeds, photographs) -> `Benchmark`."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from deepvis.benchmark import made_images, measures
from deepvis.benchmark import methods as known_methods
from deepvis.benchmark.methods import Method
from deepvis.benchmark.record import Benchmark, Entry
from deepvis.config import schema
from deepvis.config.schema import Config
from deepvis.core import images
from deepvis.data import Photographs
from deepvis.metrics import signed_rank
from deepvis.networks import class_names, network
from deepvis.results import result_folder
from deepvis.trust.image_scores import judges

SHOWN = 2  # photographs of a unit beside its pictures
Plan = Sequence[tuple[Method, str, Sequence[Config]]]  # method, budget, a config a seed


def plan(
    methods: Sequence[Method], base: Config, budgets: Mapping[str, int], seeds: int, photographs: Photographs
) -> Plan:
    """What is to be optimized, checked.

    Args:
      methods: to compare.
      base: network, units, size and precision of all.
      budgets: by kind, passes, steps or own, how many of it; of a method's own any number.
      seeds: images of each unit.
      photographs: one of which, another for each seed, is what some methods begin with.

    Raises:
      ConfigError: a method that cannot be optimized so, in one line.
    """
    drawn = np.random.default_rng(base.seed).permutation(len(photographs))
    found = []
    for method in methods:
        starts = [photographs.paths[int(drawn[k % len(drawn)])] for k in range(seeds)]
        own = [
            replace(known_methods.config(method, base, start), seed=base.seed + k)
            for k, start in enumerate(starts if known_methods.needs_photograph(method) else [None] * seeds)
        ]
        for budget, amount in budgets.items():
            count = known_methods.steps(own[0], budget, amount)
            configs = [replace(each, steps=count, snapshot_every=count) for each in own]
            known_methods.check(method, configs[0])
            found.append((method, budget, configs))
    return found


def images_and_work(planned: Plan, filters: Sequence[int]) -> tuple[int, int]:
    """The images to be optimized, and their images x steps; what two budgets share is done once."""
    once = {
        (method.name, configs[0].steps): (len(configs) + 1) * len(filters) for method, _, configs in planned
    }
    return sum(once.values()), sum(steps * count for (_, steps), count in once.items())


def assess(
    base: Config,
    planned: Plan,
    filters: Sequence[int],
    classes: Sequence[str],
    photographs: Photographs,
    judged_by: Sequence[str],
    given: Mapping[str, Path],
    folder: Path,
    tell: Callable[[int, int], None] = lambda work, images: None,
) -> Benchmark:
    """Optimize the images of each method, and measure all of them alike.

    Args:
      base: network, units, size and precision of all.
      planned: see `plan`.
      filters: channels of its layer.
      classes: what they are called, or nothing.
      photographs: that images are compared with.
      judged_by: networks that judge pictures of classes.
      given: files of images that were made elsewhere, by name.
      folder: where images are kept, so that an interrupted benchmark goes on.
      tell: is called with the images x steps, and the images, done since.
    """
    plain = schema.plain(base.model)
    labels = class_names(plain, network(plain).layer(base.layer.name))
    judging, missing = (
        judges([each for each in judged_by if each != base.model.name], labels) if labels else ({}, [])
    )
    using = measures.instruments(base, filters, photographs, judging)
    entries, done = [], {}
    for method, budget, configs in planned:
        steps, width = configs[0].steps, min(base.batch_size, (len(configs) + 1) * len(filters))
        key = (method.name, steps)
        if key not in done:
            made = made_images.made(configs, filters, folder, functools.partial(tell, width, 0))
            done[key] = made, measures.measured(using, made)
        made, rows = done[key]
        entries.append(
            Entry(method.name, budget, " ".join(method.overrides), steps,
                  steps * known_methods.passes_per_step(configs[0]), made.seconds, made.shown, rows)
        )  # fmt: skip
    for name, path in given.items():
        made = made_images.given(path, filters, base, len(planned[0][2]))
        entries.append(
            Entry(
                name, "given", str(path.name), 0, np.nan, np.nan, made.shown, measures.measured(using, made)
            )
        )
    return Benchmark(
        f"{base.layer.name} of {base.model.name}", filters, result_folder.captions_for(filters, classes, str),
        entries, _examples(using, photographs, base),
        [*missing, *_notes(using, photographs, filters, judging)],
    )  # fmt: skip


def _examples(using: measures.Instruments, photographs: Photographs, base: Config) -> np.ndarray:
    """The photographs that excite each unit most, uint8 ``[n, SHOWN, H, W, 3]``."""
    found, channels = using.natural.found, len(base.model.mean)
    order = np.argsort(-found.values[:, list(using.filters)], axis=0, kind="stable")[:SHOWN].T

    def shown(which: int) -> np.ndarray:
        return images.natural(photographs.image(which, base.sides, channels), [0.0] * channels)

    return np.array([[shown(int(found.indices[k])) for k in row] for row in order])


def _notes(
    using: measures.Instruments,
    photographs: Photographs,
    filters: Sequence[int],
    judging: Mapping[str, object],
) -> list[str]:
    said = [f"observer  {using.observer} looked at the pictures; beside {len(photographs)} photographs"]
    if judging:
        said.append(f"judges    {', '.join(judging)} judged the classes")
    if len(filters) < signed_rank.FEW:
        said.append(
            f"advice    units: {len(filters)}; fewer than {signed_rank.FEW} give neither intervals nor tests"
        )
    if len(photographs) < 1000:
        said.append("advice    path similarity, 2AFC and spectra beside so few photographs hold for these")
    return said
