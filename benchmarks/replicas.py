"""How often a filter is said to move farther than the noise floor on VGG16, where rounding is all that acts.

python benchmarks/replicas.py [FILTERS]     64 by default, some ten minutes of one core; prints a table

Each image has three replicas, whose starts differ from its own by one rounding. The image with a replica is
one setting, another replica with the third the other: two settings that do nothing, each with its twin.
"""

import sys
from pathlib import Path

from deepvis.report import effects

sys.path.insert(0, str(Path(__file__).parents[1] / "experiments"))
import sentences
import study

REGS = ("none", "decay", "blur")


def moved(reg: str, filters: int) -> tuple[float, float]:
    """Share of filters beyond the floor, and how far one rounding moves a score, in per cent."""
    settings = {
        "layer": "block5_conv1", "layer.filters": f"0-{filters - 1}", "size": 96, "reg": reg, "twins": 3,
        "snapshot_every": 20, "precision": "float32", "robustness": "false",
    }  # fmt: skip
    scores = study.optimize(settings).score[-1].reshape(4, filters)
    images, replicas = scores[[0, 2]][:, None], scores[[1, 3]][:, None]  # [settings, seeds, filters]
    both = sentences.compared({"score": images}, 2, twins=(replicas - images)[:, :, None])
    (test,) = effects.tested(both)
    return test.effect.changed, test.floor


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 64
    print("| reg | filters | beyond the noise floor | one rounding moves a score by |\n|---|---|---|---|")
    for name in REGS:
        share, floor = moved(name, count)
        print(f"| {name} | {count} | {sentences.percent(share)} | {floor:.2f} % |", flush=True)
