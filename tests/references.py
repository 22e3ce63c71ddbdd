"""Are all results still the same, bit for bit? For a refactoring, which must not change any.

  python tests/references.py record FILE.json            before it: runs every case, writes the digests
  python tests/references.py compare FILE.json           after it: runs them again, prints each difference
  python tests/references.py compare FILE.json reg demo  only the cases of these groups

A case is a preset, a recipe or a job of the demo, run through the command line in a folder of its own, on
small images of the network `tiny` (the demo: VGG16). Its digests are those of all arrays and pictures in its
result. The exit code is 1 if anything differs or fails. Nothing of deepvis is imported, and the keys of the
config that a later version spells otherwise are in RENAMED, so one file serves the version before and after.

Bits differ between processors and between versions of TensorFlow: record and compare on one machine. It takes
some seven minutes on two cores, five of them the demo's (without AMX).
"""

import argparse
import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

# What 0.4 spells so -> what later versions spell so: keys, and choices of groups.
RENAMED = {
    "optimizer.rate": "optimizer.learning_rate",
    "optimizer.max_rate": "optimizer.max_learning_rate",
    "optimizer.desired": "optimizer.target_gain",
    "tracker=memory": "tracker=none",
    "log_every": "snapshot_every",
    "reg=seed": "reg=gildenblat_2016",
    "experiment=seed_reproduction": "experiment=gildenblat_2016",
}
# Of the arrays in a result, likewise.
RENAMED_ARRAYS = {"kept_noise": "retained_noise"}
# Measured otherwise since 0.5 (in every direction, with a robust range), so nothing to compare.
REMEASURED = {
    "robustness", "kept_shift", "kept_rotation", "kept_scaling", "kept_jpeg",
    "retained_translation", "retained_rotation", "retained_scaling", "retained_jpeg",
}  # fmt: skip
TINY = (
    "model=tiny", "layer=named", "layer.name=block2_conv2", "layer.filters=0-3", "size=32", "steps=12",
    "precision=float32",
)  # fmt: skip
ARRAYS = ("history", "metrics", "features", "twins")  # .npz files of a result
PICTURES = ("filters", "best", "progress")  # its folders of PNGs
Digests = dict[str, str]


class Sweep(NamedTuple):
    """One process: a job for each value of one key. Its cases are called group/name."""

    group: str
    swept: str  # a key
    values: Sequence[str]
    overrides: Sequence[str] = ()
    names: Sequence[str] = ()  # of the cases; else the values
    base: Sequence[str] = TINY

    def cases(self) -> list[str]:
        """The names of its jobs, in their order."""
        return [f"{self.group}/{name}" for name in self.names or self.values]

    def arguments(self) -> list[str]:
        """What a person would type."""
        typed = [*self.base, *self.overrides, f"{self.swept}={','.join(self.values)}", "tracker=memory"]
        return ["-m", *typed] if len(self.values) > 1 else typed


