"""deepvis' step on a GPU: exported here as StableHLO, run there by JAX, without TensorFlow.

    python benchmarks/gpu.py export FOLDER     where deepvis is; no GPU is needed
    python benchmarks/gpu.py run FOLDER        where JAX 0.10 and NumPy are; writes FOLDER/gpu.md

A case is one recipe at one size, precision and batch. Its first step is compared with TensorFlow's on a
processor, in float32, image by image: a batch repeats the few images that were computed there. (The bare
network's image is its gradient.) Then it is
timed, each step going on from the last one, and nothing is copied to the host. The files of all cases have
less than 64 MB; this module is all else that has to be carried.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

IMAGES, STEPS = 2, 1  # that are compared: a rounding grows with each step
RECIPES = {
    "no regularizer": ("reg=none",),
    "all regularizers": (
        "reg.decay=0.95", "reg.blur=3", "reg.norm_percentile=5", "reg.value_percentile=5",
        "reg.contribution_percentile=5", "reg.clip_pixels=true", "reg.combine=chain",
    ),
    "the three percentiles": (
        "reg.norm_percentile=5", "reg.value_percentile=5", "reg.contribution_percentile=5",
        "reg.combine=chain",
    ),
    "Fourier, robust": ("param=fourier", "transform=robust", "optimizer=adam", "start=pink"),
}  # fmt: skip
BARE = "the bare network"
# Without sparsity, TFLOP/s, from NVIDIA's data sheets. Convolutions of float32 run as TF32 there.
PEAKS = {"H100": (495, 989), "H200": (495, 989), "A100": (156, 312)}
HEAD = """| recipe | px | precision | batch | ms a step | images x steps/s | bare network's time / this | \
of the peak | score differs by | image differs by |
|---|---|---|---|---|---|---|---|---|---|
"""


Array = tuple[str, str]  # its name in arrays.npz, and its dtype: bfloat16 is rounded from float32 again


@dataclass(frozen=True)
class Case:
    """One compiled step, and what it takes."""

    file: str  # of the program
    recipe: str
    size: int
    precision: str
    batch: int
    flops: float  # of the convolutions of one image's step
    inputs: Sequence[Array]  # of the first step, of `IMAGES` images
    weights: Sequence[Array]  # behind them
    expected: Sequence[Array]  # score and image after `STEPS`, or score and gradient of the bare network
    carried: int  # of the outputs, as many are the first inputs of the next step


def export(folder: Path, sizes: Sequence[int], precisions: Sequence[str], batches: Sequence[int],
           network: Sequence[str]) -> None:  # fmt: skip
    """Write the programs of all cases, what they take and what a processor makes of it."""
    import ours  # TensorFlow is imported here only
    import tensorflow as tf

    folder.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, np.ndarray] = {}
    cases: list[Case] = []
    wanted: dict[tuple[str, int], list[Array]] = {}

    def kept(tensors: Any) -> list[Array]:
        """Where each of some tensors is kept, once."""
        return [kept_array(each.numpy()) for each in tf.nest.flatten(tensors)]

    def kept_array(array: np.ndarray) -> Array:
        for name, known in arrays.items():
            if known.shape == array.shape and np.array_equal(
                known.astype(array.dtype), array, equal_nan=True
            ):
                return name, array.dtype.name
        name = str(len(arrays))
        arrays[name] = array
        return name, array.dtype.name

    def lowered(function: Any, given: Any, carried: int, about: dict[str, Any]) -> None:
        for batch in batches:
            sized = tf.nest.map_structure(
                lambda x, batch=batch: tf.zeros([batch, *x.shape[1:]] if x.shape.rank else [], x.dtype), given
            )
            graph = function.get_concrete_function(*sized)
            case = Case(
                f"{len(cases)}.mlirbc", **about, batch=batch, flops=_flops(graph.graph), inputs=kept(given),
                weights=kept(graph.captured_inputs), expected=wanted[about["recipe"], about["size"]],
                carried=carried,
            )  # fmt: skip
            lower = function.experimental_get_compiler_ir(*sized)
            (folder / case.file).write_bytes(lower(stage="stablehlo_serialized"))
            cases.append(case)

    for precision in sorted(precisions, reverse=True):  # float32 first: the others are compared with it
        for size in sizes:
            for recipe, typed in RECIPES.items():
                typed = (*network, *typed, f"layer.filters=0-{IMAGES - 1}", f"size={size}", "steps=1000000")
                group = ours.group([ours.job(folder / "job", *typed, f"precision={precision}")])
                using, state, hyper = ours.step_for_xla(group)
                about = {"recipe": recipe, "size": size, "precision": precision}
                if recipe == next(iter(RECIPES)):
                    bare, given = ours.bare_for_xla(using), (state.theta, hyper["filter"])
                    wanted.setdefault((BARE, size), kept(bare(*given)))
                    lowered(bare, given, 0, about | {"recipe": BARE})
                if precision == "float32":
                    after, record = ours.steps_on_processor(group, state, hyper, STEPS)
                    wanted[recipe, size] = kept((record.score, after.theta))
                lowered(using.ascent.advance, (state, hyper), len(tf.nest.flatten(state)), about)
                print(f"{recipe}, {size} px, {precision}: {len(batches)} programs", flush=True)
    np.savez_compressed(folder / "arrays.npz", **arrays)
    (folder / "cases.json").write_text(json.dumps([asdict(case) for case in cases], indent=1))


def _flops(graph: Any) -> float:
    """Of one image's convolutions, forward and backward: two for each weight at each place."""
    total = 0.0
    for op in graph.get_operations():
        if op.type in ("Conv2D", "Conv2DBackpropInput"):
            places = op.outputs[0] if op.type == "Conv2D" else op.inputs[2]
            kernel = op.inputs[1].shape
            total += 2.0 * np.prod(places.shape[1:3]) * np.prod(kernel)
    return total


