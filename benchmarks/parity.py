"""Is deepvis equal to the originals? The same inputs through both: a row a comparison.

python benchmarks/parity.py      where deepvis and the other libraries are; writes docs/reference/parity.md

`make parity` makes such an environment. A row that differs by more than float32's rounding, or draws by more
than chance, and does not say why, is an error.
"""

import sys
from pathlib import Path

import parity_rows  # first: it makes names known that libraries of the others want of torchvision

# isort: split
import parity_images
import parity_losses
import parity_operators
import parity_transforms

TABLE = Path(__file__).parents[1] / "docs" / "reference" / "parity.md"
HEAD = f"""# Equal to the originals

Written by `make parity`: the same inputs through deepvis and through the library that a method comes from,
in float32. The difference is the largest one, over the largest value of what is compared. It is at most
{parity_rows.ALLOWED:.0e}, or the last column says why it is meant.

| method | what is compared | with | inputs | largest difference | why it differs |
|---|---|---|---|---|---|
"""
DRAWS = f"""
## What robust transforms draw

`transform=robust` beside lucid's standard set, both run, and beside lucent's of the same numbers: mean,
standard deviation and range. Moves are in px to the right, angles in degrees. The last number is the larger
difference of mean or deviation, in standard errors: at most {parity_rows.ERRORS:g}, or the last column says
why.

| what is drawn | with | draws | theirs | deepvis | standard errors | why it differs |
|---|---|---|---|---|---|---|
"""
TAIL = """
Meant, and the same for all of them: lucid lays mid-grey around the image and what it turns in from outside
is black; here both are the mean of the training set. Its network sees a window that is 12 px larger and
scaled with the image; here the window is as large as the image, and `transform.pad=8` makes it 12 px
larger. xplique 2.0.2 calls another set its standard (five moves in a wider ground, scales 0.92 to 0.96, a
blur, two moves, a flip), and so do Horama, dreamlens and tf-keras-vis.

## What there is nothing to compare with

- tf-keras-vis 0.8.7 optimizes pixels alone: it has no Fourier image, MACO, deep dream, style or inversion.
- Horama 0.3.0 and dreamlens 0.1.1 have no deep dream, style or inversion; xplique 2.0.2 neither.
- Of Mahendran's inversion no package is known that installs today: its loss is compared with the
  equations, its total variation with pystiche's.
- Yosinski's toolbox is Python 2 with Caffe: its formulas are written out again in NumPy and SciPy.
- Keras' deep dream is an example, not a package: its formulas are written out again in NumPy.
"""


def main() -> None:
    """Write the page."""
    modules = (parity_images, parity_transforms, parity_losses, parity_operators)
    rows = [row for module in modules for row in module.rows()]
    drawn = list(parity_transforms.draws())
    lines = [[f"| {' | '.join(each.cells())} |" for each in some] for some in (rows, drawn)]
    print(*lines[0], *lines[1], sep="\n")
    if failed := [each for each in (*rows, *drawn) if each.fails()]:
        sys.exit(f"parity: {failed[0]}: expected at most {parity_rows.ALLOWED:g}, or a reason")
    text = HEAD + "\n".join(lines[0]) + "\n" + DRAWS + "\n".join(lines[1]) + "\n" + TAIL
    TABLE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