# Each file of conf/reg, conf/objective, conf/param, conf/transform, conf/optimizer and conf/start, then some
# knobs that no preset turns, then each recipe of conf/experiment but the search, then `make demo`. The
# pictures and vectors are those of `draw`.
SWEEPS = (
    Sweep("reg", "reg",
          ("none", "decay", "blur", "small_norm", "combined", "seed",
           "yosinski_1", "yosinski_2", "yosinski_3", "yosinski_4"), ("twins=1",)),
    Sweep("objective", "objective", ("channel", "neuron", "layer", "diversity"), ("twins=1",)),
    Sweep("objective", "objective", ("direction",), ("objective.vectors=vectors.npy",)),
    Sweep("objective", "objective", ("sum",),
          ('objective.terms="2 channel - 0.5 channel 1 + 0.001 layer of block1_conv1"',)),
    Sweep("objective", "objective", ("inversion",), ("objective.pictures.picture=photo.png",)),
    Sweep("objective", "objective", ("guided",), ("objective.pictures.guide=art.png",)),
    Sweep("objective", "objective", ("style",),
          ("objective.pictures.content=photo.png", "objective.pictures.style=art.png",
           "objective.content_layers=[block2_conv1]", "objective.style_layers=[block1_conv1,block2_conv2]")),
    Sweep("param", "param", ("pixel", "octaves", "fourier", "maco"), ("start=pink", "optimizer=adam")),
    Sweep("transform", "transform", ("none", "jitter", "robust", "crops"), ("size=48", "twins=1")),
    Sweep("optimizer", "optimizer", ("normalized", "sgd", "progress", "adam")),
    # A channel has no top: without bounds a line search would run to infinity.
    Sweep("optimizer", "optimizer", ("lbfgs",), ("reg.clip_pixels=true", "steps=6")),
    Sweep("start", "start", ("noise", "raw_noise", "gaussian", "pink"), ("robustness=false",)),
    Sweep("start", "start", ("picture",), ("start.path=photo.png",)),
    # Knobs
    Sweep("knobs", "optimizer.rate", ("0.5", "5"), ("optimizer=sgd", "log_every=1"), ("sgd_0", "sgd_1")),
    Sweep("knobs", "optimizer.desired", ("0.5", "1"), ("optimizer=progress", "optimizer.max_rate=1e6"),
          ("progress_0", "progress_1")),
    Sweep("knobs", "reg.combine", ("chain", "mix"),
          ("reg=combined", "reg.contribution_percentile=20", "reg.value_percentile=5", "reg.blur=0",
           "reg.blur_sigma=0.7", "reg.blur_every=2", "reg.weights.norm=2", "reg.clip_pixels=true", "seed=3",
           "batch_size=3")),
    Sweep("knobs", "precision", ("bfloat16",), ("reg=combined", "objective.pre_activation=false")),
    Sweep("knobs", "transform.pad", ("0", "3"),
          ("transform=robust", "transform.noise=4", "param=fourier", "optimizer=adam", "optimizer.rate=0.05",
           "start=pink"), ("pad_0", "pad_3")),
    Sweep("knobs", "param", ("maco",),
          ("param.spectrum=pictures", "optimizer=adam", "start=gaussian"), ("maco_of_pictures",)),
    # Recipes. Swept over, a study's own sweep does not count: each is one job. 48 px, for a crop of 32 less.
    Sweep("experiment", "experiment",
          ("two_trainings", "keras_blog", "distill_2017", "fewer_flops", "maco", "seed_reproduction",
           "decay_blur", "norm_percentile", "precision", "stuck_filters", "yosinski_1", "yosinski_2",
           "yosinski_3", "yosinski_4", "yosinski_recipes"), ("size=48", "log_every=4")),
    Sweep("experiment", "experiment", ("deepdream",), ("start.path=photo.png", "log_every=4")),
    Sweep("experiment", "experiment", ("inversion",), ("objective.pictures.picture=photo.png", "steps=6")),
    Sweep("experiment", "experiment", ("neural_style",),
          ("objective.pictures.content=photo.png", "objective.pictures.style=art.png", "steps=6",
           "objective.content_layers=[block2_conv1]", "objective.style_layers=[block1_conv1,block2_conv2]")),
    Sweep("demo", "reg.blur", ("3", "5"), ("reg.decay=0.8,0.9",), ("0", "1", "2", "3"),
          ("precision=float32",)),
)  # fmt: skip


class FailedError(Exception):
    """A command that did not end well, or whose jobs are not those that were wanted."""


def draw(folder: Path) -> None:
    """Pictures and directions, the same each time."""
    chance = np.random.default_rng(0)
    (folder / "pictures").mkdir()
    for name, shape in {"photo.png": (40, 56, 3), "art.png": (48, 36, 3), "pictures/0.png": (64, 64, 3),
                        "pictures/1.png": (50, 70, 3)}.items():  # fmt: skip
        Image.fromarray(chance.integers(0, 256, shape, dtype=np.uint8)).save(folder / name)
    np.save(folder / "vectors.npy", chance.normal(size=(4, 16)).astype(np.float32))


def renamed(override: str) -> str:
    """An override of 0.4 as later versions have it.

    Example:
      >>> renamed("reg=none,seed"), renamed("optimizer.rate=0.05")
      ('reg=none,gildenblat_2016', 'optimizer.learning_rate=0.05')
    """
    key, equals, values = override.partition("=")
    choices = [RENAMED.get(f"{key}={value}", f"{key}={value}") for value in values.split(",")]
    values = ",".join(choice.partition("=")[2] for choice in choices)
    return f"{RENAMED.get(key, key)}{equals}{values}"


