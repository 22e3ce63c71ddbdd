"""Knobs: the numbers and words that a component takes, declared once, beside its function.

A component is a function of one of the `FAMILIES`, registered by its family's decorator. The schema, the
range checks, whether it is switched on, the arrays of numbers per image, the table in the docs and the
invariant tests are derived from the declaration.
"""

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from deepvis.core import user_code
from deepvis.core.errors import ConfigError
from deepvis.core.names import nearest

Value = bool | int | float | str | tuple[str, ...] | None
Function = TypeVar("Function", bound=Callable[..., Any])
INTEGER = 2**31 - 1  # the largest whole number of a tensor
REQUIRED = "???"  # a knob that has no value of its own: a file of conf/ or the user gives it


@dataclass(frozen=True)
class Knob:
    """A number or a word that a component takes.

    Args:
      default: its neutral value, or `REQUIRED` where a file of conf/ has one; its type is the knob's.
      help: what it does, for the docs.
      low: smallest value allowed; ``above`` where the bound itself is not.
      high: largest value allowed; ``below`` where the bound itself is not.
      unit: what it is measured in, for messages and the docs.
      choices: the words allowed.
      odd: 0 or an odd number.
      kind: its type, where the default does not tell.
      switch: whether another value than the default switches its component on.
      static: part of the compiled program, not a number per image.
    """

    default: Value
    help: str = ""
    low: float = -math.inf
    above: float = -math.inf
    high: float = math.inf
    below: float = math.inf
    unit: str = "number"
    choices: tuple[str, ...] = ()
    odd: bool = False
    kind: type | None = None
    switch: bool = True
    static: bool = False

    @property
    def type(self) -> type:
        """Of its values: bool, int, float, str or tuple."""
        return self.kind or (float if self.default == REQUIRED else type(self.default))

    def read(self, key: str, value: Any) -> Any:
        """A value as its type, within its range.

        Args:
          key: of the config, for the message.
          value: as it was composed.

        Raises:
          ConfigError: another type, or out of range.
        """
        if value is None and self.default is None:
            return None
        if self.type is bool and not isinstance(value, bool):
            raise ConfigError(f"{key}={value}: expected true or false")
        if self.choices and value not in self.choices:
            raise ConfigError(f"{key}={value}: {nearest(str(value), self.choices)}")
        if self.type is bool or self.choices:
            return value
        if self.type is str:
            return str(value)
        if self.type is tuple:
            if isinstance(value, str) or not isinstance(value, Sequence):
                raise ConfigError(f"{key}={value}: expected a list, such as [block1_conv1]")
            return tuple(map(str, value))
        number = value if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
        if self.type is int and self._fits(number) and number > min(self.high, INTEGER):
            raise ConfigError(f"{key}={value}: expected {self.range()}, and at most {INTEGER}")
        if not math.isfinite(number) or not self._fits(number):
            got = ": got text," if isinstance(value, str) else ":"
            raise ConfigError(f"{key}={value}{got} expected {self.range()}{self._off()}")
        return int(number) if self.type is int else float(number)

    def _fits(self, value: float) -> bool:
        inside = self.low <= value <= self.high and value > self.above and value < self.below
        whole = self.type is not int or (math.isfinite(value) and value == int(value))
        return inside and whole and not (self.odd and value and value % 2 != 1)

    def range(self) -> str:
        """The values allowed, in words: ``a factor in (0, 1]``."""
        noun = f"{'an' if self.unit[0] in 'aeiou' else 'a'} {self.unit}"
        if self.choices:
            return ", ".join(self.choices)
        if self.type is int and self.unit == "number":
            noun = "an odd number" if self.odd else "a whole number"
        low, high = max(self.low, self.above), min(self.high, self.below)
        if math.isinf(low) and math.isinf(high):
            return noun
        if math.isinf(high):
            return f"{noun} above {low:g}" if self.above >= self.low else f"{noun} of {low:g} or more"
        left, right = "(" if self.above >= self.low else "[", ")" if self.below <= self.high else "]"
        return f"{noun} in {left}{low:g}, {high:g}{right}"

    def _off(self) -> str:
        off = self.switch and self.default not in (None, REQUIRED)
        return f"; {self.default:g} is off" if off and isinstance(self.default, int | float) else ""


