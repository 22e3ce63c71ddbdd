"""Published recipes with fewer passes through the network, compared by the measures of `deepvis benchmark`.

python experiments/fewer_passes/make.py PHOTOGRAPHS [--cells FOLDER] [--to FOLDER] [--only NAME]

Images are kept in --cells, where an interrupted run goes on.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
import benchmarked
from PIL import Image

from deepvis.benchmark import assessment
from deepvis.benchmark.methods import Method
from deepvis.core import files

CLASSES = ("model=efficientnet_lite0", "layer=named", "layer.name=predictions", "size=128")
TEXTURES = ("layer=block3_conv1", "size=48")
UNITS, SEEDS = 12, 1
MACO = "experiment=maco transform.crops=3 transform.crops_px={size}"
ACCENTUATION = (
    "experiment=accentuation start.path={photograph} reg.accentuation_layer={middle} "
    "transform.crops=2 transform.crops_px={size}"
)
DREAM = "experiment=deepdream start.path={photograph}"
PROGRESS = "optimizer.target_gain=6"  # the rate that promises three times the rise
HALF_SIZE_FIRST = "param=octaves param.octaves=2 param.octave_scale=2"


@dataclass(frozen=True)
class Recipe:
    """A published recipe, and ways to make its pictures with fewer passes."""

    name: str
    units: Sequence[str]  # overrides that say which
    published: str  # overrides
    fewer: Mapping[str, str]  # overrides, by what is changed

    def methods(self) -> list[Method]:
        """The published one first."""
        listed = {"published": self.published, **self.fewer}
        return [Method(name, tuple(typed.split())) for name, typed in listed.items()]


def adam(experiment: str, steps: int, rate: float) -> str:
    return f"{experiment} steps={steps} optimizer.learning_rate={rate:g}"


def mix(name: str, steps: int, rate: str) -> Recipe:
    """One of Yosinski's four; `rate` is three times its own."""
    own = f"experiment={name}"
    return Recipe(name, TEXTURES, own, {
        "half": f"{own} steps={steps // 2}",
        "half, three times the rate": f"{own} steps={steps // 2} {rate}",
        "half size first": f"{own} {HALF_SIZE_FIRST} steps={steps * 8 // 10}",
    })  # fmt: skip


DISTILL = adam("experiment=distill_2017", 512, 0.05)
HALVES = {
    "half": adam("experiment=distill_2017", 256, 0.05),
    "half, twice the rate": adam("experiment=distill_2017", 256, 0.1),
    "half, three times the rate": adam("experiment=distill_2017", 256, 0.15),
}
RECIPES = (
    Recipe("distill_2017 textures", TEXTURES, DISTILL, HALVES),
    Recipe("keras_blog", TEXTURES, "experiment=keras_blog steps=20 optimizer.learning_rate=1", {
        "half": "experiment=keras_blog steps=10 optimizer.learning_rate=1",
        "half, twice the rate": "experiment=keras_blog steps=10 optimizer.learning_rate=2",
        "half, three times the rate": "experiment=keras_blog steps=10 optimizer.learning_rate=3",
    }),
    Recipe("deepdream", TEXTURES, f"{DREAM} steps=40 optimizer.learning_rate=1.5", {
        "half": f"{DREAM} steps=20 optimizer.learning_rate=1.5",
        "half, twice the rate": f"{DREAM} steps=20 optimizer.learning_rate=3",
        "half, three times the rate": f"{DREAM} steps=20 optimizer.learning_rate=4.5",
    }),
    Recipe("accentuation", CLASSES, ACCENTUATION, {
        "half": adam(ACCENTUATION, 50, 0.04), "half, twice the rate": adam(ACCENTUATION, 50, 0.08),
        "half, three times the rate": adam(ACCENTUATION, 50, 0.12),
    }),
    mix("yosinski_1", 500, PROGRESS),
    Recipe("maco", TEXTURES, MACO, {
        "half": f"{MACO} steps=128", "half, twice the rate": f"{MACO} steps=128 optimizer.learning_rate=2",
    }),
    mix("yosinski_3", 1000, "optimizer.learning_rate=300"),
    mix("yosinski_2", 750, "optimizer.learning_rate=300"),
    mix("yosinski_4", 1000, PROGRESS),
    Recipe("distill_2017 classes", (*CLASSES[:-1], "size=96"), DISTILL, dict(list(HALVES.items())[-1:])),
)  # fmt: skip


def compared(recipe: Recipe, folder: Path, cells: Path) -> assessment.Benchmark:
    """A recipe and its shorter forms on the same units."""
    job, data = benchmarked.units((*recipe.units, "precision=bfloat16"), UNITS, folder)
    planned = assessment.plan(recipe.methods(), job.cfg, {"own": 0}, SEEDS, data)
    _, work = assessment.images_and_work(planned, job.filters)
    tell = benchmarked.teller(recipe.name, work)
    return assessment.assess(
        job.cfg, planned, job.filters, job.classes, data, benchmarked.JUDGES, {}, cells, tell
    )


def make(to: Path, folder: Path, cells: Path, recipes: Sequence[Recipe] = RECIPES) -> None:
    """Write a sheet of pictures of each recipe, and the tables of all that are there."""
    for recipe in recipes:
        found = compared(recipe, folder, cells)
        own = to / recipe.name.replace(" ", "_")
        own.mkdir(parents=True, exist_ok=True)
        files.write_csv(own / "results.csv", found.summaries("own"))
        files.write_csv(own / "pairs.csv", found.pairs("own"))
        picture = Image.fromarray(found.pictures()["own_seed_0"])
        picture.thumbnail((1000, 1600), Image.Resampling.LANCZOS)
        picture.save(own / "pictures.jpg", quality=75)
        known = dict.fromkeys(each.name for each in (*recipes, *RECIPES))
        benchmarked.collect(to, {name.replace(" ", "_"): {"recipe": name} for name in known})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photographs", type=Path, help="as experiments/photographs.py writes them")
    parser.add_argument("--cells", type=Path, default=Path("outputs/fewer_passes"))
    parser.add_argument("--to", type=Path, default=Path(__file__).parent)
    parser.add_argument("--only", help="one recipe", choices=[each.name for each in RECIPES])
    said = parser.parse_args()
    make(said.to, said.photographs, said.cells, [each for each in RECIPES if said.only in (None, each.name)])


if __name__ == "__main__":
    main()