def version(folder: Path) -> str:
    """Of the deepvis that the command line runs."""
    asked = [sys.executable, "-c", "import deepvis; print(deepvis.__version__)"]
    return subprocess.run(asked, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def machine() -> dict[str, str]:
    """What decides on bits, apart from deepvis."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), platform.processor())
    return {
        "processor": hashlib.sha256(" ".join(sorted(flags.split())).encode()).hexdigest()[:16],
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        "tensorflow": importlib.metadata.version("tensorflow"),
    }


def digest(array: np.ndarray) -> str:
    """Of an array's type, shape and every bit."""
    return hashlib.sha256(f"{array.dtype.str} {array.shape} ".encode() + array.tobytes()).hexdigest()


def arrays(result: Path) -> Iterator[tuple[str, np.ndarray]]:
    """All that a job found, by name."""
    for name in ARRAYS:
        path = result / f"{name}.npz"
        if path.exists():
            with np.load(path) as packed:
                yield from ((f"{name}/{key}", packed[key]) for key in packed.files)
    for name in PICTURES:
        for path in sorted((result / name).rglob("*.png")):
            if path.parent.name == "step_00000":  # the start, which 0.4 did not write
                continue
            with Image.open(path) as picture:
                yield str(path.relative_to(result)), np.asarray(picture)


def run(sweep: Sweep, old: bool) -> Digests:
    """Run a sweep in a new folder, and digest what its jobs found."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw(folder)
        typed = sweep.arguments() if old else [renamed(each) for each in sweep.arguments()]
        command = [sys.executable, "-m", "deepvis.run", *typed]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        if done.returncode:
            raise FailedError(f"{' '.join(typed)}\n{done.stderr[-2000:] or done.stdout[-2000:]}")
        results = sorted(folder.glob("outputs/*/*/result"), key=lambda path: _number(path.parent))
        if [_number(path.parent) for path in results] != list(range(len(sweep.cases()))):
            raise FailedError(f"{' '.join(typed)}\nwanted {len(sweep.cases())} jobs, found {len(results)}")
        return {
            f"{case}/{key}": digest(array)
            for case, result in zip(sweep.cases(), results, strict=True)
            for key, array in arrays(result)
        }


def _number(job: Path) -> int:
    return int(job.name.split("_")[0])


def run_all(sweeps: Iterable[Sweep]) -> tuple[Digests, list[str]]:
    """Run sweeps one after the other; returns the digests, and the cases that failed, which have none."""
    digests: Digests = {}
    failed: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        old = version(Path(name)).startswith("0.4")
    for sweep in sweeps:
        began = time.monotonic()
        try:
            found = run(sweep, old)
        except FailedError as error:
            print(f"FAILED {', '.join(sweep.cases())}: {error}", flush=True)
            failed += sweep.cases()
            continue
        digests |= found
        took = time.monotonic() - began
        print(f"{took:5.1f} s {len(found):5} arrays  {', '.join(sweep.cases())}", flush=True)
    return digests, failed


def case_of(key: str) -> str:
    """The case of an array: its first two words."""
    return "/".join(key.split("/")[:2])


def record(file: Path, sweeps: Sequence[Sweep]) -> int:
    """Write the digests of all cases; returns the exit code."""
    digests, failed = run_all(sweeps)
    file.write_text(json.dumps({"machine": machine(), "digests": digests}, indent=1) + "\n")
    cases = set(map(case_of, digests))
    print(f"{len(cases)} cases, {len(digests)} arrays in {file}; {len(failed)} cases failed")
    return int(bool(failed))


def compare(file: Path, sweeps: Sequence[Sweep]) -> int:
    """Print all differences from what was recorded; returns the exit code."""
    recorded = json.loads(file.read_text())
    for key, value in machine().items():
        if recorded["machine"].get(key) != value:
            print(f"another machine: {key} is {value}, was {recorded['machine'].get(key)}; bits may differ")
    cases = {case for sweep in sweeps for case in sweep.cases()}
    before = {_array_name(key): value for key, value in recorded["digests"].items() if case_of(key) in cases}
    after, failed = run_all(sweeps)
    before, after = ({key: value for key, value in each.items() if key.rpartition("/")[2] not in REMEASURED}
                     for each in (before, after))  # fmt: skip
    different = []
    for key in sorted(before.keys() | after.keys()):
        if case_of(key) not in failed and before.get(key) != after.get(key):
            how = "differs" if key in before and key in after else "is gone" if key in before else "is new"
            different.append(f"{key} {how}")
    print(*different, sep="\n", end="\n" if different else "")
    same = len(before.keys() & after.keys()) - sum(each.endswith(" differs") for each in different)
    print(f"{same} of {len(before)} arrays are the same, {len(different)} differences")
    print(f"{len(cases)} cases, {len(failed)} failed")
    return int(bool(different or failed))


def _array_name(key: str) -> str:
    """A recorded array by the name that it has now."""
    head, _, name = key.rpartition("/")
    return f"{head}/{RENAMED_ARRAYS.get(name, name)}"


def main() -> int:
    """The command line of this script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=("record", "compare"))
    parser.add_argument("file", type=Path)
    parser.add_argument("groups", nargs="*", help="to compare only these; else all")
    typed = parser.parse_args()
    known = {sweep.group for sweep in SWEEPS}
    if unknown := set(typed.groups) - known:
        parser.error(f"no such group: {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}")
    if typed.groups and typed.what == "record":
        parser.error("a file holds all groups; only compare takes some of them")
    sweeps = [sweep for sweep in SWEEPS if not typed.groups or sweep.group in typed.groups]
    return {"record": record, "compare": compare}[typed.what](typed.file, sweeps)


if __name__ == "__main__":
    sys.exit(main())
