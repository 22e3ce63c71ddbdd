"""An installed wheel in an empty folder is a whole deepvis."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deepvis.results import result_folder

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_a_wheel_runs_in_an_empty_folder_with_its_own_conf(tmp_path: Path) -> None:
    def python(*args: str, cwd: Path) -> str:
        env = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
        done = subprocess.run(
            [sys.executable, *args], cwd=cwd, env=env, capture_output=True, text=True, timeout=150
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    empty = tmp_path / "empty"
    empty.mkdir()
    python("-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), cwd=ROOT)
    (wheel,) = tmp_path.glob("*.whl")
    python(
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--target",
        str(tmp_path / "site"),
        str(wheel),
        cwd=empty,
    )

    where = python("-c", "from deepvis.core import names; print(names.CONF)", cwd=empty).strip()
    assert Path(where) == tmp_path / "site" / "deepvis" / "conf"
    small = ["model=tiny", "layer=block2_conv1", "layer.filters=0-3", "size=16", "steps=2"]
    script = str(tmp_path / "site" / "bin" / "deepvis")
    python("-m", "deepvis.run", *small, cwd=empty)
    python(script, "-m", "reg.decay=0.8,0.9", *small, cwd=empty)
    assert sorted(p.name for p in empty.iterdir()) == ["mlruns", "outputs"]
    sweeps = sorted((empty / "outputs").iterdir())
    assert [len(list(result_folder.finished(sweep))) for sweep in sweeps] == [1, 2]
