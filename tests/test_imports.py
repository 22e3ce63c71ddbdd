"""Laws of the imports: who may know whom, and what stays unloaded until it is needed.

Read from the source, so that a new module is held to them too, whatever it happens to run.
"""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import deepvis

ROOM = Path(deepvis.__file__).parent
MODULES = sorted(path.stem for path in ROOM.glob("*.py") if path.stem not in ("__init__", "__main__"))
FAMILIES = {"objectives", "regularizers", "params", "transforms", "optimizers", "starts"}
KERAS = {"kerasnets", "kerasloads"}
LIGHT = {
    "run", "config", "errors", "jobs", "outcome", "images", "convergence", "metrics", "stats", "sweep",
    "terminal", "tracker",
    "saved_view", "ui", "weights", "board", "checks", "lean", "ledger", "packed", "preflight", "store",
    "notices", "alive", "resume", "frames", "devices", "composer", "staging", "seeds", "views", "comparison",
    "findings", "verdict", "sheets", "passages", "networks", "fields", "calls", "listing",
    "specs", "units", "limits", "rules", "octaves", "terms", "notebook",
}  # fmt: skip


def imports(module: str, lazy: bool) -> set[str]:
    """Full names of what a module imports: at module level, or (lazy) inside its functions."""
    tree = ast.parse((ROOM / f"{module}.py").read_text())
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for node in ast.walk(function)
    }
    # The `__main__` block runs only in the process whose script the module is, after everything else; what is
    # there for type checkers never does.
    for block in tree.body:
        if isinstance(block, ast.If) and re.search("__main__|TYPE_CHECKING", ast.unparse(block.test)):
            inside |= {id(node) for node in ast.walk(block)}
    found = set()
    for node in ast.walk(tree):
        if (id(node) in inside) != lazy:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative imports hide from this test"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def packages(names: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in names}


def siblings(names: set[str]) -> set[str]:
    """Which of our modules are among these names."""
    return {part for name in names if name.startswith("deepvis.") for part in [name.split(".")[1]]} & set(
        MODULES
    )


def reached(module: str) -> set[str]:
    """A module and all of ours that importing it imports."""
    found, queue = set(), [module]
    while queue:
        here = queue.pop()
        if here not in found:
            found.add(here)
            queue += siblings(imports(here, lazy=False))
    return found


def everything(module: str) -> set[str]:
    return imports(module, lazy=False) | imports(module, lazy=True)


def test_the_reader_sees_what_is_there():
    """Else every law below would hold of nothing."""
    assert set(MODULES) >= LIGHT
    assert "tensorflow" in packages(imports("ascent", lazy=False))
    assert "mlflow" in packages(imports("tracker", lazy=True)) - packages(imports("tracker", lazy=False))
    assert "convergence" in reached("sweep") and "harness" in siblings(imports("run", lazy=True))


@pytest.mark.parametrize("family", sorted(FAMILIES & set(MODULES)))
def test_families_never_import_one_another(family):
    assert siblings(everything(family)) & FAMILIES <= {family}


def test_ascent_imports_no_family_and_no_config():
    assert not siblings(everything("ascent")) & (FAMILIES | {"config", "jobs", "models", "harness"})


@pytest.mark.parametrize("module", sorted(LIGHT))
def test_light_modules_load_no_tensorflow_however_indirectly(module):
    heavy = {"tensorflow", "keras", "mlflow"}
    blamed = {each: sorted(heavy & packages(imports(each, lazy=False))) for each in reached(module)}
    assert not any(blamed.values()), blamed


@pytest.mark.parametrize("module", MODULES)
def test_one_door_each(module):
    known = packages(everything(module))
    assert "mlflow" not in known or module in ("tracker", "store")
    assert "keras" not in known or module in (*KERAS, "weights")
    assert "pandas" not in known or module == "frames"
    assert "matplotlib" not in known or module == "charts"
    assert "jinja2" not in known or module == "report"
    assert not known & {"pylab", "torch", "cv2"}
    at_once = packages(imports(module, lazy=False))
    lazily = {"mlflow", "keras", "h5py", "onnx", "pandas"} - ({"keras"} if module in KERAS else set())
    assert not at_once & lazily, "these may be imported lazily only"
    assert module in KERAS or not KERAS & siblings(imports(module, lazy=False)), "these import Keras at once"


@pytest.mark.parametrize("module", sorted(set(MODULES) - {"graph"}))
def test_only_the_graph_sees_both_config_and_tensors(module):
    """`models` may ask config for the names of layers: a function of plain lists."""
    tensors = "tensorflow" in packages(everything(module))
    assert not (tensors and {"omegaconf", "hydra"} & packages(everything(module)))


def test_what_the_source_says_is_what_python_does():
    """One process that imports all light modules has none of the heavy packages."""
    code = (
        f"import sys, importlib\nfor name in {sorted(LIGHT)!r}: importlib.import_module('deepvis.' + name)\n"
        "heavy = {'tensorflow', 'keras', 'mlflow', 'matplotlib', 'h5py', 'onnx'} & sys.modules.keys()\n"
        "sys.exit(f'loaded {sorted(heavy)}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_harness_loads_no_keras_and_leaves_it_to_who_asks():
    """Keras is half of the time that `import tensorflow` takes."""
    code = (
        "import sys\nfrom deepvis import lean\nlean.load()\nfrom deepvis import harness\n"
        "assert 'keras' not in sys.modules and 'tensorflow' in sys.modules\n"
        "import keras, tensorflow as tf\n"
        "assert tf.keras.Model is keras.Model and issubclass(tf.optimizers.Adam, keras.Optimizer)\n"
        "lean.load()\nassert sys.modules['keras'] is keras"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
