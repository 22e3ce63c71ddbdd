"""Visualizations: what `deepvis.visualize` returns: pictures of filters, shown, saved, drawn, compared."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml
from PIL import Image

from deepvis.config import params
from deepvis.core import animations, files, images, saved_folder
from deepvis.core.errors import ConfigError
from deepvis.metrics import signed_rank
from deepvis.metrics.convergence import ENDS
from deepvis.metrics.signed_rank import Effect
from deepvis.results import result_folder

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

FILE = "visualization.json"  # in a folder that was saved: what deepvis has written there
# Groups that say what a score is of: these must agree, and everything else that differs is a factor.
UNITS = ("model", "layer", "objective")


@dataclass(frozen=True, repr=False)
class Visualization:
    """Pictures of filters, and how they came about. A notebook shows the gallery."""

    filters: Sequence[int]
    images: np.ndarray  # uint8 [n, H, W, 3], with alpha [n, H, W, 4], contrast stretched as in every gallery
    centred: np.ndarray  # float32 [n, H, W, C], grey levels around the mean of the network's training set
    best: np.ndarray  # the same of each filter's highest score
    history: Mapping[str, np.ndarray]  # score, activation, rank ...: [steps + 1, n]
    ends: Sequence[str]  # converged, rising, stuck or diverged
    advice: str  # what should be known before the pictures are believed, in one line; empty: nothing
    config: Mapping[str, Any]  # all that was chosen, defaults too
    classes: Sequence[str] = ()  # what each filter is called, where they are classes of the network
    weights: str = ""  # digest of the network's weights
    progress: Mapping[int, np.ndarray] = field(default_factory=dict)  # pictures on the way, by steps done

    def __repr__(self) -> str:
        score, counts = self.history["score"][-1], dict.fromkeys(ENDS.values(), 0)
        for end in self.ends:
            counts[ENDS[end]] += 1
        ended = ", ".join(f"{count} {words}" for words, count in counts.items() if count)
        finite = score[np.isfinite(score)]
        middle = f"median score {np.median(finite):.4g}" if len(finite) else "no finite score"
        noun = "filter" if len(self.filters) == 1 else "filters"
        height, width = self.images.shape[1:3]
        return (
            f"<Visualization: {len(self.filters)} {noun} of {self._unit()}, {height} x {width} px, "
            f"{self.config['steps']} steps; {middle}; {ended}>"
        )

    @property
    def captions(self) -> list[str]:
        """A caption for each picture: the filter's number, or the class and its number."""
        return result_folder.captions_for(self.filters, self.classes, str)

    def gallery(self) -> Image.Image:
        """All pictures, stitched into a square, each with its filter's number or its class."""
        return Image.fromarray(images.gallery(list(self.images), self.captions))

    def animate(self, path: str | Path | None = None, milliseconds: int = animations.FRAME) -> bytes:
        """The gallery on its way, as an animated WebP: up to 20 frames, fewer of very many pictures.

        Args:
          path: of a file to write, which is replaced if it is there; None: none is written.
          milliseconds: of each frame but the last, which stays longer.

        Returns:
          The file's content.

        Raises:
          ConfigError: another ending than ``.webp``, or no time that a frame can have.
        """
        if not 1 <= milliseconds < 2**24:
            raise ConfigError(f"animate: got {milliseconds} milliseconds, expected 1 to {2**24 - 1}")
        if path is not None and Path(path).suffix.lower() != ".webp":
            raise ConfigError(f"animate: got {path}, expected a name that ends in .webp")
        frames = [
            images.gallery(list(self.progress[step]), self.captions) for step in sorted(self.progress)
        ] or [np.asarray(self.gallery())]
        content = animations.encoded(frames, milliseconds)
        if path is not None:
            with files.replacing(Path(path).expanduser()) as temporary:
                temporary.write_bytes(content)
        return content

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        self.gallery().save(file, "png")
        return file.getvalue()

    def table(self) -> "pd.DataFrame":
        """A row a filter: its number, how it ended, and its last values."""
        import pandas as pd

        return pd.DataFrame(self._rows())

    def _rows(self) -> list[dict[str, Any]]:
        rows = []
        for i, (index, end) in enumerate(zip(self.filters, self.ends, strict=True)):
            named = {"filter": index} | ({"class": self.classes[i]} if self.classes else {})
            last = {name: float(self.history[name][-1, i]) for name in result_folder.LAST}
            rows.append(named | {"end": end} | last)
        return rows

    def curves(self) -> "Figure":
        """The score of each filter by step, as a figure of matplotlib's."""
        from deepvis.report import filter_curves

        return filter_curves.curves(self.history["score"], self.captions, self._unit())

    def compare(self, other: "Visualization", paired: bool = False) -> "Paired":
        """The scores of the filters that both have, filter by filter.

        Args:
          other: what this one is compared with: of the same layer of the same network, by the same objective.
          paired: filter k of both is one filter although the weights differ: a network before and after more
            training. Two networks that only share an architecture have filters in another order.

        Raises:
          ConfigError: another network, layer or objective, whose scores mean something else; or no common
            filter.
        """
        mine, yours = (params.flatten(each.config) | {"weights": each.weights} for each in (self, other))
        varied = [key for key in params.varied([mine, yours]) if key not in ("layer.filters", "model.held")]
        for key in varied:
            group = key.partition(".")[0]
            if (group in UNITS and not (paired and group == "model")) or (key == "weights" and not paired):
                hint = "" if group in ("layer", "objective") else (
                    "; of one network before and after more training, compare(..., paired=True)"
                )  # fmt: skip
                raise ConfigError(
                    f"compare: got {key}={mine.get(key)} and {key}={yours.get(key)}, expected the same "
                    f"network, layer and objective: scores of others mean something else{hint}"
                )
        common = [index for index in self.filters if index in other.filters]
        if not common:
            raise ConfigError(
                f"compare: got the filters {_listed(self.filters)} and {_listed(other.filters)}, expected "
                "some in both"
            )
        return Paired(
            tuple(common),
            _scores(self, common),
            _scores(other, common),
            {key: (mine.get(key, "none"), yours.get(key, "none")) for key in varied},
            len(self.filters) + len(other.filters) - 2 * len(common),
        )

    def save(self, folder: str | Path) -> Path:
        """Write all of it into a folder, whole or not at all; one that `save` wrote before is replaced.

        ``filters/f012.png``, ``gallery.png``, ``history.npz``, ``images.npz`` (centred, best), ``table.csv``,
        ``config.yaml``.

        Args:
          folder: it is made.

        Returns:
          The folder.

        Raises:
          ConfigError: files are there that deepvis did not write, or that were changed since.
        """
        with saved_folder.written(folder, FILE) as partial:
            (partial / "filters").mkdir()
            for index, picture in zip(self.filters, self.images, strict=True):
                images.save(partial / "filters" / f"{result_folder.label(index)}.png", picture)
            self.gallery().save(partial / "gallery.png")
            arrays: dict[str, Any] = dict(self.history)
            np.savez_compressed(partial / "history.npz", **arrays)
            np.savez_compressed(partial / "images.npz", centred=self.centred, best=self.best)
            files.write_csv(partial / "table.csv", self._rows())
            text = yaml.safe_dump(_plain(self.config), sort_keys=False)
            (partial / "config.yaml").write_text(text, encoding="utf-8")
        return Path(folder).expanduser()

    def _unit(self) -> str:
        return f"{self.config['layer']['name']} of {self.config['model']['name']}"


