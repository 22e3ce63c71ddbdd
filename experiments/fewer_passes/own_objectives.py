"""Recipes whose objective is of a picture, with half of their steps: their own score, picture by picture.

Differences of scores are in shares of the published one.

python experiments/fewer_passes/own_objectives.py PHOTOGRAPHS [--to FOLDER] [--only NAME]

`make.py` compares the recipes of single units; these have no unit that others share.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
import study
from PIL import Image

from deepvis.ascent import specs
from deepvis.ascent.optimize import optimize
from deepvis.ascent.specs import ImageSpec
from deepvis.core import files, images
from deepvis.data import photographs
from deepvis.metrics import multiplicity, signed_rank
from deepvis.metrics.spectral_distance import natural_spectrum, spectral_distance
from deepvis.sweeps import jobs

PICTURES, SIZE, SHOWN = 12, 64, 4


@dataclass(frozen=True)
class Recipe:
    """A published recipe, and shorter forms of it."""

    name: str
    published: str  # overrides; {0} and {1} are photographs
    fewer: Mapping[str, str]  # overrides that come after these, by what is changed


def recipe(name: str, typed: str, steps: int, rate: float = 0.0) -> Recipe:
    """A recipe and half of its steps; where a step has a rate, at three times that."""
    fewer = {"half": f"steps={steps // 2}"}
    if rate:
        longer = f"steps={steps // 2} optimizer.learning_rate={3 * rate:g}"
        fewer = {"half, three times the rate": longer}
    return Recipe(name, f"experiment={name} {typed} steps={steps}", fewer)


RECIPES = (
    recipe("deepdream", "start.path={0} optimizer.learning_rate=1.5", 40, 1.5),
    recipe("caricature", "objective.pictures.picture={0} optimizer.learning_rate=0.05", 512, 0.05),
    recipe("inversion", "objective.pictures.picture={0}", 200),
    recipe("neural_style", "objective.pictures.content={0} objective.pictures.style={1}", 200),
)


def made(typed: Sequence[str], paths: Sequence[Path]) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Final scores ``[n]``, centred images ``[n, H, W, C]``, and pictures as a gallery shows them."""
    scores, finals, shown = [], [], []
    for first, second in zip(paths, [*paths[1:], paths[0]], strict=True):
        words = [each.format(f"'{first}'", f"'{second}'") for each in typed]
        cfg = jobs.make(study.resolved(*words), words, Path()).cfg
        found = optimize([ImageSpec(cfg, 0)])
        scores.append(found.history["score"][-1, 0])
        finals.append(found.final[0])
        shown.append(images.displayed(found.final[0], specs.display(cfg), cfg.model.mean))
    return np.array(scores), np.stack(finals), shown


def compared(of: Recipe, folder: Path, to: Path) -> Iterator[dict]:
    """A row a form and measure: published against it; and a sheet of pictures."""
    data = photographs({"_target_": "deepvis.data.photographs.of_folder", "path": str(folder)})
    chosen = np.random.default_rng(0).permutation(len(data))[:PICTURES]
    paths = [data.paths[int(k)] for k in chosen]
    natural = natural_spectrum(data.image(k, (SIZE, SIZE), 3) for k in range(len(data)))
    shared = (*of.published.split(), f"size={SIZE}", "precision=float32", f"snapshot_every={10_000}")
    whole, finals, pictures = made(shared, paths)
    distances = np.array([spectral_distance(each, natural) for each in finals])
    sheet, rows = [pictures], []
    for name, typed in of.fewer.items():
        scores, finals, pictures = made((*shared, *typed.split()), paths)
        sheet.append(pictures)
        print(f"{of.name}: {name} made", flush=True)
        for measure, difference in (
            ("score", (whole - scores) / np.abs(whole)),
            (
                "spectral_distance",
                distances - np.array([spectral_distance(each, natural) for each in finals]),
            ),
        ):
            found = signed_rank.effect(difference[:, None])
            rows.append({
                "recipe": of.name, "against": name, "measure": measure, "pictures": found.n,
                "published": float(np.median(whole if measure == "score" else distances)),
                "difference": found.estimate, "low": found.low, "high": found.high,
                "higher": found.up, "lower": found.down, "p": found.p,
            })  # fmt: skip
    adjusted = np.concatenate(multiplicity.holm([np.array([row["p"]]) for row in rows], [1.0] * len(rows)))
    cells = [[each[k] for each in sheet] for k in range(SHOWN)]
    picture = images.contact_sheet(
        cells, [str(k) for k in range(SHOWN)], ["published", *of.fewer], fits_words=True
    )
    Image.fromarray(picture).save(to / f"own_{of.name}.jpg", quality=85)
    for row, p in zip(rows, adjusted, strict=True):
        yield row | {"p_adjusted": float(p)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photographs", type=Path, help="as experiments/photographs.py writes them")
    parser.add_argument("--to", type=Path, default=Path(__file__).parent)
    parser.add_argument("--only", help="one recipe", choices=[each.name for each in RECIPES])
    said = parser.parse_args()
    said.to.mkdir(parents=True, exist_ok=True)
    rows = []
    for each in RECIPES:
        if said.only in (None, each.name):
            rows += compared(each, said.photographs, said.to)
            files.write_csv(said.to / "own_objectives.csv", rows)


if __name__ == "__main__":
    main()
