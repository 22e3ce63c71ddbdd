"""Parameters: a resolved config -> flat parameters, as MLflow, tables and reports have them.

Two jobs with the same values have the same parameters, whatever was typed to get them.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from deepvis.config.knobs import components
from deepvis.core.names import CONF

Value = bool | int | float | str

# What names a job, and the groups whose knobs are logged whether they vary or not.
NAMES = ("model", "layer", "layer.filters", "steps", "size", "seed", "precision")
KNOBS = ("reg", "objective", "optimizer")
# Where the results go, how they are batched and watched, whether they are compared with photographs;
# everything else is part of a job's identity.
NOT_IDENTITY = (
    "tracker", "batch_size", "snapshot_every", "resume", "resume_force", "max_jobs", "device",
    "objective_value", "trust",
)  # fmt: skip


def flatten(config: Mapping[str, Any]) -> dict[str, Value]:
    """A resolved config as one level of dotted keys.

    The key of a group has the component's ``name``, or the last part of its ``_target_``. A list is text, and
    null is ``none``.
    """
    flat: dict[str, Value] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            component = value.get("name") or str(value.get("_target_") or "").rpartition(".")[2]
            if component:
                flat[key] = str(component)
            knobs = {name: knob for name, knob in value.items() if name not in ("name", "_target_")}
            flat |= {f"{key}.{name}": knob for name, knob in flatten(knobs).items()}
        else:
            flat[key] = _value(value)
    return flat


def varied(configs: Sequence[Mapping[str, Value]]) -> list[str]:
    """The keys whose values differ between flat configs, without those that identify nothing."""
    keys = dict.fromkeys(key for config in configs for key in config)
    return [
        key
        for key in keys
        if key.partition(".")[0] not in NOT_IDENTITY and len({config.get(key) for config in configs}) > 1
    ]


def main(config: Mapping[str, Value], varied: Collection[str] = ()) -> dict[str, Value]:
    """What of a flat config is shown: what names the job, the main knobs, and the varied keys.

    The weights of a mix are knobs of a mix alone, and options of a regularizer that is off are left out.
    """
    idle = _idle(config)
    main = [key for key in config if key.partition(".")[0] in KNOBS and key not in idle]
    keys = [key for key in config if key in main or key in varied]
    return {key: config[key] for key in dict.fromkeys([*NAMES, *keys]) if key in config}


def _idle(config: Mapping[str, Value]) -> set[str]:
    """The keys under ``reg`` that nothing reads: weights without a mix, options of what is off."""
    idle = {key for key in config if key.startswith("reg.weights.")} - (
        set(config) if config.get("reg.combine") == "mix" else set()
    )
    for component in components("reg").values():
        switches = {f"reg.{key}": knob.default for key, knob in component.knobs.items() if knob.switch}
        if all(config.get(key, off) == off for key, off in switches.items()):
            idle |= {f"reg.{key}" for key in component.knobs} - set(switches)
    return idle


def written(value: Value) -> int | float | str:
    """A value as a person types it: 1.0 is 1, ``range()``'s 0.9800000000000001 is 0.98, True is ``true``."""
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, float):
        return value
    value = float(f"{value:.12g}")
    return int(value) if value.is_integer() and abs(value) < 1e15 else value


def choices(overrides: Iterable[str]) -> dict[str, str]:
    """The choices of groups among typed overrides."""
    typed = (override.lstrip("+").partition("=") for override in overrides)
    return {key: value for key, _, value in typed if key and value and (CONF / key).is_dir()}


def _value(value: Any) -> Value:
    if value is None:
        return "none"
    if isinstance(value, list | tuple):
        items = (
            f"[{_value(item)}]" if isinstance(item, list | tuple) else str(_value(item)) for item in value
        )
        return ",".join(items) or "[]"
    return value if isinstance(value, bool | int | float | str) else str(value)
