"""Methods: overrides of a job, the passes through the network that a step takes, and a budget's steps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import yaml
from hydra.errors import HydraException

from deepvis import networks
from deepvis.ascent import octaves, specs, validation
from deepvis.config import compose, schema
from deepvis.config.schema import Config
from deepvis.core.errors import ConfigError, first_line
from deepvis.core.names import CONF, nearest

FILE = CONF / "methods.yaml"
BUDGETS = {  # what each gives the methods
    "passes": "the same number of passes",
    "steps": "the same number of steps",
    "own": "each its own number of steps",
    "given": "images made elsewhere",
}
SHARED = ("passes", "steps")  # what there is a number of
OWN = ("experiment", "optimizer", "param", "reg", "start", "transform")  # groups that a method chooses


@dataclass(frozen=True)
class Method:
    """A way to make an image."""

    name: str
    overrides: tuple[str, ...]  # of a job; words in braces are filled in


def known() -> dict[str, Method]:
    """The methods of conf/methods.yaml, by name."""
    listed: Mapping[str, str] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return {name: Method(name, tuple(typed.split())) for name, typed in listed.items()}


def chosen(names: Sequence[str], own: Mapping[str, str], budgets: Sequence[str] = SHARED) -> list[Method]:
    """Methods by their names, then those of a user's own.

    Args:
      names: in conf/methods.yaml; none: all of them.
      own: overrides, separated by blanks, by name.
      budgets: within which they are compared; a method says how many steps it takes where each has its own.

    Raises:
      ConfigError: no such method, or none.
    """
    listed = known()
    for at, name in enumerate(names):
        if name not in listed:
            raise ConfigError(f"methods={name}: no such method; {nearest(name, list(listed))}")
        if name in names[:at]:
            raise ConfigError(f"methods={','.join(names)}: got {name} twice, expected it once")
    for name, typed in own.items():
        if name in listed:
            raise ConfigError(f"method.{name}: there is a method of that name; expected another name")
        if not typed.split():
            raise ConfigError(f'method.{name}: got nothing, expected options: "reg.decay=0.9 reg.blur=3"')
        for each in typed.split():
            if each.startswith("steps=") and "own" in budgets:
                if shared := [budget for budget in budgets if budget != "own"]:
                    raise ConfigError(
                        f"method.{name}: got {each}, which budgets={shared[0]} decides; expected budgets=own"
                    )
                continue
            if each.lstrip("+~").partition("=")[0].partition(".")[0] not in OWN:
                raise ConfigError(
                    f"method.{name}: got {each}, which all methods share; "
                    f"expected options of {', '.join(OWN)}"
                )
    mine = [Method(name, tuple(typed.split())) for name, typed in own.items()]
    return [listed[name] for name in (names or listed)] + mine


def needs_photograph(method: Method) -> bool:
    """Whether its images begin as a photograph."""
    return any("{photograph}" in each for each in method.overrides)


def config(method: Method, base: Config, photograph: Path | None = None) -> Config:
    """The config of a method's images, of as many steps as its job has; what all share is the benchmark's.

    Args:
      method: one of them.
      base: of a job, checked, with its device and batch size: what all methods share.
      photograph: that its images begin as.

    Raises:
      ConfigError: in one line, with the method's name.
    """
    if len(set(base.sides)) > 1:
        raise ConfigError(f"size={list(base.sides)}: expected a square, which all methods can make")
    layers = list(networks.network(schema.plain(base.model)).layers())
    values = {
        "{photograph}": "'" + str(photograph).replace("'", "\\'") + "'", "{size}": str(base.sides[0]),
        "{middle}": layers[layers.index(base.layer.name) // 2],
    }  # fmt: skip
    typed = list(method.overrides)
    for word, value in values.items():
        typed = [each.replace(word, value) for each in typed]
    try:
        own = schema.resolve(compose.plain_mapping(compose.config(typed)))
    except (ConfigError, HydraException) as err:
        raise ConfigError(f"method {method.name}: {first_line(err)}") from err
    return replace(
        own, model=base.model, layer=base.layer, size=base.size, precision=base.precision,
        device=base.device, batch_size=base.batch_size, data=base.data, objective=base.objective,
        seed=base.seed, snapshot_every=own.steps, twins=0, robustness=False, examples=0, trust=False,
        alpha=False,
    )  # fmt: skip


def check(method: Method, cfg: Config) -> None:
    """Refuse what could not be optimized, or whose passes cannot be counted beforehand.

    Raises:
      ConfigError: in one line, with the method's name.
    """
    try:
        validation.check(cfg)
        passes_per_step(cfg)
    except ConfigError as err:
        raise ConfigError(f"method {method.name}: {err}") from err


def passes_per_step(cfg: Config) -> float:
    r"""Passes through the network, forwards and backwards, that an image takes a step: by the pixels seen.

    .. math:: n = w \, \frac{h' w'}{h w} \, (1 + [\text{accentuation}])

    with :math:`w` windows a step of :math:`h' \times w'` px, of an image of :math:`h \times w`; of octaves
    the mean over them. Accentuation passes the picture that it begins as, too.

    Raises:
      ConfigError: a line search takes any number.
    """
    if schema.component("optimizer", cfg.optimizer).name == "lbfgs":
        raise ConfigError("optimizer=lbfgs: takes any number of passes a step; expected another step rule")
    height, width = cfg.sides
    wider = 2 * cfg.transform.pad - cfg.transform.crop
    count, scale = getattr(cfg.param, "octaves", 1), getattr(cfg.param, "octave_scale", 1.0)
    if cfg.transform.crops:
        pixels = float(cfg.transform.crops * cfg.transform.crops_px**2)
    else:
        sides = octaves.sizes(count, scale, (height, width))
        pixels = sum((h + wider) * (w + wider) for h, w in sides) / len(sides)
    return pixels / (height * width) * (2 if specs.static_config(cfg).accentuation else 1)


def steps(cfg: Config, budget: str, amount: int) -> int:
    """The steps of a method within a budget: so many, as many as come nearest to so many passes, or its own.

    Args:
      cfg: of the method.
      budget: passes, steps or own.
      amount: of the budget.
    """
    if budget == "own":
        return cfg.steps
    return amount if budget == "steps" else max(1, round(amount / passes_per_step(cfg)))
