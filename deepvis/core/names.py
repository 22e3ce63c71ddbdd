"""Units: how a network's layers and their filters are named, and what is said of a wrong name.

No Hydra here: what is read from Python alone needs none.
"""

import difflib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from deepvis.core.errors import ConfigError

PACKAGE = Path(__file__).resolve().parents[1]
# A wheel carries conf/ inside the package; a checkout has it beside.
CONF = next(p for p in (PACKAGE / "conf", PACKAGE.parent / "conf") if p.is_dir())
FEW = 20  # words that a message may list


def nearest(word: str, valid: Iterable[str]) -> str:
    """The part of a message that helps: the nearest valid word, then all of them, or of many a few."""
    valid = list(valid)
    if len(valid) > FEW:
        close = difflib.get_close_matches(word, valid, n=5, cutoff=0.0)
        return f"the nearest of {len(valid)}: {', '.join(close)}"
    close = difflib.get_close_matches(word, valid, n=1, cutoff=0.6)
    return f"did you mean {close[0]}? ({', '.join(valid)})" if close else f"valid: {', '.join(valid)}"


def filters(
    spec: Any, channels: int, layer: str, what: str = "filters", key: str = "layer.filters"
) -> list[int]:
    """The filters that ``layer.filters`` names.

    Args:
      spec: ``0-15``, ``0,3,7``, ``0-3,8``, ``all``, a number, or a list of numbers.
      channels: how many the layer has.
      layer: its name, for the message.
      what: they are, for the message.
      key: what was typed, for the message.

    Returns:
      Filter indices in the order given, each once.

    Raises:
      ConfigError: not of that form, out of range, or named twice.

    Example:
      >>> filters("0-2,7", 8, "block1_conv1")
      [0, 1, 2, 7]
    """
    if spec == "all":
        return list(range(channels))
    parts = [
        str(p).strip()
        for p in (spec if isinstance(spec, Sequence) and not isinstance(spec, str) else str(spec).split(","))
    ]
    indices: list[int] = []
    for part in parts:
        ends = re.fullmatch(r"(\d{1,9})(?:-(\d{1,9}))?", part)
        if ends is None:
            raise ConfigError(f"{key}={spec}: expected 0-15, 0,3,7 or all; {part!r} is none of them")
        first, last = int(ends[1]), int(ends[2] or ends[1])
        if last < first or last >= channels:
            has = f"{layer} has {channels} {what}, 0 to {channels - 1}"
            raise ConfigError(f"{key}={spec}: {part} is out of range; {has}")
        indices.extend(range(first, last + 1))
    if not indices or len(set(indices)) < len(indices):
        raise ConfigError(f"{key}={spec}: expected each filter once, and at least one")
    return indices
