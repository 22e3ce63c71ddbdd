"""``deepvis benchmark``: methods of feature visualization compared on the same units, unit by unit."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deepvis import data
from deepvis.benchmark import assessment, made_images, methods
from deepvis.benchmark.methods import SHARED, Method
from deepvis.cli import analyses, arguments, overrides
from deepvis.config import schema
from deepvis.config.knobs import Knob
from deepvis.core import progress
from deepvis.core.errors import ConfigError
from deepvis.core.names import CONF, nearest
from deepvis.trust import observer

READS = ("data", "layer.filters", "seed", "steps")
SEEDS = Knob(3, "images of each unit and method", low=1, high=1000, switch=False)
PASSES = Knob(0, "passes through the network an image", low=0, high=1_000_000)
JUDGES = "efficientnet_lite1,efficientnet_lite2"
HELP = """deepvis benchmark [methods=...] [data=...]    which method shows units best

  deepvis benchmark layer.filters=0-9 data=folder data.path=photos/      all methods on ten units
  deepvis benchmark methods=decay,blur,maco seeds=5 steps=64             some of them, five seeds, 64 steps
  deepvis benchmark method.mine="reg.decay=0.9 reg.blur=3"               one of your own beside them
  deepvis benchmark budgets=own methods=yosinski_1 method.half="experiment=yosinski_1 steps=250"
  deepvis benchmark images.lucent=lucent.npz                             another library's, measured alike

Optimizes the same units by each method, from the same seeds, once with the same number of passes through the
network and once with the same number of steps: budgets=passes,steps, as many as steps=64 says, or passes=200;
budgets=own gives each the steps that its own preset, or steps= of a method of yours, says.
Measures activation, top-1 share, strength, robustness, log-spectral distance, path similarity, machine 2AFC,
of classes their rank and logit by judges=efficientnet_lite1,efficientnet_lite2, diversity, reproducibility,
and processor time; compares every pair of methods unit by unit. Ten units or more give intervals and tests.
An .npz of another library has images, grey levels [seeds, n, H, W, 3], and filters [n].
Writes outputs/<id>: benchmark.html, results.csv, pairs.csv, units.csv, a sheet of pictures a seed; and logs
one MLflow run. Interrupted, the same command goes on where it was."""


@dataclass(frozen=True)
class Asked:
    """The command's own options, read."""

    compared: Sequence[Method]
    kinds: Sequence[str]  # of budgets
    seeds: int
    passes: int  # 0: as many as steps
    judges: Sequence[str]
    given: Mapping[str, Path]  # files of images that were made elsewhere, by name


@dataclass(frozen=True)
class Prepared:
    """What a task comes to, checked."""

    photographs: data.Photographs
    budgets: Mapping[str, int]
    plan: assessment.Plan


def main(typed: Sequence[str]) -> int:
    """Compute, write and log; returns the exit code."""
    words, own = _named(typed, "method.")
    words, given = _named(words, "images.")
    words, names = arguments.taken(words, "methods", "")
    words, judged = arguments.taken(words, "judges", JUDGES)
    words, budgets = arguments.taken(words, "budgets", ",".join(SHARED))
    words, seeds = arguments.number_taken(words, "seeds", SEEDS)
    words, passes = arguments.number_taken(words, "passes", PASSES)
    kinds = _kinds(budgets)
    for key, reading in (("passes", {"passes"}), ("steps", set(SHARED))):
        if any(each.startswith(f"{key}=") for each in typed) and not reading & set(kinds):
            raise ConfigError(
                f"{key}: budgets={budgets} reads none; expected it with budgets={key}, or left out"
            )
    compared = methods.chosen(_list(names), own, kinds)
    for name, text in own.items():
        if wrong := overrides.fault(text.split(), multirun=False):
            raise ConfigError(f"method.{name}: {wrong}")
    if taken := [name for name in given if name in {each.name for each in compared}]:
        raise ConfigError(f"images.{taken[0]}: there is a method of that name; expected another name")
    models = [path.stem for path in (CONF / "model").glob("*.yaml")]
    for name in _list(judged):
        if name not in models:
            raise ConfigError(f"judges={name}: no such network; {nearest(name, models)}")
    asked = Asked(
        compared, kinds, seeds, passes, _list(judged), {key: Path(path) for key, path in given.items()}
    )
    prepared: dict[Path, Prepared] = {}  # by folder: a plan composes the config of each method

    def check(task: analyses.Task) -> None:
        observer.check(task.job.cfg)
        prepared[task.job.folder] = _prepared(task, asked)

    def compute(task: analyses.Task) -> analyses.Found:
        return _compute(task, asked, prepared[task.job.folder])

    return analyses.run("benchmark", words, compute, READS, check, _completed)


