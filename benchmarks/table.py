"""The table: pytest-benchmark's JSON -> Markdown, printed, and written where a file is named.

python table.py RUN.json [docs/reference/benchmarks.md [SECTION]]

With a section, such as "Natural examples", only that one is written, with its own date and machine: for a run
of some of the benchmarks. What follows the heading "Parts" was printed by other scripts, and stays.
"""

import json
import os
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

# Those that the speed of convolutions hangs on.
FLAGS = ("avx2", "avx512f", "avx512_bf16", "avx512_fp16", "amx_bf16", "amx_tile")
PACKAGES = ("deepvis", "tensorflow", "keras", "numpy", "scipy", "mlflow", "tf-keras-vis", "xplique")
COLUMNS = {
    "figure": "figure",
    "precision": "precision",
    "at_most": "at most",
    "cpu": "measured (CPU, where it is a time)",
    "wall": "wall",
    "seconds": "CPU seconds",
}
HEAD = f"""\
**Measured with deepvis {version("deepvis")}**. `make bench` writes this page.
"""
NOTES = """\
VGG16 block5_conv1, 128 px, 16 filters, 20 steps, unless a figure says otherwise. Ratios and differences are
medians of rounds in which the two took turns, with the range over the rounds; CPU is user and system time of
all threads, of whole processes where a process is measured. `benchmarks/` has the baselines.

- A step is part of a chunk; its share of the copy to the host is in it.
- The demo starts in an empty folder, so it also makes its MLflow store. Gildenblat's loop (2016) is
  float32, has one compiled function for all filters, and tracks nothing.
- The libraries run in float32. xplique optimizes bare pixels; tf-keras-vis has its default modifiers and
  regularizers. They measure nothing of an image, so beside them deepvis has `robustness=false`;
  everywhere else they are on.
- The time outside the graph is measured on the tiny network with pictures of the usual size, where no step of
  the network hides it.
- The first step is done when its live picture is on the disk, in a folder that has a store.
- The pass for natural examples reads JPEGs of 500 x 375 px; the bare forward pass gets them decoded. What is
  more than that is nearly all reading: JPEG, crop and scaling cost about 4 ms of CPU a photograph.
  Images/s are by the clock, on a machine as busy as it was (of two cores a fraction, in 0.5.0).
- A whole layer takes two steps here; each further snapshot keeps 25 MB of pictures. The long sweep is jobs
  of 16 filters on block3_conv1 at 64 px, one step.

What stands in the way of a bound that is not met: [limits.md](../explanation/limits.md).
"""


def main(run: str, target: str | None = None, section: str | None = None) -> None:
    data = json.loads(Path(run).read_text())
    rows = [row for each in data["benchmarks"] for row in each["extra_info"]["rows"]]
    lines = [list(COLUMNS.values()), ["---"] * len(COLUMNS)]
    lines += [[row.get(key, "") for key in COLUMNS] for row in rows]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    print(table)
    if section is not None and target is not None:
        heading, text = f"\n## {section}\n", Path(target).read_text()
        before, _, rest = text.partition(heading)
        _, mark, after = rest.partition("\n## ")
        added = f"{heading}\n{_where(data)}\n\n{table}\n"
        Path(target).write_text(before.rstrip() + "\n" + added + mark + after)
    elif target is not None:
        _, mark, parts = Path(target).read_text().partition("\n## Parts\n")
        text = f"# Benchmarks\n\n{HEAD}\n{NOTES}\n{_where(data)}\n\n{table}\n{mark}{parts}"
        Path(target).write_text(text)


def _where(data: dict) -> str:
    """Machine, versions and date of a run."""
    machine, commit = data["machine_info"], data["commit_info"]
    cpu = machine["cpu"]
    flags = [flag for flag in FLAGS if flag in cpu["flags"]]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    changed = ", with changes" if commit["dirty"] else ""
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES if _is_here(name))
    return (
        f"- Date: {data['datetime'][:10]}, commit {commit['id'][:12]}{changed}\n"
        f"- Machine: {cpu['brand_raw']}, {cpu['count']} cores ({', '.join(flags)}), {memory:.0f} GB\n"
        f"- Versions: Python {machine['python_version']}, {versions}"
    )


def _is_here(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


if __name__ == "__main__":
    main(*sys.argv[1:])
