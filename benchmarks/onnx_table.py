"""The table of docs/reference/onnx.md: networks of torchvision and timm, and how far Keras is from them.

python benchmarks/onnx_table.py [--write] [name ...]: each in a process of its own; graphs stay in memory.
"""

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


def main(names: list[str], write: bool) -> None:
    """Print the table, and write it into the page."""
    from helpers.torch_networks import NETWORKS

    rows = []
    for title in NETWORKS:
        if not names or title.split()[1] in names:
            done = subprocess.run([sys.executable, __file__, "--row", title], capture_output=True, text=True)
            failed = f"| {title} | failed: {(done.stderr.strip().splitlines() or ['?'])[-1][:300]} |"
            rows.append(next((line for line in done.stdout.splitlines() if line.startswith("| ")), failed))
            print(rows[-1], flush=True)
    if write:
        text = PAGE.read_text()
        start, rest = text.split(BEGIN)
        packages = ", ".join(f"{each} {version(each)}" for each in PACKAGES)
        table = "\n".join([BEGIN, f"Measured with {packages}.\n", HEAD, *rows])
        PAGE.write_text(f"{start}{table}\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--row"]:
        print(row(sys.argv[2]))
    else:
        main([each for each in sys.argv[1:] if each != "--write"], "--write" in sys.argv)
