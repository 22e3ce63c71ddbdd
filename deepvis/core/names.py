"""Units: how a network's layers and their filters are named, and what is said of a wrong name.

No Hydra here: what is read from Python alone needs none.
"""

import difflib
import re
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from deepvis.core.errors import ConfigError

PACKAGE = Path(__file__).resolve().parents[1]
# A wheel carries conf/ inside the package; a checkout has it beside.
CONF = next(p for p in (PACKAGE / "conf", PACKAGE.parent / "conf") if p.is_dir())
FEW = 24  # words that a message may list


def is_plain(name: str) -> bool:
    """Whether a name may be that of a folder, job, sweep or process: none that is plain leads elsewhere."""
    return re.fullmatch(r"[\w=+-][\w.,=+-]*", name) is not None


def new_id() -> str:
    """The id of a new sweep or analysis, the name of its folder."""
    return f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"


def nearest(word: str, valid: Iterable[str]) -> str:
    """The part of a message that helps: the nearest valid word, then all of them, or of many a few."""
    valid = list(valid)
    if len(valid) > FEW:
        close = difflib.get_close_matches(word, valid, n=5, cutoff=0.0)
        near = difflib.get_close_matches(word, valid, n=2, cutoff=0.7)
        meant = f"; did you mean {near[0]}?" if len(near) == 1 else ""
        return f"the nearest of {len(valid)}: {', '.join(close)}{meant}"
    close = difflib.get_close_matches(word, valid, n=1, cutoff=0.6)
    return f"did you mean {close[0]}? ({', '.join(valid)})" if close else f"valid: {', '.join(valid)}"


def filters(
    spec: Any,
    channels: int,
    layer: str,
    what: str = "filters",
    key: str = "layer.filters",
    labels: Sequence[str] = (),
) -> list[int]:
    """The filters that ``layer.filters`` names.

    Args:
      spec: ``0-15``, ``0,3,7``, ``0-3,8``, ``all``, ``first 16`` (or all there are), a number, a class name,
        or a list of these.
      channels: how many the layer has.
      layer: its name, for the message.
      what: they are, for the message.
      key: what was typed, for the message.
      labels: a class name for each channel; see `class_number`.

    Returns:
      Filter indices in the order given, each once.

    Raises:
      ConfigError: not of that form, out of range, no class name or one of several classes, or named twice.

    Example:
      >>> filters("0-2,7", 8, "block1_conv1")
      [0, 1, 2, 7]
      >>> filters(["cat", "0"], 3, "logits", labels=["dog", "bird", "cat, house cat"])
      [2, 0]
    """
    if spec == "all":
        return list(range(channels))
    if leading := re.fullmatch(r"first ([1-9]\d{0,8})", str(spec)) if spec not in labels else None:
        return list(range(min(int(leading[1]), channels)))
    listed = isinstance(spec, Sequence) and not isinstance(spec, str)
    parts = [str(p).strip() for p in (spec if listed else [spec] if spec in labels else str(spec).split(","))]
    indices: list[int] = []
    for part in parts:
        ends = re.fullmatch(r"(\d{1,9})(?:-(\d{1,9}))?", part)
        if ends is None and labels:
            indices.append(class_number(part, labels, layer, key))
            continue
        if ends is None:
            named = "" if not re.search("[^\\W\\d]", part) else f"; {layer} has no class names (model.labels)"
            raise ConfigError(f"{key}={spec}: expected 0-15, 0,3,7 or all; {part!r} is none of them{named}")
        first, last = int(ends[1]), int(ends[2] or ends[1])
        if last < first or last >= channels:
            has = f"{layer} has {channels} {what}, 0 to {channels - 1}"
            raise ConfigError(f"{key}={spec}: {part} is out of range; {has}")
        if part in labels and labels.index(part) != first:
            raise ConfigError(f"{key}={spec}: {part} is the number of one class and the name of channel "
                              f"{labels.index(part)}; type {first}-{first} for the number")  # fmt: skip
        indices.extend(range(first, last + 1))
    if not indices or len(set(indices)) < len(indices):
        raise ConfigError(f"{key}={spec}: expected each filter once, and at least one")
    return indices


def class_number(word: str, labels: Sequence[str], layer: str, key: str) -> int:
    """The channel of a class.

    Args:
      word: one of its names; case, spaces, hyphens and underscores do not matter.
      labels: of each channel the class's names, separated by commas, the one that is shown first.
      layer: for the message.
      key: what was typed, for the message.

    Raises:
      ConfigError: no class has that name, or several have; a name that is shown wins over others.
    """
    ways: tuple[Callable[[str], bool], ...] = (
        lambda label: label == word,
        lambda label: _bare(shown(label)) == _bare(word),
        lambda label: _bare(word) in [_bare(label), *map(_bare, label.split(","))],
    )
    found = next((at for way in ways if (at := [i for i, each in enumerate(labels) if way(each)])), [])
    if len(found) == 1:
        return found[0]
    if found:
        several = ", ".join(f"{labels[i] if len(found) < 4 else shown(labels[i])} ({i})" for i in found)
        raise ConfigError(
            f"{key}={word}: the name of {len(found)} classes of {layer}: {several}; give the number"
        )
    known = {_bare(name): i for i, label in enumerate(labels) for name in label.split(",")}
    close = difflib.get_close_matches(_bare(word), known, n=5, cutoff=0.5)
    near = ", ".join(dict.fromkeys(f"{shown(labels[known[name]])} ({known[name]})" for name in close))
    raise ConfigError(
        f"{key}={word}: no class of {layer}; the nearest of {len(labels)}: {near or 'none is near'}"
    )


def shown(label: str) -> str:
    """The name of a class that is shown: the first of those that its label has."""
    return label.partition(",")[0].strip()


def _bare(name: str) -> str:
    """A name without what does not matter."""
    return re.sub(r"[\W_]+", " ", name.replace("'", "")).strip().casefold() or name.strip()


def spelled(spec: Any, indices: Sequence[int]) -> Any:
    """What was typed of filters, but ``first 16`` as what there is of it.

    Example:
      >>> spelled("first 16", range(4)), spelled("0,3,7", [0, 3, 7])
      ('0-3', '0,3,7')
    """
    return f"0-{len(indices) - 1}" if str(spec).startswith("first ") else spec
