"""Terms: how a sum of objectives is written, and which layers an objective's config reads.

    parse(text) -> [Term, ...]

Known before anything heavy is: no TensorFlow here.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

KINDS = ("channel", "neuron", "layer")  # each is a function of that name in deepvis/objectives.py

_TERM = re.compile(
    r"(?:(?P<weight>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?) )?"
    r"(?P<kind>[A-Za-z_]+)"
    r"(?: (?P<index>\d{1,9}))?"
    r"(?: of (?P<layer>\S+))?",
    re.ASCII,
)


@dataclass(frozen=True)
class Term:
    """One term of a sum."""

    weight: float  # with its sign
    kind: str  # one of KINDS
    index: int | None  # of a channel; None is the image's own filter
    layer: str | None  # None is the job's own


def parse(text: str) -> list[Term]:
    """The terms of a sum.

    Args:
      text: ``[weight] kind [index] [of layer]``, joined by ``+`` and ``-``. A sign has a space before it.

    Returns:
      They, in the order given.

    Raises:
      ValueError: not of that form; one line, which quotes what is wrong.

    Example:
      >>> for term in parse("channel - 0.5 channel 7 of block4_conv1"):
      ...     print(term.weight, term.kind, term.index, term.layer)
      1.0 channel None None
      -0.5 channel 7 block4_conv1
    """
    signed: list[tuple[str, list[str]]] = []
    for word in text.split():
        if word[0] in "+-":
            signed.append((word[0], []))
            word = word[1:]
        elif not signed:
            signed.append(("+", []))
        if word:
            signed[-1][1].append(word)
    if not signed:
        raise ValueError(f"{text!r}: expected at least one term, like channel 3 - 0.5 channel 7")
    return [_term(sign, " ".join(words)) for sign, words in signed]


def layers_of(options: Mapping[str, Any], pictures: Mapping[str, bool], layer: str) -> list[str]:
    """All layers that an objective's config reads besides the job's own.

    They are those of its ``terms``, and those in its lists; ``content_layers`` is read unless the picture
    ``content`` is null.

    Args:
      options: of the objective.
      pictures: that it compares with, and whether they are given.
      layer: the job's own.

    Returns:
      Their names, each once.

    Raises:
      ValueError: its terms cannot be read.

    Example:
      >>> layers_of({"terms": "channel 3 - channel 7 of conv2 + layer of conv1"}, {}, "conv1")
      ['conv2']
    """
    named = [term.layer or layer for term in parse(options["terms"])] if "terms" in options else []
    for key in options:
        if key.endswith("_layers") and pictures.get(key.removesuffix("_layers"), True):
            named += options[key]
    return [each for each in dict.fromkeys(named) if each != layer]


def _term(sign: str, written: str) -> Term:
    found = _TERM.fullmatch(written)
    if found is None:
        form = "expected [weight] kind [index] [of layer], like 0.5 channel 7 of block4_conv1"
        raise ValueError(f"{f'{sign} {written}'.strip()!r}: {form}")
    kind, index, of = found["kind"], found["index"], found["layer"]
    weight = float(sign + (found["weight"] or "1"))
    if kind not in KINDS:
        raise ValueError(f"{written!r}: no objective {kind!r} in a sum; valid: {', '.join(KINDS)}")
    if kind == "layer" and index is not None:
        raise ValueError(f"{written!r}: a layer is taken as a whole, without an index")
    if not math.isfinite(weight):
        raise ValueError(f"{written!r}: expected a finite weight")
    return Term(weight, kind, None if index is None else int(index), of)