@dataclass(frozen=True, eq=False)  # compared by identity: a function typed anew in a notebook is another
class Component:
    """A function of a family, and its declaration."""

    family: str
    name: str
    function: Callable[..., Any]
    knobs: Mapping[str, Knob]
    traits: Mapping[str, Any] = field(default_factory=dict)  # what only its family has

    @property
    def is_builtin(self) -> bool:
        """Whether it comes with deepvis; others are the user's."""
        return self.function.__module__.startswith("deepvis.")

    def is_on(self, settings: Any) -> bool:
        """Whether a group's settings switch it on."""
        return any(getattr(settings, key) != knob.default for key, knob in self.knobs.items() if knob.switch)

    def parameters(self) -> list[str]:
        """Names of its function's parameters."""
        return list(inspect.signature(self.function).parameters)


_registry: dict[str, dict[str, Component]] = {}
SWITCHED = ("reg", "transform")  # families whose components are all there, on or off
FAMILIES = (
    "reg", "objective", "param", "transform", "optimizer", "start", "attribution", "embedding", "fooling",
    "directions", "weights", "atlas",
)  # fmt: skip


def declare(
    family: str, name: str | None, knobs: Mapping[str, Knob], **traits: Any
) -> Callable[[Function], Function]:
    """A decorator that registers a function as a component; that of each family is made of this."""

    def decorate(function: Function) -> Function:
        made = Component(family, name or function.__name__, function, dict(knobs), traits)
        if family in SWITCHED:
            _check_switchable(made)
        register(made)
        return function

    return decorate


def register(component: Component) -> Component:
    """Add a component to its family; a knob of ``reg`` and ``transform`` belongs to one component alone.

    Raises:
      ConfigError: another component of that name or with one of its knobs is there.
    """
    family = _registry.setdefault(component.family, {})
    old = family.get(component.name)
    if old is not None and old.function.__module__ != component.function.__module__:
        raise ConfigError(
            f"{component.family}: {component.function.__module__}.{component.name} has the name of a "
            f"component of {old.function.__module__}; rename the function"
        )
    others = family.values() if component.family in SWITCHED else ()
    for other in others:
        shared = sorted(set(other.knobs) & set(component.knobs))
        if shared and other.name != component.name:
            raise ConfigError(
                f"{component.family}.{shared[0]}: {component.name} and {other.name} both have it"
            )
    family[component.name] = component
    return component


def _check_switchable(component: Component) -> None:
    """Refuse a function of a family of switches that nothing could switch on, or could not be called."""
    where = f"{component.family}: {component.name}"
    if not any(knob.switch for knob in component.knobs.values()):
        raise ConfigError(f"{where} has no knob that switches it on; expected one whose default is off")
    for key in component.knobs:
        if key in ("combine", "weights"):
            raise ConfigError(f"{where}: {key} is an option of the whole group; rename the knob")
    for key in component.parameters():
        knob = component.knobs.get(key)
        is_given = component.family == "reg" and (key == "mean" or component.traits.get("prepare"))
        if knob is None and not is_given:
            raise ConfigError(f"{where}: its parameter {key} has no Knob in its decorator")
        if knob is not None and knob.type not in (bool, int, float):
            raise ConfigError(
                f"{where}: {key} is {knob.default!r}, expected a number for what its function takes; a word "
                "reaches it by prepare"
            )


def components(family: str) -> dict[str, Component]:
    """The components of a family by name, in the order of their declaration."""
    return dict(_registry.get(family, {}))