def run(folder: Path, seconds: float) -> list[dict[str, Any]]:
    """Run all cases on the first device that JAX sees, each for some seconds; print and write their table."""
    import jax

    device = jax.devices()[0]
    arrays = np.load(folder / "arrays.npz")
    rows = []
    for given in json.loads((folder / "cases.json").read_text()):
        case = Case(**given)
        try:
            rows.append(asdict(case) | _measured(case, folder, arrays, device, seconds))
        except jax.errors.JaxRuntimeError as err:
            if "RESOURCE_EXHAUSTED" not in str(err):
                raise
            rows.append(asdict(case) | {"error": "out of memory"})
        print(_line(rows[-1], rows, device.device_kind), end="", flush=True)
    name = f"{device.device_kind}, JAX {jax.__version__}, float32 convolutions as JAX has them by default\n\n"
    lines = (_line(row, rows, device.device_kind) for row in rows)
    (folder / "gpu.md").write_text(name + HEAD + "".join(lines))
    (folder / "gpu.json").write_text(json.dumps(rows, indent=1))
    return rows


def _measured(case: Case, folder: Path, arrays: Any, device: Any, least: float) -> dict[str, Any]:
    """Seconds of a step, and the largest differences of a score and of an image's root mean square."""
    import jax
    from jax._src.lib import xla_client  # JAX has no public way to run a program that it did not trace

    program = device.client.compile_and_load(
        (folder / case.file).read_bytes(), xla_client.DeviceList((device,)), xla_client.CompileOptions()
    )

    def batched(name: str) -> np.ndarray:
        once = arrays[name]
        return np.concatenate([once] * -(-case.batch // IMAGES))[: case.batch] if once.ndim else once

    given = [(batched(name), dtype) for name, dtype in case.inputs]
    given += [(arrays[name], dtype) for name, dtype in case.weights]
    parameters = [jax.device_put(jax.numpy.asarray(each).astype(dtype), device) for each, dtype in given]

    def step(values: list[Any]) -> list[Any]:
        given = program.execute_sharded(values).disassemble_into_single_device_arrays()
        return [each[0] for each in given]

    def steps(count: int, values: list[Any]) -> tuple[list[Any], list[Any]]:
        given: list[Any] = []
        for _ in range(count):
            given = step(values)
            values = given[: case.carried] + values[case.carried :]
        jax.block_until_ready(given)
        return values, given

    values, outputs = steps(STEPS if case.carried else 1, parameters)
    difference = {
        kind: _difference(np.asarray(outputs[at], np.float64), arrays[name])
        for kind, at, (name, _) in zip(("score", "image"), (case.carried, 1), case.expected, strict=True)
    }
    return {"seconds": _seconds(lambda count: steps(count, values), least), "differences": difference}


def _seconds(steps: Callable[[int], object], least: float) -> float:
    steps(2)
    count = 4
    while True:
        began = time.perf_counter()
        steps(count)
        spent = time.perf_counter() - began
        if spent >= least:
            return spent / count
        count *= 2


def _difference(batch: np.ndarray, expected: np.ndarray) -> float:
    """The largest root mean square of an image's difference, over the largest of what was expected."""
    wanted = expected[np.arange(len(batch)) % IMAGES].astype(np.float64)
    axes = tuple(range(1, batch.ndim))
    off, size = (np.sqrt(np.mean(each**2, axis=axes)) for each in (batch - wanted, wanted))
    return float(np.max(off) / np.max(size))


def _line(row: dict[str, Any], rows: Sequence[dict[str, Any]], card: str) -> str:
    about = f"| {row['recipe']} | {row['size']} | {row['precision']} | {row['batch']} |"
    if "error" in row:
        return f"{about} {row['error']} | | | | | |\n"
    same = [each for each in rows if all(each[k] == row[k] for k in ("size", "precision", "batch"))]
    bare = [each["seconds"] for each in same if each["recipe"] == BARE and "seconds" in each]
    share = f"{bare[0] / row['seconds']:.0%}" if bare else ""
    peaks = [pair[row["precision"] != "float32"] for name, pair in PEAKS.items() if name in card]
    rate = row["batch"] / row["seconds"]
    peak = f"{rate * row['flops'] / (1e12 * peaks[0]):.0%}" if peaks else ""
    speed = f"{1000 * row['seconds']:.2f} | {rate:,.0f} | {share} | {peak}"
    differences = " | ".join(f"{row['differences'][kind]:.1e}" for kind in ("score", "image"))
    return f"{about} {speed} | {differences} |\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=("export", "run"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", default=(128, 224))
    parser.add_argument("--precisions", nargs="+", default=("float32", "bfloat16"))
    parser.add_argument("--batches", type=int, nargs="+", default=(16, 64, 128, 256, 512))
    parser.add_argument("--network", nargs="+", default=("model=vgg16", "layer=block5_conv1"))
    parser.add_argument("--seconds", type=float, default=1.0, help="that a case is timed for, at least")
    typed = parser.parse_args()
    if typed.what == "run":
        run(typed.folder, typed.seconds)
    elif "float32" not in typed.precisions:
        parser.error("--precisions: float32 must be among them: the others are compared with it")
    else:
        export(typed.folder, typed.sizes, typed.precisions, typed.batches, typed.network)


if __name__ == "__main__":
    main()
