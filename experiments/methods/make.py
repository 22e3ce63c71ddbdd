"""Methods compared on units of VGG16 and EfficientNet-Lite0: for textures, objects and classes.

python experiments/methods/make.py PHOTOGRAPHS [--cells FOLDER] [--to FOLDER] [--only NAME] [--seed N]

Each target is what `deepvis benchmark` makes; images are kept in --cells, where an interrupted run goes on.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
import benchmarked
from PIL import Image

from deepvis.benchmark import assessment, methods
from deepvis.core import files

SEEDS = 3
FEWER = ("none", "decay", "blur", "gildenblat_2016", "yosinski_1", "yosinski_4", "octaves", "distill_2017",
         "maco", "accentuation")  # fmt: skip


@dataclass(frozen=True)
class Target:
    """Units of a layer, and what each method may take."""

    name: str  # of its files
    purpose: str
    overrides: tuple[str, ...]  # of a job
    steps: int  # and passes
    units: int
    methods: tuple[str, ...] = ()  # none: all


LITE0 = ("model=efficientnet_lite0", "layer=named")
TARGETS = (
    Target("lite0_classes", "classes", (*LITE0, "layer.name=predictions", "size=128"), 32, 12),
    Target("vgg16_textures", "textures", ("layer=block3_conv1", "size=64"), 32, 12),
    Target("lite0_objects", "objects", (*LITE0, "layer.name=block5b_expand_activation", "size=96"), 32, 12),
    Target("vgg16_objects", "objects", ("layer=block5_conv1", "size=96"), 16, 10, FEWER),
)


def compared(
    target: Target, folder: Path, cells: Path, seed: int, given: Mapping[str, Path]
) -> assessment.Benchmark:
    """The methods on the units of a target."""
    typed = (*target.overrides, "precision=float32", f"steps={target.steps}", f"seed={seed}")
    job, data = benchmarked.units(typed, target.units, folder)
    budgets = dict.fromkeys(methods.SHARED, target.steps)
    planned = assessment.plan(methods.chosen(target.methods, {}), job.cfg, budgets, SEEDS, data)
    _, work = assessment.images_and_work(planned, job.filters)
    tell = benchmarked.teller(target.name, work)
    return assessment.assess(
        job.cfg, planned, job.filters, job.classes, data, benchmarked.JUDGES, given, cells / target.name, tell
    )


def make(
    to: Path, folder: Path, cells: Path, targets: Sequence[Target] = TARGETS, seed: int = 0,
    given: Mapping[str, Mapping[str, Path]] = {},
) -> None:  # fmt: skip
    """Write the page and the tables of each target, and the tables of all."""
    for target in targets:
        found = compared(target, folder, cells, seed, given.get(target.name, {}))
        found.write(to / target.name)
        for name, sheet in found.pictures().items():
            if name.endswith("seed_0"):
                picture = Image.fromarray(sheet)
                picture.thumbnail((1600, 1600), Image.Resampling.LANCZOS)
                picture.save(to / target.name / f"{name}.jpg", quality=70)
        files.write_text(to / target.name / "verdicts.txt", "\n".join(found.told()) + "\n")
    known = {each.name: each for each in (*targets, *TARGETS)}.values()  # --only: others may be there
    benchmarked.collect(to, {each.name: {"target": each.name, "purpose": each.purpose} for each in known})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photographs", type=Path, help="as experiments/photographs.py writes them")
    parser.add_argument("--cells", type=Path, default=Path("outputs/methods"))
    parser.add_argument("--to", type=Path, default=Path(__file__).parent)
    parser.add_argument("--only", help="one target", choices=[each.name for each in TARGETS])
    parser.add_argument("--seed", type=int, default=0, help="the first of three")
    parser.add_argument("--images", nargs="*", default=[], help="TARGET:NAME=FILE, images of other libraries")
    said = parser.parse_args()
    given: dict[str, dict[str, Path]] = {}
    for each in said.images:
        place, _, file = each.partition("=")
        target, _, name = place.partition(":")
        given.setdefault(target, {})[name] = Path(file)
    targets = [each for each in TARGETS if said.only in (None, each.name)]
    for target in targets:
        (said.to / target.name).mkdir(parents=True, exist_ok=True)
    make(said.to, said.photographs, said.cells, targets, said.seed, given)


if __name__ == "__main__":
    main()
