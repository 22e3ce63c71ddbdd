"""Contents: a digest of every file that a job reads, for its identity: a path says nothing of what it holds.

    files(config) -> {"start.path": File(path as typed, digest)}

A file that was moved is the same file; one that was changed is another, and so is the job.
"""

import functools
import hashlib
import inspect
import pkgutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepvis.ascent import specs, spectra
from deepvis.config import schema
from deepvis.config.knobs import Component
from deepvis.config.schema import Config
from deepvis.core import picture_files
from deepvis.core.names import PACKAGE
from deepvis.networks import held_inputs

# Options that are a path, or hold one; otherwise a word or a list.
PATHS = ("model.path", "model.weights", "model.labels", "start.path", "objective.vectors",
         "objective.pictures", "param.spectrum")  # fmt: skip
WORDS = ("imagenet", "auto", "none", *spectra.WORDS)


@dataclass(frozen=True)
class File:
    """What a job reads: its path, or its module, as typed, and the SHA-256 of its content, 12 digits."""

    path: str
    digest: str


def files(cfg: Config) -> dict[str, File]:
    """The files and folders that a config names, and the user's modules, by key; those that exist.

    Of a module its own source is taken, not that of the modules that it imports.
    """
    found = {}
    for key, value in _texts(schema.plain(cfg)):
        if held_inputs.MARK in value and key.startswith("model.inputs."):
            found[key] = File(*value.split(held_inputs.MARK, 1))
        elif value not in WORDS and (_is_path(key) or _is_own(cfg, key)) and (digest := of(value)):
            found[key] = File(value, digest)
    model = schema.plain(cfg.model)
    for key in ("_target_", "custom_objects"):
        name = str(model.get(key) or "")
        if digest := _of_name(name):
            found[f"model.{key}"] = File(name, digest)
    for component in _components(cfg):
        if digest := _of_function(component.function):
            found[f"{component.family}.{component.name}"] = File(component.function.__module__, digest)
    return found


def without_paths(config: Mapping[str, Any], found: Mapping[str, File]) -> dict[str, Any]:
    """A plain config with contents in place of paths, and with those of the user's modules beside it."""

    def replaced(node: Any, under: str) -> Any:
        if isinstance(node, Mapping):
            return {key: replaced(each, f"{under}.{key}".lstrip(".")) for key, each in node.items()}
        if isinstance(node, list):
            return [replaced(each, f"{under}.{i}") for i, each in enumerate(node)]
        file = found.get(under)
        return file.digest if file and file.path == str(node).partition(held_inputs.MARK)[0] else node

    return replaced(config, "") | {"files": {key: file.digest for key, file in sorted(found.items())}}


def of(path: str) -> str | None:
    """The digest of a file, or of the pictures in a folder, in their order; None where there is none."""
    try:
        place = Path(path).expanduser()
        if place.is_file():
            stat = place.stat()
            return _digest(place.resolve(), stat.st_mtime_ns, stat.st_size)
        if place.is_dir():
            each = (of(str(file)) or "" for file in picture_files.in_folder(place))
            return hashlib.sha256(" ".join(each).encode()).hexdigest()[:12]
    except (OSError, ValueError, RuntimeError):  # not readable, or no path at all
        return None
    return None


def _is_path(key: str) -> bool:
    return any(key == each or key.startswith(f"{each}.") for each in PATHS)


def _is_own(cfg: Config, key: str) -> bool:
    """Whether an option is one of a function of the user's: any text may be a path."""
    group, _, rest = key.partition(".")
    target = getattr(getattr(cfg, group, None), "target", None)
    return bool(rest) and target is not None and not str(_name(target)).startswith("deepvis.")


def _name(target: Any) -> str:
    return target if isinstance(target, str) else f"{target.__module__}.{target.__qualname__}"


def _components(cfg: Config) -> list[Component]:
    """Functions of the user's that a config uses."""
    chosen = [group for group in schema.CHOICES if _is_own(cfg, f"{group}.target")]
    components = [schema.component(group, getattr(cfg, group)) for group in chosen] + specs.enabled(cfg)
    return [each for each in components if not each.is_builtin]


def _texts(node: Any, under: str = "") -> Iterator[tuple[str, str]]:
    """Every text of a plain config, with its dotted key; of a list the place counts as a key."""
    if isinstance(node, Mapping | list):
        items = node.items() if isinstance(node, Mapping) else enumerate(node)
        for key, value in items:
            yield from _texts(value, f"{under}.{key}".lstrip("."))
    elif isinstance(node, str):
        yield under, node


def _of_name(name: str) -> str | None:
    """The source of a module of the user's, or of what it defines; None of deepvis' own."""
    try:
        return _of_function(pkgutil.resolve_name(name)) if name and not name.startswith("deepvis.") else None
    except (ImportError, AttributeError, ValueError):  # validation says so
        return None


def _of_function(function: Any) -> str | None:
    """The source of the module that defines a function; of one typed in a notebook the function's own."""
    try:
        if getattr(function, "__module__", "") == "__main__":
            return hashlib.sha256(inspect.getsource(function).encode()).hexdigest()[:12]
        file = Path(inspect.getsourcefile(function) or "")
    except (TypeError, OSError):
        return None
    return None if file.is_relative_to(PACKAGE) else of(str(file))


@functools.cache
def _digest(path: Path, changed: int, size: int) -> str:
    """Of a file, once as long as it is not changed."""
    del changed, size
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]
