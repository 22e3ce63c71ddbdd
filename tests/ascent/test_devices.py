"""Laws of the devices: ``auto`` is resolved by what the machine has, and a graph runs where it was told to.

The GPUs here are words of a driver; what can be seen of them on a processor is seen.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from helpers.configs import job_of, optimized, parts_of, typed_of

from deepvis.ascent import devices, gradient_ascent, ops, program, validation
from deepvis.core.errors import ConfigError
from deepvis.sweeps import jobs

TODAY = "9.0, 40000\n7.5, 1000\n"  # two GPUs: capability, free MiB


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Make this machine one whose processor and whose nvidia-smi say these things."""

    def make(flags: str = "", gpus: str = ""):
        devices.gpus.cache_clear()
        monkeypatch.setattr(devices, "flags", lambda: frozenset(flags.split()))
        driver = tmp_path / "nvidia-smi"
        driver.write_text(f"#!/bin/sh\nprintf '{gpus}'\n" if gpus else "#!/bin/sh\nexit 9\n")
        driver.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    yield make
    devices.gpus.cache_clear()


def chosen(*overrides):
    cfg = devices.resolved(typed_of(*overrides))
    return cfg.device, cfg.precision, cfg.batch_size


@pytest.mark.parametrize(
    ("flags", "gpus", "typed", "wanted"),
    [
        ("fma avx512f", "", [], ("cpu", "float32", 16)),
        ("fma avx512_bf16", "", [], ("cpu", "bfloat16", 16)),
        ("amx_bf16", "", [], ("cpu", "bfloat16", 16)),
        ("amx_bf16", "", ["precision=float32"], ("cpu", "float32", 16)),
        ("", "", ["precision=bfloat16", "batch_size=3"], ("cpu", "bfloat16", 3)),
        ("", TODAY, [], ("gpu:0", "bfloat16", 512)),
        ("amx_bf16", TODAY, ["device=gpu:1", "batch_size=7"], ("gpu:1", "float32", 7)),
        ("amx_bf16", TODAY, ["device=cpu"], ("cpu", "bfloat16", 16)),
        ("", TODAY, ["device=gpu"], ("gpu:0", "bfloat16", 512)),
    ],
)
def test_auto_becomes_what_the_machine_has(flags, gpus, typed, wanted, machine):
    machine(flags, gpus)
    assert chosen(*typed) == wanted


def test_a_choice_belongs_to_the_job_and_a_device_does_not(machine):
    keys = {}
    for flags in ("", "amx_bf16"):
        machine(flags, TODAY)
        for typed in ("device=cpu", "device=gpu:1", "precision=float32", "precision=bfloat16"):
            job = jobs.make(typed_of(typed), [typed], Path("out"))
            keys.setdefault(job.cfg.precision, set()).add(job.key)
            assert jobs.params(job)["precision"] == job.cfg.precision != "auto"
    assert {name: len(each) for name, each in keys.items()} == {"float32": 1, "bfloat16": 1}
    assert keys["float32"] != keys["bfloat16"]


def test_a_gpus_batch_shrinks_with_its_memory_and_the_image(machine):
    sizes = []
    for free, size in ((40000, 128), (4000, 128), (4000, 512), (10, 512)):
        machine("", f"9.0, {free}\\n")
        sizes.append(chosen(f"size={size}")[2])
    assert sizes == sorted(sizes, reverse=True) and len(set(sizes)) == 4 and sizes[-1] == 1
    machine("", "9.0, 4000\\n")
    images = chosen()[2]
    blocks = [[64] * 2, [128] * 2, [256] * 3, [512] * 3, [512]]
    maps = sum(3 * (128 >> b) ** 2 * c for b, block in enumerate(blocks) for c in block)
    assert images * maps * 2 <= 2000 * 2**20 < 2 * images * maps * 2  # bfloat16 has two bytes
    assert (
        chosen("size=[64,256]")[2] == chosen("size=[256,64]")[2] == images == 2 * chosen("size=[256,128]")[2]
    )


@pytest.mark.parametrize("typed", ["device=gpu", "device=gpu:2", "device=tpu", "device=gpu:-1", "device="])
def test_a_device_that_is_not_there_is_refused(typed, machine):
    machine("", "9.0, 40000\\n" if typed == "device=gpu:2" else "")
    with pytest.raises(ConfigError) as refused:
        validation.check(typed_of(typed))
    assert str(refused.value).startswith(typed) and "cpu" in str(refused.value)


