"""The example notebook runs in a kernel, quietly, and shows what it shows in the docs."""

from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[2] / "docs" / "example.ipynb"


def kinds(cell) -> list[tuple[str, ...]]:
    """What a cell shows: the type of each of its outputs."""
    return [
        (each.output_type, each.get("name", ""), *sorted(each.get("data", {})))
        for each in cell.get("outputs", [])
    ]


def test_the_example_notebook_runs_and_shows_what_is_committed(tmp_path):
    nbclient = pytest.importorskip("nbclient", reason="in the extra test")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    committed = nbformat.read(NOTEBOOK, as_version=4)
    ran = nbformat.read(NOTEBOOK, as_version=4)
    folder = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(ran, timeout=200, kernel_name="python3", resources=folder).execute()
    for cell, before in zip(ran.cells, committed.cells, strict=True):
        assert kinds(cell) == kinds(before), cell.source
        assert not any(each.get("name") == "stderr" for each in cell.get("outputs", [])), cell.outputs
    assert NOTEBOOK.stat().st_size < 300_000