@dataclass(frozen=True, repr=False)
class Paired:
    """The scores of the same filters in two visualizations."""

    filters: Sequence[int]
    first: np.ndarray  # [filters] scores
    second: np.ndarray
    differs: Mapping[str, tuple[Any, Any]]  # options whose values differ
    left_out: int  # filters that only one of them has

    @property
    def effect(self) -> Effect:
        """How the scores of the second differ from the first's, as a report has it of two settings."""
        return signed_rank.effect(self.second - self.first)

    def table(self) -> "pd.DataFrame":
        """A row a filter: both scores, and their difference."""
        import pandas as pd

        columns = {"filter": self.filters, "first": self.first, "second": self.second}
        return pd.DataFrame(columns | {"difference": self.second - self.first})

    def __repr__(self) -> str:
        effect = self.effect
        differs = ", ".join(f"{key} {one} / {other}" for key, (one, other) in self.differs.items())
        higher, lower = (round(share * effect.n) if effect.n else 0 for share in (effect.up, effect.down))
        counts = f"{higher} of {effect.n} filters higher, {lower} lower"
        if effect.n >= signed_rank.FEW:
            known = f"95 % interval {effect.low:.4g} to {effect.high:.4g}, p = {effect.p:.2g}"
        else:
            known = f"fewer than {signed_rank.FEW} filters: neither interval nor p"
        size = f"{effect.estimate:+.4g} ({known}); " if effect.n else ""
        lines = [f"differs: {differs or 'nothing'}", f"score, second minus first: {size}{counts}"]
        if self.left_out:
            lines.append(f"left out: {self.left_out} filters that only one of them has")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return f"<pre>{_escaped(repr(self))}</pre>{self.table().to_html(index=False)}"


def _scores(seen: Visualization, filters: Sequence[int]) -> np.ndarray:
    at = {index: i for i, index in enumerate(seen.filters)}
    return np.asarray(seen.history["score"][-1], float)[[at[index] for index in filters]]


def _plain(value: Any) -> Any:
    """A config as YAML can hold it: a function by its name."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    return f"{module}.{name}" if module and name else str(value)


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers[:6])) + (" ..." if len(numbers) > 6 else "")


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")
