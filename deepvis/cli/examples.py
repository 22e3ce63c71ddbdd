"""``deepvis examples``: the photographs, and the places in them, that excite units most and least."""

import re
import time
from collections.abc import Sequence

from deepvis.analyses.photographs import left_out
from deepvis.cli import analyses
from deepvis.cli.analyses import Found, Task
from deepvis.config import schema
from deepvis.core import progress
from deepvis.data import photographs
from deepvis.natural import K, examples, units

HELP = """deepvis examples [key=value ...]    natural examples: photographs that excite a unit most, and least

  deepvis examples layer=block5_conv1 layer.filters=0-15         of VGG16, among the photographs of packages
  deepvis examples data=folder data.path=photos/ k=9             among photographs of yours
  deepvis examples objective=neuron objective.row=3 ...          one position; objective=direction: directions

  k=9                       of each end
  examples_per_image=1      of these, places that one photograph may have; 0: any number
  -m layer=a,b              one after the other

Model, layer, objective and size are those of a job. A folder outputs/<id> gets examples.json, examples.npz,
gallery.png and a sheet for each unit; a run of MLflow gets the same. Type an interrupted command again: it
goes on from its checkpoint."""


def main(typed: Sequence[str]) -> int:
    """Find examples; returns the exit code."""
    for key, value in (each.split("=", 1) for each in typed if re.fullmatch(r"(k|examples)=-?\d+", each)):
        K.read(key, int(value))
    words = [re.sub(r"^k=", "examples=", each) for each in typed]
    if not any(each.startswith("examples=") for each in words):
        words.append(f"examples={K.default}")
    reads = [*analyses.UNITS, "examples", "examples_per_image"]
    return analyses.run("examples", words, _compute, reads, check=lambda task: units.check(task.job.cfg))


def _compute(task: Task) -> Found:
    job = task.job
    data = photographs(schema.plain(job.cfg.data))
    with progress.progress(job.cfg.layer.name, len(data), len(data)) as shown:
        shown.unit, shown.what = "images", "photographs"
        restored: list[int] = []

        def told(done: int) -> None:
            if restored:
                shown.count(done - shown.work_done, done - shown.images_done)
                return
            restored.append(done)  # of a checkpoint: no work of this process
            shown.work_done = shown.images_done = done
            shown.began = time.perf_counter()

        found = examples(job.cfg, job.filters, job.classes, data, job.key, task.checkpoint, told)
    said = [f"examples  {found!r}"[:-1].replace("<Examples: ", "")]
    said += left_out(found.broken[:5])
    if len(found.broken) > 5:
        said.append(f"left out  {len(found.broken) - 5} more; all are in examples.json")
    said.append(f"speed     {found.rate:.1f} photographs/s")
    return Found({"data.digest": data.digest}, found.metrics(), found.pictures(), found.write, said)
