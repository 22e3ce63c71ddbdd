"""The table of docs/reference/onnx.md: networks of torchvision and timm, and how far Keras is from them.

python benchmarks/onnx_table.py [--write] [name ...]: each in a process of its own, all where none is named. A
row of the page is replaced when it is measured; the others stay.
"""

import re
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference" / "onnx.md"
BEGIN, END = "<!-- table: benchmarks/onnx_table.py --write -->", "<!-- end of table -->"
HEAD = """\
| network | px | values | onnxruntime | newer exporter | output | gradient | in float64 | PyTorch itself |
|---|---|---|---|---|---|---|---|---|"""
PACKAGES = ("torch", "torchvision", "timm", "onnx", "onnxruntime", "keras", "tensorflow")

sys.path.insert(0, str(ROOT / "tests"))


def row(title: str) -> str:
    """One network, measured here and now."""
    import numpy as np
    from helpers import torch_networks as networks

    size = networks.NETWORKS[title]
    made = networks.module(title, size)
    image = np.random.default_rng(0).standard_normal((1, 3, size, size)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        found = networks.compared(made, image, Path(folder) / "net.onnx")
        path = networks.export(
            made,
            networks.torch.tensor(image),
            Path(folder) / "new.onnx",
            dynamo=True,
            training=None,
            external_data=False,
            verbose=False,
        )
        _, newer = networks.worst_value(path, networks.converted(path), image)
    return (
        f"| {title} | {size} | {found.values} | {found.layers:.1e} | {newer:.1e} | {found.output:.1e} "
        f"| {found.single:.1e} | {found.double:.1e} | {found.noise:.1e} |"
    )


def main(names: list[str], write: bool) -> int:
    """Print rows, and write them into the page; how many networks failed."""
    from helpers.torch_networks import NETWORKS

    failed = 0
    for title in NETWORKS:
        if names and not {title, title.split()[1]} & set(names):
            continue
        done = subprocess.run([sys.executable, __file__, "--row", title], capture_output=True, text=True)
        line = next((each for each in done.stdout.splitlines() if each.startswith("| ")), None)
        if line is None:
            failed += 1
            print(f"{title}: {(done.stderr.strip().splitlines() or ['?'])[-1][:300]}", file=sys.stderr)
            continue
        print(line, flush=True)
        if write:
            replace(title, line, list(NETWORKS))
    return failed


def replace(title: str, line: str, titles: list[str]) -> None:
    """Write a network's row into the page, in the place of the one that was there."""
    start, table, rest = re.split(f"{BEGIN}|{END}", PAGE.read_text())
    found = re.findall(r"^\| \w+ \w+ \|.*$", table, re.M)
    rows = {each.split(" | ")[0].removeprefix("| "): each for each in found}
    rows = {name: each for name, each in rows.items() if name in titles} | {title: line}
    packages = ", ".join(f"{each} {version(each)}" for each in PACKAGES)
    ordered = [
        rows[name] for name in sorted(rows, key=lambda name: (not name.startswith("torchvision"), name))
    ]
    lines = [BEGIN, f"Measured with {packages}.\n", HEAD, *ordered, END]
    PAGE.write_text(start + "\n".join(lines) + rest)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--row"]:
        print(row(sys.argv[2]))
    else:
        sys.exit(main([each for each in sys.argv[1:] if each != "--write"], "--write" in sys.argv))
