"""Which places of the image tokens are: `Graph` -> {tensor [B, N, C]: `Places`}, followed call by call.

Tokens come of a map [B, h, w, C] whose places are laid out in one axis, by rows. Others (a class token, a
distillation token, registers) may stand before or behind them.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from deepvis.networks.keras_graph import Call, Graph
from deepvis.networks.layer_kinds import families

MOST_EXTRA_TOKENS = 8


@dataclass(frozen=True, eq=False)
class Places:
    """Where the places of a map are among tokens."""

    map: Any  # symbolic tensor [B, h, w, C]
    axis: int  # of the tokens
    count: int | None  # of all tokens, the extra ones too
    first: int  # index of the first place
    assumed: Any = (
        None  # the tensor whose extra tokens a layer of unknown code added; taken to be the first ones
    )


@functools.lru_cache(maxsize=4)
def of_graph(graph: Graph) -> Mapping[int, Places]:
    """By ``id(tensor)``."""
    known: dict[int, Places] = {}
    for call in graph.calls:
        sources = [known[id(each)] for each in call.inputs if id(each) in known]
        maps = [each for each in call.inputs if len(each.shape) == 4 and id(each) not in known]
        for out in call.outputs:
            found = _of(call, out, sources, maps, known)
            if found is not None:
                known[id(out)] = found
    return known


def _of(
    call: Call, out: Any, sources: Sequence[Places], maps: Sequence[Any], known: Mapping[int, Places]
) -> Places | None:
    shape = tuple(out.shape)
    if len(shape) == 4 and sources and not maps and not _is_map_again(shape, sources[0]):
        return sources[0]  # such as the heads of an attention
    if len(shape) != 3:
        return None
    if not sources:
        return _laid_out(call, out, maps[0]) if maps else None
    source, kind = sources[0], type(call.layer).__name__
    if kind in ("Permute", "Transpose") and len(call.inputs[0].shape) == 3:
        order = (
            [0, *call.layer.dims]
            if kind == "Permute"
            else [axis % 3 for axis in call.layer.axes or (2, 1, 0)]
        )
        return replace(source, axis=order.index(source.axis)) if order[0] == 0 else None
    if kind == "Concatenate" and call.layer.axis % 3 == source.axis:
        before = 0
        for each in call.inputs:
            if id(each) in known:
                break
            before += int(each.shape[source.axis] or 0)
        return replace(source, count=shape[source.axis], first=source.first + before)
    fitting = next((each for each in sources if shape[each.axis] == each.count), None)
    return fitting or _counted(replace(source, axis=1), out)


def _laid_out(call: Call, out: Any, image: Any) -> Places | None:
    """Of a call that reads a map and gives tokens."""
    places = Places(image, 1, out.shape[1], 0)
    if None in (out.shape[1], *image.shape[1:3]):
        return places if "Reshape" in families(call.layer) else None
    return _counted(places, out)


def _counted(places: Places, out: Any) -> Places | None:
    """By how many tokens there are, where a layer changed their number."""
    count, (height, width) = out.shape[1], places.map.shape[1:3]
    if None in (count, height, width) or not 0 <= count - height * width <= MOST_EXTRA_TOKENS:
        return None
    extra = count - height * width
    return replace(places, count=count, first=extra, assumed=out if extra else None)


def _is_map_again(shape: tuple[int | None, ...], places: Places) -> bool:
    height, width = shape[1:3]
    if height is None or width is None or places.count is None:
        return (height, width) == tuple(places.map.shape[1:3])
    return 0 <= places.count - height * width <= MOST_EXTRA_TOKENS
