"""Which places of the image tokens are: `Graph` -> {tensor [B, N, C]: `Places`}, followed call by call.

Tokens come of a map [B, h, w, C], or of square patches of it, laid out in one axis, by rows. Others (a class
token, a distillation token, registers) may stand before or behind them. What a layer of unknown code does is
inferred from how many tokens it gives; `Assumption.holds` asks the layer itself before anything is believed.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from deepvis.networks.keras_graph import Call, Graph
from deepvis.networks.layer_kinds import families

MOST_EXTRA_TOKENS = 8
CHANGED = 1e-5  # of the largest value: more than rounding


@dataclass(frozen=True, eq=False)
class Assumption:
    """A call of unknown code, and what its tokens were taken to be."""

    call: Call
    source: Any  # symbolic tensor that it reads: the map, or tokens
    before: int | None  # tokens before the places in what it reads; None: that is a map
    after: int  # tokens before the places in what it gives

    def holds(self, grid: tuple[int, int], inputs: Sequence[np.ndarray]) -> bool:
        """Whether a row or column that changes in what it reads changes its own tokens, and no others.

        Args:
          grid: rows and columns of places.
          inputs: values of all that it reads, one image each.
        """
        draws, values = np.random.default_rng(0), dict(zip(map(id, self.call.inputs), inputs, strict=True))
        read = values[id(self.source)]
        place = np.arange(grid[0] * grid[1]).reshape(grid)
        owner = place if self.before is None else place.ravel()
        if self.before is None:  # the place of each pixel; -1: of none
            cell = [side // count for side, count in zip(read.shape[1:3], grid, strict=True)]
            owner = place.repeat(cell[0], axis=0).repeat(cell[1], axis=1)
            owner = np.pad(owner, [(0, n - m) for n, m in zip(read.shape[1:3], owner.shape, strict=True)],
                           constant_values=-1)  # fmt: skip
        else:
            behind = read.shape[1] - self.before - owner.size
            owner = np.pad(owner, (self.before, behind), constant_values=-1)
        bands = [*place, *place.T]
        noise = draws.normal(0, float(read.std()) or 1.0, read.shape)
        changes = [np.zeros_like(noise), *(noise * np.isin(owner, band)[..., None] for band in bands)]
        values = {key: np.repeat(each, len(changes), axis=0) for key, each in values.items()}
        values[id(self.source)] = np.concatenate([read + each for each in changes]).astype(read.dtype)
        arguments: Any = keras.tree.map_structure(
            lambda each: keras.ops.convert_to_tensor(values[id(each)]) if id(each) in values else each,
            self.call.arguments,
        )
        out = np.asarray(keras.tree.flatten(self.call.layer(*arguments[0], **arguments[1]))[0])
        if out.ndim != 3 or out.shape[1] < self.after + place.size:
            return False
        changed = (np.abs(out[1:] - out[:1]) > CHANGED * np.abs(out).max()).any(axis=-1)
        expected = np.zeros_like(changed)
        for row, band in zip(expected, bands, strict=True):
            row[self.after + band] = True
        return np.array_equal(changed, expected)


@dataclass(frozen=True, eq=False)
class Places:
    """Where the places of a map are among tokens."""

    map: Any  # symbolic tensor [B, h, w, C]
    axis: int  # of the tokens
    count: int | None  # of all tokens, the extra ones too
    first: int  # index of the first place
    patch: int = 1  # px of the map that a place is wide and high; 0: not known yet
    assumed: tuple[Assumption, ...] = ()

    def grid(self, shape: Sequence[int | None]) -> tuple[int, int] | None:
        """Rows and columns of places of a map of this shape; None where it has no size."""
        height, width = shape[1:3]
        if height is None or width is None or not self.patch:
            return None
        return height // self.patch, width // self.patch


@functools.lru_cache(maxsize=4)
def of_graph(graph: Graph) -> Mapping[int, Places]:
    """By ``id(tensor)``."""
    known: dict[int, Places] = {}
    for call in graph.calls:
        sources = [each for each in call.inputs if id(each) in known]
        maps = [each for each in call.inputs if len(each.shape) == 4 and id(each) not in known]
        for out in call.outputs:
            found = _of(call, out, sources, maps, known)
            if found is not None:
                known[id(out)] = found
    return known


def _of(
    call: Call, out: Any, read: Sequence[Any], maps: Sequence[Any], known: Mapping[int, Places]
) -> Places | None:
    shape, sources = tuple(out.shape), [known[id(each)] for each in read]
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
    fitting = next((each for each in sources if each.patch and shape[each.axis] == each.count), None)
    if fitting is not None:
        return fitting
    if not source.patch:
        return _patched(source, shape[1], call, read[0])
    if source.axis != 1 or len(read[0].shape) != 3:
        return None
    return _counted(replace(source, axis=1), call, out, read[0])


def _laid_out(call: Call, out: Any, image: Any) -> Places | None:
    """Of a call that reads a map and gives tokens."""
    places = Places(image, 1, out.shape[1], 0)
    if "Reshape" in families(call.layer) and None in (out.shape[1], *image.shape[1:3]):
        return places
    if None in image.shape[1:3]:
        return None
    by_pixel = _counted(places, call, out, image)
    if by_pixel is not None or families(call.layer):  # no layer of Keras' own cuts patches and lays them out
        return by_pixel
    patched = replace(places, patch=0, assumed=(Assumption(call, image, None, 0),))
    return patched if out.shape[1] is None else _patched(patched, out.shape[1], call, image)


def _counted(places: Places, call: Call, out: Any, source: Any) -> Places | None:
    """By how many tokens there are, where a layer changed their number."""
    count, grid = out.shape[1], places.grid(places.map.shape)
    if count is None or grid is None or not 0 <= count - grid[0] * grid[1] <= MOST_EXTRA_TOKENS:
        return None
    extra = count - grid[0] * grid[1]
    if "Reshape" in families(call.layer) and not extra:
        return replace(places, count=count, first=0)
    before = None if source is places.map else places.first
    return replace(places, count=count, first=extra,
                   assumed=(*places.assumed, Assumption(call, source, before, extra)))  # fmt: skip


def _patched(places: Places, count: int | None, call: Call, source: Any) -> Places | None:
    """By how many tokens there are, of square patches of a map without a rest; one more is a class token."""
    if count is None:
        return places
    height, width = places.map.shape[1:3]
    fitting = [
        (patch, extra)
        for extra in (0, 1)
        for patch in range(2, min(height, width) + 1)
        if height % patch == 0 == width % patch and height * width == (count - extra) * patch**2
    ]
    if len(fitting) != 1:
        return None
    ((patch, extra),) = fitting
    assumed = places.assumed
    if source is places.map:
        assumed = (replace(assumed[0], after=extra),)
    elif extra:
        assumed = (*assumed, Assumption(call, source, 0, extra))
    return replace(places, count=count, first=extra, patch=patch, assumed=assumed)


def _is_map_again(shape: tuple[int | None, ...], places: Places) -> bool:
    height, width = shape[1:3]
    if height is None or width is None or places.count is None:
        return (height, width) == (places.grid(places.map.shape) or (None, None))
    return 0 <= places.count - height * width <= MOST_EXTRA_TOKENS
