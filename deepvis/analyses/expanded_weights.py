"""Weights between two layers as pictures: (config, method, filters) -> `ExpandedWeights`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from deepvis import factorizations, networks
from deepvis.analyses import folders
from deepvis.attribution import expanded_weights
from deepvis.config import schema
from deepvis.config.schema import Config, Target
from deepvis.core import files
from deepvis.core.errors import ConfigError
from deepvis.factorizations import Factors
from deepvis.report import heat_pictures, weight_sheet


@dataclass(frozen=True, repr=False)
class ExpandedWeights:
    """Weights from channels of a lower layer to units. A notebook shows the first unit's, or the groups'."""

    model: str
    below: str
    layer: str
    filters: Sequence[int]
    captions: Sequence[str]  # of the units
    weights: np.ndarray  # float32 [units, h, w, C]
    at_edge: bool  # whether they reach the edge of the lower layer's map
    factors: Factors | None  # the channels in groups

    def __repr__(self) -> str:
        units, height, width, channels = self.weights.shape
        return (f"<ExpandedWeights: from {channels} channels of {self.below} to {units} units of "
                f"{self.layer} of {self.model}, {height} x {width} positions>")  # fmt: skip

    @property
    def groups(self) -> np.ndarray:
        """float64 [units, h, w, k]: weights from groups of channels to units.

        .. math:: W^+ \\approx A^+ H, \\; W^- \\approx A^- H, \\quad g = A^+ - A^-
        """
        if self.factors is None:
            raise ConfigError("weights.groups=0: got no groups; expected the number of some")
        up, down = np.split(self.factors.weights(_one_sided(self.weights)), 2)
        return np.reshape(up - down, (*self.weights.shape[:3], -1))

    def pictures(self) -> Mapping[str, np.ndarray]:
        """A picture for each unit; and one of all units by groups of channels, where there are groups."""
        found = {
            name: weight_sheet.of_unit(each)
            for name, each in zip(folders.file_names(self.captions), self.weights, strict=True)
        }
        if self.factors is not None:
            found["groups"] = weight_sheet.of_groups(self.groups, self.captions)
        return found

    def write(self, folder: Path) -> None:
        """``weights.npy``, and with groups ``groups.npy`` [k, C] and ``groups.csv``."""
        np.save(folder / "weights.npy", self.weights)
        if self.factors is not None:
            np.save(folder / "groups.npy", self.factors.directions)
            rows = []
            for k, (row, share) in enumerate(zip(self.factors.directions, self.factors.shares, strict=True)):
                top = np.argsort(-row, kind="stable")[:8]
                rows.append({"group": k, "share": float(share), "channels": " ".join(map(str, top)),
                             "entries": " ".join(f"{row[c]:.4g}" for c in top)})  # fmt: skip
            files.write_csv(folder / "groups.csv", rows)

    def save(self, folder: str | Path) -> Path:
        """Pictures and arrays into a folder: see `folders.save`."""
        return folders.save(self, folder)

    def metrics(self) -> Mapping[str, float]:
        """What a run is compared by."""
        found = {"weights/largest": float(np.abs(self.weights).max())}
        return found | ({} if self.factors is None else {"explained": self.factors.explained})

    def params(self) -> Mapping[str, Any]:
        """The lower layer, and how many groups."""
        count = 0 if self.factors is None else len(self.factors.directions)
        return {"weights": {"_target_": ".expanded", "below": self.below, "groups": count}}

    def told(self) -> Sequence[str]:
        """What they are, and what may be missing."""
        units, height, width, channels = self.weights.shape
        said = [f"weights from {channels} channels of {self.below} to {units} units of {self.layer}, "
                f"{height} x {width}, without ReLUs and with means for maxima"]  # fmt: skip
        if self.at_edge:
            said.append(
                "they reach the edge of the map: of convolutions a part may be missing; take a larger size"
            )
        if self.factors is not None:
            said.append(f"{len(self.factors.directions)} groups of channels explain "
                        f"{self.factors.explained:.1%} of the variance of the weights")  # fmt: skip
            said += [self.factors.told] if self.factors.told else []
        return said

    def _repr_png_(self) -> bytes:
        return heat_pictures.png(list(self.pictures().values())[-1 if self.factors else 0])


def check(cfg: Config, method: Target) -> None:
    """Refuse a lower layer that is none.

    Raises:
      ConfigError: in one line.
    """
    network = networks.network(schema.plain(cfg.model))
    below, layer = network.layer(method.below, "weights.below").name, network.layer(cfg.layer.name).name
    known = list(network.layers())
    if known.index(below) >= known.index(layer):
        raise ConfigError(f"weights.below={below}: expected a layer below {layer}, which layer.name is")


def weights(cfg: Config, method: Target, filters: Sequence[int], captions: Sequence[str]) -> ExpandedWeights:
    """The weights from a lower layer to some units.

    Args:
      cfg: of the network, the higher layer and the size.
      method: the settings of the group ``weights``.
      filters: units of the layer.
      captions: of them.

    Raises:
      ConfigError: what is between the layers is not made linear, or there are fewer weights than groups.
    """
    check(cfg, method)
    network = networks.network(schema.plain(cfg.model))
    below, layer = network.layer(method.below).name, network.layer(cfg.layer.name).name
    built = network.build([below, layer], cfg.sides, "float32")
    found, at_edge = expanded_weights.expanded(built, layer, filters, cfg.sides, cfg.device, below=below)
    factors = None
    if method.groups:
        factors = factorizations.nmf(_one_sided(found), k=method.groups, iterations=1000, seed=0)
    return ExpandedWeights(str(cfg.model.name), below, layer, tuple(filters), tuple(captions), found, at_edge,
                           factors)  # fmt: skip


def _one_sided(weights: np.ndarray) -> np.ndarray:
    """What is above zero, then what is below: [2 units h w, C]; so groups may have any sign in space."""
    flat = weights.reshape(-1, weights.shape[-1])
    return np.concatenate([np.maximum(flat, 0), np.maximum(-flat, 0)])
