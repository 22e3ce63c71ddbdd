"""Devices: what this machine computes with, known without TensorFlow: (config) -> a config without ``auto``.

What is here for GPUs was not tested on one.
"""

import functools
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

from deepvis import networks
from deepvis.config.schema import Config, plain
from deepvis.core.errors import ConfigError

# Flags of processors that multiply in bfloat16. The first have no depthwise convolutions in it: there such
# networks took 2 to 2.7 times as long in it as in float32.
AVX, AMX = "avx512_bf16", "amx_bf16"
AMPERE = 8.0  # compute capability of the first GPUs that do
BATCH = 16  # on a processor more is hardly faster


@dataclass(frozen=True)
class Gpu:
    """What its driver says of a GPU."""

    capability: float
    free: int  # bytes


def resolved(cfg: Config) -> Config:
    """A config whose ``device`` (``cpu`` or ``gpu:n``), ``precision`` and ``batch_size`` are chosen here.

    Raises:
      ConfigError: a GPU is asked for that is not there.
    """
    device, precision, batch_size = named(cfg.device), cfg.precision, cfg.batch_size
    gpu = gpus()[int(device[4:])] if device != "cpu" else None
    if precision == "auto":
        fast = gpu.capability >= AMPERE if gpu else _is_bfloat16_fast(cfg)
        precision = "bfloat16" if fast else "float32"
    cfg = replace(cfg, device=device, precision=precision)
    if batch_size == 0:
        batch_size = _batch(cfg, gpu.free) if gpu else BATCH
    return replace(cfg, batch_size=batch_size)


def _is_bfloat16_fast(cfg: Config) -> bool:
    if AMX in flags() or AVX not in flags():
        return AMX in flags()
    layers = networks.network(plain(cfg.model)).layers().values()
    return not any("depthwise" in layer.kind or "separable" in layer.kind for layer in layers)


def named(asked: str) -> str:
    """The device that ``device=`` means here: ``cpu`` or ``gpu:n``.

    Raises:
      ConfigError: a GPU is asked for that is not there.
    """
    if asked == "cpu" or (asked == "auto" and not gpus()):
        return "cpu"
    number = int(asked.partition(":")[2] or 0)
    if number >= len(gpus()):
        raise ConfigError(f"device={asked}: nvidia-smi lists {len(gpus())} GPUs here; take device=cpu")
    return f"gpu:{number}"


def _batch(cfg: Config, free: int) -> int:
    """As many images as half of the free memory holds with the maps kept for the gradient, a power of two."""
    values = 0
    for layer in networks.network(plain(cfg.model)).layers().values():
        rows, columns = (
            side // stride for side, stride in zip(cfg.sides, layer.stride or cfg.sides, strict=True)
        )
        values += 3 * rows * columns * layer.channels  # before the ReLU, behind it, and a gradient
        if layer.name == cfg.layer.name:
            break
    fitting = free // 2 // (values * (2 if cfg.precision == "bfloat16" else 4))
    return max(1, min(512, 2 ** (int(fitting).bit_length() - 1)))


@functools.cache
def flags() -> frozenset[str]:
    """What the processor can, in Linux's words; empty elsewhere, where float32 is safe."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return frozenset()
    return frozenset(next((line for line in lines if line.startswith("flags")), "").split())


@functools.cache
def gpus() -> tuple[Gpu, ...]:
    """NVIDIA's GPUs, in its order; none where there is no driver."""
    command = ["nvidia-smi", "--query-gpu=compute_cap,memory.free", "--format=csv,noheader,nounits"]
    try:
        output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout
    except (OSError, subprocess.SubprocessError):
        return ()
    rows = [line.split(",") for line in output.strip().splitlines()]
    return tuple(Gpu(float(capability), int(free) * 2**20) for capability, free in rows)
