"""What stays unloaded until it is needed. Who may import whom is said by import-linter's contracts."""

import subprocess
import sys
from pathlib import Path

import pytest

import deepvis

ROOT = Path(deepvis.__file__).parent
MODULES = sorted(
    ".".join(("deepvis", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")
    for path in ROOT.rglob("*.py")
)
HEAVY = {"tensorflow", "keras", "mlflow", "matplotlib", "pandas", "h5py", "onnx"}
# Those that import Keras or matplotlib at once; a job or a report imports them when it needs them.
LOADING = {
    "deepvis.cli.report", "deepvis.networks.efficientnet_lite", "deepvis.networks.forward_pass",
    "deepvis.networks.inner_models", "deepvis.networks.keras_activations",
    "deepvis.networks.keras_copies", "deepvis.networks.keras_damage",
    "deepvis.networks.keras_graph", "deepvis.networks.keras_models", "deepvis.networks.keras_network",
    "deepvis.networks.keras_probe", "deepvis.networks.keras_taps", "deepvis.networks.model_files",
    "deepvis.networks.onnx_import.arithmetic", "deepvis.networks.onnx_import.calls",
    "deepvis.networks.onnx_import.constants", "deepvis.networks.onnx_import.conversion",
    "deepvis.networks.onnx_import.convolutions", "deepvis.networks.onnx_import.layers",
    "deepvis.networks.onnx_import.layouts", "deepvis.networks.onnx_import.names",
    "deepvis.networks.onnx_import.network", "deepvis.networks.onnx_import.shapes",
    "deepvis.networks.onnx_import.windows", "deepvis.networks.open_graph", "deepvis.networks.pixel_range",
    "deepvis.networks.unit_boxes",
    "deepvis.networks.receptive_fields", "deepvis.networks.shared_names",
    "deepvis.networks.token_places", "deepvis.networks.torch_modules", "deepvis.networks.untrusted_files",
    "deepvis.report.contact", "deepvis.report.figures",
    "deepvis.report.filter_curves",
    "deepvis.report.page", "deepvis.report.paper", "deepvis.report.curves", "deepvis.report.heat_maps",
    "deepvis.report.trade_off",
}  # fmt: skip


def done(code: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)


def test_modules_are_found():
    """Else the laws below would hold of nothing."""
    assert {"deepvis", "deepvis.run", "deepvis.ascent.program", "deepvis.core.errors", *LOADING} <= set(
        MODULES
    )


def test_no_module_has_more_than_300_lines():
    lines = {path.relative_to(ROOT): len(path.read_text().splitlines()) for path in ROOT.rglob("*.py")}
    assert {path: count for path, count in lines.items() if count > 300} == {}


def test_all_light_modules_together_load_nothing_heavy():
    """In one process: each module is blamed for what it was the first to load."""
    light = [name for name in MODULES if name not in LOADING]
    code = (
        "import sys, importlib\nfound, before = {}, set()\n"
        f"for name in {light!r}:\n"
        "    importlib.import_module(name)\n"
        f"    heavy = ({HEAVY!r} & sys.modules.keys()) - before\n"
        "    found |= {name: sorted(heavy)} if heavy else {}\n"
        "    before |= heavy\n"
        "sys.exit(f'loaded {found}' if found else 0)"
    )
    ended = done(code)
    assert ended.returncode == 0, ended.stderr


def test_names_of_the_package_are_imported_when_they_are_used():
    code = (
        "import sys, deepvis\n"
        "assert set(deepvis.__all__) <= set(dir(deepvis)) and 'deepvis.api' not in sys.modules\n"
        f"heavy = ({HEAVY!r} | {{'numpy', 'hydra', 'scipy'}}) & sys.modules.keys()\n"
        "assert not heavy, heavy\n"
        "[getattr(deepvis, name) for name in deepvis.__all__]\n"
        f"heavy = {HEAVY!r} & sys.modules.keys()\n"
        "assert not heavy, heavy"
    )
    ended = done(code)
    assert ended.returncode == 0, ended.stderr


def test_a_program_loads_no_keras_and_leaves_it_to_who_asks():
    """Keras is half of the time that `import tensorflow` takes."""
    code = (
        "import sys\nfrom deepvis.networks import backend\nbackend.load()\n"
        "from deepvis.ascent import optimize, program\n"
        "from deepvis.sweeps import runner\n"
        "assert 'keras' not in sys.modules and 'tensorflow' in sys.modules\n"
        "import keras, tensorflow as tf\n"
        "assert tf.keras.Model is keras.Model and issubclass(tf.optimizers.Adam, keras.Optimizer)\n"
        "backend.load()\nassert sys.modules['keras'] is keras"
    )
    ended = done(code)
    assert ended.returncode == 0, ended.stderr


def test_the_linter_of_imports_sees_every_file():
    """A folder without an `__init__.py` would be invisible to its contracts."""
    grimp = pytest.importorskip("grimp")
    assert sorted(grimp.build_graph("deepvis", cache_dir=None).modules) == MODULES
    assert len(MODULES) == len(list(ROOT.rglob("*.py")))