def _completed(typed: Sequence[str]) -> list[str]:
    """Overrides, with 64 steps and ten units in float32 where nothing is said."""
    words = analyses.in_float32(typed)
    defaults = {"steps": "steps=64", "layer.filters": 'layer.filters="first 10"'}
    return [
        *words,
        *(value for key, value in defaults.items() if not any(w.startswith(f"{key}=") for w in words)),
    ]


def _prepared(task: analyses.Task, asked: Asked) -> Prepared:
    """The photographs and the plan of a task; refuses what cannot be made or read."""
    job = task.job
    photographs = data.photographs(schema.plain(job.cfg.data))
    amounts = {"passes": asked.passes or job.cfg.steps, "steps": job.cfg.steps, "own": 0}
    budgets = {kind: amounts[kind] for kind in asked.kinds}
    for path in asked.given.values():
        made_images.given(path, job.filters, job.cfg, asked.seeds)
    planned = assessment.plan(asked.compared, job.cfg, budgets, asked.seeds, photographs)
    return Prepared(photographs, budgets, planned)


def _compute(task: analyses.Task, asked: Asked, prepared: Prepared) -> analyses.Found:
    job = task.job
    count, work = assessment.images_and_work(prepared.plan, job.filters)
    with progress.progress("benchmark", count, work) as shown:
        shown.doing(f"optimizing {len(job.filters)} units by {len(asked.compared)} methods")
        found = assessment.assess(
            job.cfg, prepared.plan, job.filters, job.classes, prepared.photographs, asked.judges, asked.given,
            task.checkpoints, shown.count,
        )  # fmt: skip
    return analyses.Found(
        {"data.digest": prepared.photographs.digest, "benchmark.seeds": asked.seeds,
         "benchmark.methods": ",".join(each.name for each in asked.compared),
         "benchmark.budgets": ",".join(asked.kinds),
         **{f"benchmark.{kind}": amount for kind, amount in prepared.budgets.items() if kind in SHARED}},
        found.metrics(), found.pictures(), found.write, found.told(),
    )  # fmt: skip


def _named(typed: Sequence[str], prefix: str) -> tuple[list[str], dict[str, str]]:
    """The words without ``prefix<name>=value``, and those values by name."""
    found, rest = {}, []
    for each in typed:
        key, sign, value = each.partition("=")
        if key.startswith(prefix) and sign:
            name = key.removeprefix(prefix)
            if not re.fullmatch(r"\w+", name):
                raise ConfigError(f"{each}: expected a name of letters, digits and _ behind {prefix}")
            found[name] = value
        else:
            rest.append(each)
    return rest, found


def _kinds(text: str) -> list[str]:
    kinds, known = _list(text), [*SHARED, "own"]
    for each in kinds:
        if each not in known:
            raise ConfigError(f"budgets={text}: got {each}, expected {', '.join(known)}, or several of these")
    if not kinds:
        raise ConfigError(f"budgets: got none, expected {', '.join(known)}, or several of these")
    return kinds


def _list(text: str) -> list[str]:
    return [each.strip() for each in text.strip("[]").split(",") if each.strip()]
