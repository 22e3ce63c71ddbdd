"""benchmarks/gpu.py: the exported step, run by JAX without TensorFlow, is the step of the processor."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu.py"
CASES = ["--sizes", "16", "--batches", "3", "--network", "model=tiny", "layer=block2_conv1"]
ALONE = """
import runpy, sys
class Refused:
    def find_spec(self, name, *more):
        assert name.partition(".")[0] not in ("tensorflow", "deepvis"), name
sys.meta_path.insert(0, Refused())
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gpu")
    subprocess.run([sys.executable, SCRIPT, "export", folder, *CASES], check=True, timeout=250)
    subprocess.run(
        [sys.executable, "-c", ALONE, SCRIPT, "run", folder, "--seconds", "0"], check=True, timeout=250
    )
    assert (folder / "gpu.md").read_text().count("\n| ") == 1 + 2 * 5  # recipes and the bare network
    return json.loads((folder / "gpu.json").read_text())


def test_the_exported_steps_are_those_of_the_processor(rows):
    for row in rows:
        score, image = row["differences"]["score"], row["differences"]["image"]
        if row["precision"] == "float32":
            assert 0 <= max(score, image) < 1e-5, row
        else:  # Adam's first step is the sign of each number of the gradient, of small ones a rounding's
            assert 0 < score < 2e-2 and 0 < image < 1, row


def test_what_is_timed_is_what_was_asked_for(rows):
    assert {(row["precision"], row["batch"]) for row in rows} == {("float32", 3), ("bfloat16", 3)}
    assert all(row["seconds"] > 0 for row in rows)
    # Two for each product, forward and backward: `tiny` has 3 -> 8 at 16 px and 8 -> 12 at 8 px.
    products = 9 * (16**2 * 3 * 8 + 8**2 * 8 * 12)
    assert {row["flops"] for row in rows} == {2 * 2 * products}
