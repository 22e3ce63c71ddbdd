"""Tables and picture of this study, from its three sweeps.

python experiments/stuck_filters/make.py outputs/<starts> outputs/<defaults> outputs/<the last one>
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf
from omegaconf import DictConfig, OmegaConf
from PIL import Image

from deepvis import networks
from deepvis.core import images
from deepvis.core.files import write_csv
from deepvis.results import result_folder

HERE = Path(__file__).parent
COUNTS = ("filters", "stuck", "silent_at_start", "silent_at_end", "mean_below_zero_at_end")
SHOWN = 6  # filters in the picture


def finished(sweep: Path) -> Iterator[tuple[Path, result_folder.Result, DictConfig]]:
    for place in result_folder.finished(sweep):
        yield place, result_folder.read(place), OmegaConf.load(place / "config.yaml")


def on_at(result: result_folder.Result) -> np.ndarray:
    """The step after which each filter's map is first above zero somewhere; -1: never."""
    on = result.history["activation"] > 0
    return np.where(on.any(axis=0), on.argmax(axis=0), -1)


def counted(part: str, sweep: Path) -> list[dict]:
    """A row a job, and one over all layers: how many filters are stuck, and how many are silent."""
    found = []
    for _, result, cfg in finished(sweep):
        history, score = result.history, "pre-activation" if cfg.objective.pre_activation else "ReLU'd"
        start = result.params.get("start", "noise")
        setting = {"part": part, "start": start, "score": score, "size": cfg.size, "steps": cfg.steps}
        silent = history["activation"] == 0
        numbers = (len(result.filters), result.ends.count("stuck"), silent[0].sum(), silent[-1].sum(),
                   (history["score"][-1] < 0).sum())  # fmt: skip
        counts = dict(zip(COUNTS, map(int, numbers), strict=True))
        found.append((setting, {"layer": cfg.layer.name} | counts))
    for setting in [dict(each) for each in dict.fromkeys(tuple(setting.items()) for setting, _ in found)]:
        own = [row for other, row in found if other == setting]
        found.append((setting, {"layer": "all"} | {key: sum(row[key] for row in own) for key in COUNTS}))
    return [setting | row for setting, row in found]


def flat(cfg: DictConfig, layer: str, index: int) -> dict[str, float]:
    """What a filter makes of black, of the training set's mean and of white, before its ReLU."""
    vgg = networks.network(OmegaConf.to_container(cfg.model))
    parts, mean = vgg.read(layer), np.array(cfg.model.mean, np.float32)
    network = vgg.build([layer], 64, "float32")
    found = {"kernel_norm": float(np.linalg.norm(parts.layers[layer][0][..., index])),
             "bias": float(parts.layers[layer][1][index])}  # fmt: skip
    for name, colour in (("black", -mean), ("mean", 0 * mean), ("white", 255 - mean)):
        image = tf.constant(np.broadcast_to(colour, (1, 64, 64, 3)).astype(np.float32))
        middle = network.activations(image, [layer])[layer].pre[0, ..., index].numpy()
        found[f"pre_activation_of_{name}"] = float(middle[len(middle) // 2, len(middle) // 2])
    return found


def main(starts: Path, defaults: Path, last: Path) -> None:
    write_csv(HERE / "results.csv", counted("starts", starts) + counted("defaults", defaults))
    silent, latest = [], []
    for place, result, cfg in finished(defaults):
        layer, at, final = cfg.layer.name, on_at(result), result.history["activation"][-1]
        silent += [
            {"layer": layer, "filter": i, "first_score": float(result.history["score"][0, i]),
             "on_after_steps": int(at[i]), "score": float(result.history["score"][-1, i]),
             "activation": float(final[i]), "layers_median_activation": float(np.median(final))}
            for i in np.flatnonzero(at != 0).tolist()
        ]  # fmt: skip
        worst = int(np.argmax(np.where(at < 0, 99, at)))
        latest.append((99 if at[worst] < 0 else at[worst], layer, worst, place))
    write_csv(HERE / "filters.csv", silent, digits=4)
    table = []
    for _, result, cfg in finished(last):
        layer, start = cfg.layer.name, result.params.get("start", "noise")
        for column, index in enumerate(result.filters):
            activation, score = (result.history[key][:, column] for key in ("activation", "score"))
            row = {"layer": layer, "filter": index, "start": start, "seed": cfg.seed, "steps": cfg.steps}
            row |= {"first_score": float(score[0]), "on_after_steps": int(on_at(result)[column])}
            row |= {"score": float(score[-1]), "activation": float(activation[-1])}
            table.append(row | flat(cfg, layer, index))
    write_csv(HERE / "resisting.csv", table, digits=4)
    draw(starts, sorted(latest, key=lambda each: -each[0])[:SHOWN])


def draw(starts: Path, latest: list) -> None:
    """The filters that take longest to turn on, one a layer: behind the ReLU, and before it."""
    places = {(cfg.layer.name, bool(cfg.objective.pre_activation)): place
              for place, result, cfg in finished(starts) if result.params["start"] == "noise"}  # fmt: skip
    cells, names = [], []
    for _, layer, index, place in latest:
        seen = [Image.open(p / "filters" / f"{result_folder.label(index)}.png")
                for p in (places[layer, False], places[layer, True], place)]  # fmt: skip
        cells.append([np.asarray(each.resize((128, 128), Image.Resampling.NEAREST)) for each in seen])
        names.append(f"{layer} {result_folder.label(index)}")
    titles = ["behind the ReLU: stuck", "before it, 1 step", "before it, 10 steps"]
    Image.fromarray(images.contact_sheet(cells, names, titles)).save(HERE / "pictures.jpg", quality=85)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
