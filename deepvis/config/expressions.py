"""Expressions: how a sum of objectives is written, and which layers an objective's config reads."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

KINDS = ("channel", "neuron", "layer")  # functions of deepvis.ascent.objectives

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
    index: int | None  # of a channel; None is the image's filter
    layer: str | None  # None is the job's


def parse(text: str) -> list[Term]:
    """The terms of a sum.

    Args:
      text: ``[weight] kind [index] [of layer]``, joined by ``+`` and ``-``. A sign has a space before it.

    Raises:
      ValueError: not of that form; one line, which quotes what is wrong.
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
    """The names of all layers that an objective's config reads besides the job's.

    Args:
      options: of the objective: its ``terms``, and lists such as ``content_layers``, which is read unless the
        picture ``content`` is null.
      pictures: that it compares with, and whether they are given.
      layer: of the job.

    Raises:
      ValueError: its terms cannot be read.
    """
    names = [term.layer or layer for term in parse(options["terms"])] if "terms" in options else []
    for key in options:
        if key.endswith("_layers") and pictures.get(key.removesuffix("_layers"), True):
            names += options[key]
    return [name for name in dict.fromkeys(names) if name != layer]


def _term(sign: str, written: str) -> Term:
    match = _TERM.fullmatch(written)
    if match is None:
        form = "expected [weight] kind [index] [of layer], like 0.5 channel 7 of block4_conv1"
        raise ValueError(f"{f'{sign} {written}'.strip()!r}: {form}")
    kind, index, of = match["kind"], match["index"], match["layer"]
    weight = float(sign + (match["weight"] or "1"))
    if kind not in KINDS:
        raise ValueError(f"{written!r}: no objective {kind!r} in a sum; valid: {', '.join(KINDS)}")
    if kind == "layer" and index is not None:
        raise ValueError(f"{written!r}: a layer is taken as a whole, without an index")
    if not math.isfinite(weight):
        raise ValueError(f"{written!r}: expected a finite weight")
    return Term(weight, kind, None if index is None else int(index), of)