def test_the_processor_is_asked_without_tensorflow():
    code = (
        "import sys; from deepvis.ascent import devices; print(sorted(devices.flags())); "
        "assert 'tensorflow' not in sys.modules"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    ).stdout
    if Path("/proc/cpuinfo").exists():
        assert ("'fma'" in said) == (" fma " in Path("/proc/cpuinfo").read_text())


def test_a_gpu_that_tensorflow_cannot_use_is_an_error_with_advice(machine, tmp_path):
    machine("", TODAY)
    (pack,) = jobs.job_groups([job_of(tmp_path, "device=gpu")])
    with pytest.raises(ConfigError, match=r"device=gpu:0: TensorFlow sees no GPU .*and-cuda.*device=cpu"):
        program.compiled(pack.static_config, pack.enabled)


# --- the graph ---------------------------------------------------------------------------------------

REGS = [
    "reg.decay=0.9",
    "reg.blur=3",
    "reg.norm_percentile=20",
    "reg.value_percentile=5",
    "reg.clip_pixels=true",
]


def looks_of(job, xla=None):
    return optimized(job, xla=xla)[1]


def test_xla_compiles_the_same_graph(tmp_path):
    """What a GPU would be given, compiled here: two steps agree, the masks of the percentiles exactly."""
    job = job_of(tmp_path, *REGS, "reg.combine=chain", "steps=2", "snapshot_every=2")
    for ours, theirs in zip(looks_of(job, xla=True), looks_of(job), strict=True):
        for name, values in ours.record.items():
            np.testing.assert_allclose(values, theirs.record[name], rtol=2e-4, atol=1e-4, err_msg=name)
        np.testing.assert_array_equal(ours.image == 0, theirs.image == 0)
        np.testing.assert_allclose(ours.image, theirs.image, rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("xla", [True, False])
def test_percentiles_select_what_numpy_selects(xla):
    """Also of ties, zeros, small and large numbers, and infinity; TensorFlow takes denormal ones as 0."""
    rng = np.random.default_rng(0)
    rows = np.abs(rng.normal(size=(6, 501))).astype(np.float32)
    rows[1] = rng.integers(0, 4, 501)
    rows[2] = rng.choice(np.float32([0, 2e-38, 1, 3e38, np.inf]), 501)
    rows[3] = 0
    rows[4] *= np.float32(10.0) ** rng.integers(-30, 30, 501)
    q = np.float32([0, 33.3, 50, 99.9, 0.1, 70])
    masks = tf.function(ops.from_percentile, autograph=False, jit_compile=xla)
    with ops.traced_for(xla):
        given = masks(tf.constant(rows), tf.constant(q)).numpy()
    exact = np.round(q.astype(float), 5)
    for row, percent, mask in zip(rows, exact, given, strict=True):
        bound = np.sort(row)[int(np.ceil(percent * 500 / 100))]
        np.testing.assert_array_equal(mask, row >= bound)
    assert {op.type for op in masks.get_concrete_function(*map(tf.constant, (rows, q))).graph.get_operations()
            }.isdisjoint({"NthElement"} if xla else {"Bitcast"})  # fmt: skip


def test_a_graph_is_placed_on_the_device_that_it_was_given():
    def build(hyper):
        return parts_of(
            lambda image: (tf.reduce_sum(image, axis=[1, 2, 3]),) * 5,
            lambda grad, memory, step: (grad, memory),
        )

    hyper = {"steps": tf.constant([3, 3])}
    given = gradient_ascent.compiled(build).begin(tf.zeros([2, 4, 4, 3]), hyper), hyper
    for device, name in (("cpu", "CPU"), ("gpu:1", "GPU:1")):
        made = gradient_ascent.compiled(build, device).advance.get_concrete_function(*given).graph
        placed = {op.device for op in made.get_operations() if op.type != "Placeholder"}
        assert placed and all(name in each for each in placed if each), placed


@pytest.mark.gpu
def test_a_gpu_gives_what_the_processor_gives(tmp_path):
    """Never run by the authors, who have none."""
    if not devices.gpus():
        pytest.skip("no GPU here")
    here, there = (
        looks_of(job_of(tmp_path, *REGS, "steps=2", "snapshot_every=2", f"device={d}"))
        for d in ("cpu", "gpu")
    )
    for ours, theirs in zip(here, there, strict=True):
        np.testing.assert_allclose(ours.record["score"], theirs.record["score"], rtol=1e-2)