def component(family: str, target: str | Callable[..., Any]) -> Component:
    """The component of a function; without its family's decorator its parameters are the knobs.

    Args:
      family: that it is expected to be of.
      target: the function, or where it is: ``my_package.my_module.my_function``. A function without the
        family's decorator takes its parameters as knobs, with their defaults; see `_switched`.

    Raises:
      ConfigError: there is no such function, it belongs to another family, or its parameters do not tell.
    """
    function = _imported(family, target) if isinstance(target, str) else target
    for declared in (each for members in _registry.values() for each in members.values()):
        if declared.function is function:
            if declared.family != family:
                raise ConfigError(f"{family}._target_={target}: is of the family {declared.family}")
            return declared
    if not (inspect.isfunction(function) or inspect.isclass(function)):
        raise ConfigError(
            f"{family}: got {type(function).__name__}, expected a function; wrap it in one made by def"
        )
    if family in SWITCHED:
        return register(_switched(family, function))
    return register(Component(family, function.__name__, function, _signature_knobs(family, function)))


def given(family: str, target: str | Callable[..., Any]) -> dict[str, bool]:
    """What a family of switches is told where a function without a decorator is given: that it acts."""
    known = component(family, target)
    return {known.name: True} if known.traits.get("undecorated") else {}


def _imported(family: str, target: str) -> Any:
    module, _, name = target.rpartition(".")
    if not module:
        raise ConfigError(f"{family}._target_={target}: expected package.module.function")
    of = user_code.imported(f"{family}._target_={target}", module)
    if not hasattr(of, name):
        raise ConfigError(f"{family}._target_={target}: {module} has no function {name}")
    return getattr(of, name)


# Parameters that a function of a family takes before its options.
FIRST = {
    "objective": ("layer", "filters"), "param": ("size", "mean"), "attribution": ("unit",),
    "start": ("size", "seed", "index", "mean"), "embedding": ("codes",), "directions": ("values",),
}  # fmt: skip
DISPLAY = Knob(REQUIRED, "how its images are shown", choices=("auto", "contrast", "natural"), kind=str)


def _signature_knobs(family: str, function: Callable[..., Any]) -> dict[str, Knob]:
    """The options of a function without a decorator: the parameters after the first ones of its family."""
    where, first = f"{family}: {function.__name__}", FIRST.get(family, ())
    parameters = list(inspect.signature(function).parameters.values())
    names = tuple(each.name for each in parameters)
    if names[: len(first)] != first:
        raise ConfigError(f"{where}({', '.join(names)}): expected {', '.join(first)} as its first parameters")
    found: dict[str, Knob] = {"display": DISPLAY} if family == "start" else {}
    for each in parameters[len(first) :]:
        if each.kind not in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY):
            raise ConfigError(f"{where}: got {each}, expected options that have a name each")
        default = REQUIRED if each.default is each.empty else each.default
        if type(default) not in (bool, int, float, str, tuple):
            raise ConfigError(
                f"{where}: {each}: expected a number, a word, true or false, or a tuple of names"
            )
        found[each.name] = Knob(default, static=each.default is not each.empty
                                and isinstance(default, bool | str | tuple))  # fmt: skip
    return found


def _switched(family: str, function: Callable[..., Any]) -> Component:
    """A function without a decorator: a knob of its name says that it acts, for its defaults do not."""
    name = function.__name__
    if not name.isidentifier():
        raise ConfigError(f"{family}: got a function without a name ({name}), expected one made by def")
    found = {
        key: replace(
            knob, default=None if knob.default == REQUIRED else knob.default, kind=knob.type, switch=False
        )
        for key, knob in _signature_knobs(family, function).items()
        if (family, key) != ("reg", "mean")
    }
    switch = Knob(False, f"whether {name} acts: it does where it is given")
    component = Component(family, name, function, {name: switch} | found, {"undecorated": True})
    _check_switchable(component)
    return component
