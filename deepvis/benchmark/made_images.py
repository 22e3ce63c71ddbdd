"""The images of a method: optimized for some units from some seeds, kept in a file until all is measured."""

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from deepvis.ascent import specs
from deepvis.ascent.optimize import optimize
from deepvis.ascent.specs import ImageSpec
from deepvis.config import schema
from deepvis.config.schema import Config
from deepvis.core import files, images
from deepvis.core.errors import ConfigError


@dataclass(frozen=True, eq=False)
class MadeImages:
    """Images of some units."""

    centred: np.ndarray  # float32 [seeds, n, H, W, C], grey levels around the network's centre
    shown: np.ndarray  # uint8 [seeds, n, H, W, 3], as a gallery shows them
    twins: np.ndarray | None  # float32 [n, H, W, C]: of the first seed, begun one rounding away
    seconds: float  # of processor time an image; NaN of images that were made elsewhere


def made(configs: Sequence[Config], filters: Sequence[int], folder: Path,
         on_step: Callable[[], None] = lambda: None) -> MadeImages:  # fmt: skip
    """Optimize the images of a method, or read those that were.

    Args:
      configs: of the method, one a seed; they differ in the seed and in the start alone.
      filters: channels of the layer.
      folder: where they are kept, in a file that has the digest of all that was chosen in its name.
      on_step: is called after each step of each batch.
    """
    chosen = json.dumps([[schema.plain(each) for each in configs], list(filters)], default=str)
    file = folder / f"{hashlib.sha256(chosen.encode()).hexdigest()[:16]}.npz"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        _write(file, _optimized(configs, filters, on_step))
    with np.load(file) as kept:
        return MadeImages(kept["centred"], kept["shown"], kept["twins"], float(kept["seconds"]))


def given(path: Path, filters: Sequence[int], cfg: Config, seeds: int) -> MadeImages:
    """Images that were made elsewhere, by another library.

    Args:
      path: an ``.npz`` with ``images``, grey levels ``[seeds, n, H, W, 3]``, and ``filters`` ``[n]``.
      filters: that are wanted of these.
      cfg: of the benchmark.
      seeds: of the benchmark; those of the file are as many, or one.

    Raises:
      ConfigError: another form, or a filter is missing.
    """
    wanted = "an .npz with two arrays of numbers, images and filters"
    if not path.expanduser().is_file():
        raise ConfigError(f"images: got {path}, which is no file; expected {wanted}")
    try:
        with np.load(path.expanduser()) as read:
            pixels = np.asarray(read["images"], np.float32)
            whose = [int(each) for each in np.atleast_1d(read["filters"])]
    except Exception as err:  # a file of any kind
        raise ConfigError(f"images: got {path}, which cannot be read so; expected {wanted}") from err
    form = (*cfg.sides, len(cfg.model.mean))
    if len(set(whose)) < len(whose):
        raise ConfigError(f"{path}: got a filter twice, expected each once")
    is_form = pixels.ndim == 5 and pixels.shape[1:] == (len(whose), *form) and len(pixels) > 0
    if not (is_form and ((pixels >= 0) & (pixels <= 255)).all()):
        raise ConfigError(
            f"{path}: got images {list(pixels.shape)} of {len(whose)} filters, expected grey levels, "
            f"0 to 255, [seeds, filters, {', '.join(map(str, form))}]"
        )
    if len(pixels) not in (1, seeds):
        raise ConfigError(f"{path}: got images of {len(pixels)} seeds, expected seeds={seeds}, or one")
    if missing := [each for each in filters if each not in whose]:
        raise ConfigError(f"{path}: has no image of filter {missing[0]}")
    chosen = pixels[:, [whose.index(each) for each in filters]]
    shown = np.stack([images.natural(each, [0.0] * form[-1]) for each in chosen.reshape(-1, *form)])
    centred = chosen - np.asarray(cfg.model.mean, np.float32)
    return MadeImages(centred, shown.reshape(*chosen.shape[:-1], 3), None, np.nan)


def _optimized(
    configs: Sequence[Config], filters: Sequence[int], on_step: Callable[[], None]
) -> Mapping[str, np.ndarray | float]:
    count, n, steps = len(configs), len(filters), configs[0].steps
    own = [replace(each, snapshot_every=each.steps) for each in configs]
    wanted = [ImageSpec(each, index) for each in own for index in filters]
    wanted += [ImageSpec(own[0], index, twin=1) for index in filters]
    times = [time.process_time()]

    def step() -> None:
        times.append(time.process_time())
        on_step()

    found = optimize(wanted, on_step=step)
    each = np.diff(times)
    seconds = each[: len(each) // steps * steps].reshape(-1, steps).min(axis=0).sum()  # tracing is in one
    width = min(own[0].batch_size, len(wanted))
    final = found.final[: count * n].reshape(count, n, *found.final.shape[1:])
    pictures = [
        images.displayed(x, specs.display(own[0]), own[0].model.mean) for x in found.final[: count * n]
    ]
    return {
        "centred": final, "shown": np.stack(pictures).reshape(*final.shape[:-1], 3),
        "twins": found.final[count * n :], "seconds": seconds / width,
    }  # fmt: skip


def _write(file: Path, arrays: Mapping[str, np.ndarray | float]) -> None:
    with files.replacing(file) as temporary, temporary.open("wb") as stream:
        content: dict[str, Any] = dict(arrays)
        np.savez(stream, **content)
