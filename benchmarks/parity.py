"""Is deepvis equal to the originals? The same inputs through both: a row a method, the largest difference.

python benchmarks/parity.py      where deepvis and the other libraries are; writes docs/reference/parity.md

`make parity` makes such an environment. A row that differs by more than `ALLOWED` is an error.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np
import tensorflow as tf

from deepvis.ascent import parametrizations, spectra

TABLE = Path(__file__).parents[1] / "docs" / "reference" / "parity.md"
ALLOWED = 1e-4
HEAD = """# Equal to the originals

Written by `make parity`: the same inputs through deepvis and through the library that a method comes from,
in float32. The difference is the largest one, over the largest value of what is compared.

| method | library | inputs | largest difference |
|---|---|---|---|
"""


@dataclass(frozen=True)
class Row:
    """One comparison."""

    method: str
    library: str
    inputs: str
    difference: float


def maco() -> Iterator[Row]:
    """MACO's image of given phases, with the published magnitude; in [0, 1]."""
    from xplique.features_visualizations import preconditioning

    for size in ((512, 512), (224, 224), (96, 128)):
        theirs_magnitude, _ = preconditioning.init_maco_buffer(size)
        phases = np.random.default_rng(0).normal(0.2, 1.3, theirs_magnitude.shape).astype(np.float32)
        theirs = preconditioning.maco_image_parametrization(theirs_magnitude, tf.constant(phases), (0.0, 1.0))
        ours = parametrizations.maco(size, [0.0] * 3, "published").decode(tf.constant(phases[None]))
        what = f"{size[0]} x {size[1]} px"
        yield Row("MACO: image of phases", "xplique", what, _largest(ours[0] / 255, theirs))
        magnitude = spectra.magnitude("published", size, np.zeros(3))
        yield Row("MACO: magnitude, scaled", "xplique", what, _largest(magnitude, theirs_magnitude))


def _largest(ours: object, theirs: object) -> float:
    one, other = np.asarray(ours, float), np.asarray(theirs, float)
    return float(np.abs(one - other).max() / np.abs(other).max())


def main() -> None:
    """Write the table."""
    rows = list(maco())
    lines = []
    for row in rows:
        library = f"{row.library} {metadata.version(row.library)}"
        lines.append(f"| {row.method} | {library} | {row.inputs} | {row.difference:.0e} |")
    TABLE.write_text(HEAD + "\n".join(lines) + "\n", encoding="utf-8")
    print(*lines, sep="\n")
    if worst := [row for row in rows if row.difference > ALLOWED]:
        sys.exit(f"parity: {worst[0]}: expected at most {ALLOWED:g}")


if __name__ == "__main__":
    main()
