"""What the parity table is made of: rows, how far two results are apart, and PyTorch's libraries."""

import contextlib
from dataclasses import dataclass
from importlib import metadata

import numpy as np
import torch

# torchvision's compiled operators do not load beside every build of PyTorch; none is used here, but
# torchvision, which some of the libraries import, wants their names to be known.
_LIBRARY = torch.library.Library("torchvision", "FRAGMENT")
for _name in ("nms", "qnms"):
    with contextlib.suppress(RuntimeError):
        _LIBRARY.define(f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

ALLOWED = 1e-4  # of float32, where nothing is meant to differ
ERRORS = 5.0  # standard errors that a mean or a deviation of draws may be off


@dataclass(frozen=True)
class Row:
    """One comparison of the same inputs."""

    method: str
    what: str
    library: str  # a package, or what was used where there is none
    inputs: str
    difference: float
    why: str = ""  # the difference is meant
    meant: float = ALLOWED  # how large it may be

    def cells(self) -> list[str]:
        """Of the table."""
        return [self.method, self.what, named(self.library), self.inputs, f"{self.difference:.0e}", self.why]

    def fails(self) -> bool:
        """Whether it differs by more than rounding, or than is meant and said."""
        return not self.difference <= self.meant or (self.meant > ALLOWED and not self.why)


@dataclass(frozen=True)
class Draws:
    """One comparison of what two random generators draw."""

    what: str
    library: str
    theirs: np.ndarray
    ours: np.ndarray
    why: str = ""

    def cells(self) -> list[str]:
        """Of the table."""
        sides = [
            f"{values.mean():.3f}, {values.std():.3f}, {values.min():.4g} to {values.max():.4g}"
            for values in (self.theirs, self.ours)
        ]
        return [
            self.what,
            named(self.library),
            f"{len(self.theirs):,}",
            *sides,
            f"{self.errors():.1f}",
            self.why,
        ]

    def errors(self) -> float:
        """The larger difference of mean or deviation, in standard errors of the difference."""
        both = [(values.std() / np.sqrt(len(values)), _error_of_deviation(values))
                for values in (self.theirs, self.ours)]  # fmt: skip
        of_mean, of_deviation = (np.hypot(*pair) for pair in zip(*both, strict=True))
        return float(max(abs(self.theirs.mean() - self.ours.mean()) / of_mean,
                         abs(self.theirs.std() - self.ours.std()) / of_deviation))  # fmt: skip

    def fails(self) -> bool:
        """Whether they differ by more than chance; where something says why, by a quarter."""
        if self.why:
            return not abs(self.theirs.std() / self.ours.std() - 1) <= 0.25
        return not self.errors() <= ERRORS


def _error_of_deviation(values: np.ndarray) -> float:
    centred = values - values.mean()
    square = (centred**2).mean()
    return float(np.sqrt(((centred**4).mean() - square**2) / len(values)) / (2 * np.sqrt(square)))


def named(library: str) -> str:
    """A package with its version; other words as they are."""
    try:
        return f"{library} {metadata.version(library)}"
    except metadata.PackageNotFoundError:
        return library


def largest(ours: object, theirs: object) -> float:
    """The largest difference, over the largest value."""
    one, other = np.asarray(ours, float), np.asarray(theirs, float)
    if one.shape != other.shape:
        raise ValueError(f"got shapes {one.shape} and {other.shape}, expected equal ones")
    return float(np.abs(one - other).max() / np.abs(other).max())
