"""Laws of the door: what a person types, sees, and finds in the folder afterwards.

Real processes, in an empty folder. Bad input is refused in one line before TensorFlow is imported: here
`import tensorflow` raises and leaves a trace. Most of these cases run in children forked from one process
that has imported `deepvis.run`, which is what a real one does in its first second; one case of each kind
runs as a real process from both doors.
"""

import contextlib
import csv
import json
import os
import re
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
import urllib.request
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from helpers.processes import Forker, Said, environment, kill_group
from PIL import Image

from deepvis.core import names
from deepvis.networks import weights
from deepvis.results import result_folder
from deepvis.tracking import mlflow

MODULE = [sys.executable, "-m", "deepvis.run"]
SCRIPT = [str(Path(sys.executable).with_name("deepvis"))]
TINY = ["model=tiny", "layer=block2_conv1", "layer.filters=0-1", "size=16", "steps=2"]
QUIET = [*TINY, "tracker=none"]
SWEPT = ["reg.decay=0.8,0.9", "reg.blur=3,5"]
VGG = ["model=vgg16", "layer=block1_conv1", "layer.filters=0", "size=16", "steps=1", "tracker=none"]

# Python imports sitecustomize at its start: here it makes TensorFlow unimportable, loudly.
BLOCKER = """
import importlib.util, os, sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name in ("tensorflow", "keras"):
            return importlib.util.spec_from_loader(name, self)  # may be looked for, not loaded

    def create_module(self, spec):
        with open(os.environ["TRACE"], "a") as trace:
            trace.write(spec.name + " ")
        raise ImportError(spec.name + " is not wanted here")

    def exec_module(self, module):
        pass

sys.meta_path.insert(0, Blocker())
"""


@dataclass(frozen=True)
class Refused:
    """What a process said, and what it left."""

    said: Said
    imported: str  # of the blocked packages
    left: list[str]  # files and folders in its working folder


@pytest.fixture(scope="module")
def blocked(tmp_path_factory):
    """An environment whose Python cannot import TensorFlow."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "sitecustomize.py").write_text(BLOCKER)
    path = os.pathsep.join([str(folder), *filter(None, [os.getenv("PYTHONPATH")])])
    return environment() | {"PYTHONPATH": path}


def run_in(folder, command, env, **options):
    return subprocess.run(
        command, cwd=folder, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=240,
        **options,
    )  # fmt: skip


def tree(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


# --- what is bad -------------------------------------------------------------------------------------


def png(width, height, rows):
    """A PNG that declares a size, whatever it holds."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def first_layer():
    """VGG16's first layer, or a reason to skip."""
    try:
        return weights.load("vgg16", {"block1_conv1": (3, 3, 3, 64)}).layers["block1_conv1"]
    except weights.WeightsError as err:
        pytest.skip(f"no real weights here: {err}")


@pytest.fixture(scope="module")
def bad(tmp_path_factory):
    """A folder of files that are not what they should be."""
    folder = tmp_path_factory.mktemp("bad")
    (folder / "text.png").write_text("no picture\n" * 50)
    (folder / "text.db").write_text("no database\n" * 500)
    (folder / "half.db").write_bytes(b"SQLite format 3\0" + bytes(50))
    (folder / "folder.png").mkdir()
    (folder / "bomb.png").write_bytes(png(60000, 60000, b""))
    # Every byte of it is right; it is only large: 13,000 x 13,000 = 169 million pixels from 160 kB.
    (folder / "large.png").write_bytes(png(13000, 13000, bytes(13001 * 13000)))
    whole = folder / "whole.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(whole)
    (folder / "half.jpg").write_bytes(whole.read_bytes()[:1500])
    Image.open(whole).save(folder / "whole.png")
    (folder / "half.png").write_bytes((folder / "whole.png").read_bytes()[:2000])

    kernel, bias = first_layer()
    pair = {"block1_conv1/kernel": kernel, "block1_conv1/bias": bias, "source": "test"}
    np.savez(folder / "good.npz", **pair)
    data = (folder / "good.npz").read_bytes()
    (folder / "truncated.npz").write_bytes(data[: len(data) // 2])
    np.savez(folder / "shape.npz", **pair | {"block1_conv1/kernel": kernel[:, :, :, :32]})
    np.savez(folder / "altered.npz", **pair | {"block1_conv1/bias": np.nextafter(bias, np.float32(9))})
    return folder


def case(*typed, says, base=QUIET):
    flags = [each for each in typed if each.startswith("-")]  # first, as people type them
    rest = [each for each in typed if each not in flags]
    return pytest.param(([*flags, *base, *rest], says), id=" ".join(typed).replace("BAD/", ""))


LAYERS = [f"block{b}_conv{c}" for b, n in enumerate((2, 2, 3, 3, 3), 1) for c in range(1, n + 1)]
# What is typed after the base; words that its one line holds. BAD is the folder of the fixture `bad`.
ALONE = [
    # unknown choices: a near miss names the nearest, and every line lists the valid ones
    case("20261125-232809-57be", says=["57be: expected key=value", "deepvis report"], base=[]),
    case("reg.decay", says=["reg.decay: expected key=value"]),
    case("reg.decay=0.8 reg.blur=3", says=["reg.decay=0.8 reg.blur=3: got several settings in one argument"]),
    case("reprot", says=["reprot: no such command", "did you mean report?", "key=value"], base=[]),
    case("model=vgg61", says=["model=vgg61", "did you mean vgg16?", "hed", "tiny"]),
    case("model=resnet999", says=["model=resnet999", "vgg16", "hed", "tiny"]),
    case("layer=block5_conv", says=["did you mean block5_conv", *LAYERS], base=["tracker=none"]),
    case("layer=mixed4a", says=["layer=mixed4a", *LAYERS], base=["tracker=none"]),
    case("reg=yosinsky_1", says=["reg=yosinsky_1", "did you mean yosinski_1?", "combined"]),
    case("reg=lots", says=["reg=lots", "yosinski_1", "none", "decay", "small_norm", "gildenblat_2016"]),
    case("optimizer=normalised", says=["optimizer=normalised", "did you mean normalized?", "sgd"]),
    case("objective=chanel", says=["objective=chanel", "channel"]),
    case("start=nose", says=["start=nose", "did you mean noise?", "raw_noise", "gaussian", "picture"]),
    case("tracker=mlfow", says=["tracker=mlfow", "did you mean mlflow?", "none"]),
    case("experiment=yosinski_5", says=["experiment=yosinski_5", "did you mean yosinski_"]),
    # layers and filters
    case("layer.name=block2_conv9", says=["layer.name=block2_conv9", "tiny", "did you mean block2_conv"]),
    case("layer.name=conv", says=["layer.name=conv", "block1_conv1", "block2_conv1", "block2_conv2"]),
    case("layer=named", says=["layer.name", "not given"]),
    case("layer=block5_conv1", says=["block5_conv1", "tiny", "block2_conv2"]),
    case("reg=null", says=["reg=null: no such choice", "none"]),
    case("-m", "reg=decay,null", says=["reg=null: no such choice", "none"]),
    case("layer=3", says=["layer=3: no such choice", "block5_conv1"], base=["tracker=none"]),
    case("layer.filters=0-12", says=["layer.filters=0-12", "block2_conv1 has 12 filters, 0 to 11"]),
    case("layer.filters=12", says=["layer.filters=12", "12 filters"]),
    case("layer.filters=[0,99]", says=["layer.filters", "99", "12 filters"]),
    case("layer.filters=-1", says=["layer.filters=-1"]),
    case("layer.filters=some", says=["layer.filters=some", "0-15", "all"]),
    case("layer.filters=0,0", says=["layer.filters=0,0", "once"]),
    # numbers of the regularizers
    *(case(f"reg.blur={blur}", says=[f"reg.blur={blur}", "odd"]) for blur in (2, 4, -1, -3)),
    *(case(f"reg.decay={d}", says=["reg.decay=", "(0, 1]"]) for d in ("0", "1.5", "nan", "-1", "inf")),
    *(
        case(f"reg.{key}_percentile={q}", says=[f"reg.{key}_percentile=", "[0, 100)"])
        for key in ("norm", "contribution", "value")
        for q in ("100", "-1", "nan")
    ),
    case("reg.blur_every=0", says=["reg.blur_every=0"]),
    case("reg.blur_sigma=-1", says=["reg.blur_sigma=-1"]),
    case("reg.blur_sigma=nan", says=["reg.blur_sigma=nan"]),
    case("reg.blur=3", "reg.blur_sigma=1", says=["reg.blur", "reg.blur_sigma"]),
    case("reg.blur_kind=bxo", says=["reg.blur_kind=bxo", "did you mean box?", "gaussian"]),
    case("reg.combine=mixed", says=["reg.combine=mixed", "did you mean mix?", "chain"]),
    case("reg.weights.decay=-1", says=["reg.weights.decay=-1"]),
    # keys and types
    case("+hydra.jobb.chdir=true", says=["+hydra.jobb.chdir: no such option", "did you mean hydra.job?"]),
    case("+reg.decya=0.8", says=["+reg.decya", "did you mean reg.decay?", "reg.blur"]),
    case("++reg.decya=0.8", says=["++reg.decya", "did you mean reg.decay?"]),
    case("reg.decya=0.8", says=["reg.decya", "did you mean reg.decay?", "reg.blur"]),
    case("+reg.decay=0.8", says=["reg.decay"]),
    case("~reg.decay", says=["~reg.decay"]),
    case("+stpes=3", says=["+stpes", "did you mean steps?"]),
    case("stpes=3", says=["stpes", "did you mean steps?"]),
    # names that deepvis prints, typed back
    case("decay=0.8", says=["decay: no such option; did you mean reg.decay?"]),
    case("model=file", "model.path=a.keras", "model.inputs.age=1", says=["type 'model.inputs={age: ...}'"]),
    case("filters=0-3", says=["filters: no such option; did you mean layer.filters?"]),
    case("path=cat.jpg", says=["path: no such option; did you mean ", "start.path (with start=picture)"]),
    case("model=resnet50", says=["model=resnet50: no such choice", "model=keras model.name=ResNet50"]),
    case("layer=conv4_block6_out", says=["is chosen with layer.name=conv4_block6_out"]),
    case("steps=abc", says=["steps=abc", "expected a whole number"]),
    case("robustness=maybe", says=["robustness=maybe", "expected"]),
    case("+reg={decya: 0.8}", says=["reg"]),
    case("optimizer.rat=1", says=["optimizer.rat", "did you mean optimizer.learning_rate?"]),
    case("start=gaussian", "start.sgima=1", says=["start.sgima", "did you mean start.sigma?"]),
    case("reg.decay=abc", says=["reg.decay", "abc"]),
    case("reg.blur=2.5", says=["reg.blur", "2.5"]),
    case("steps=many", says=["steps", "many"]),
    case("reg.decay=[", says=["reg.decay=["]),
    case("optimizer.learning_rate=abc", says=["optimizer.learning_rate=abc"]),
    case("optimizer.learning_rate=nan", says=["optimizer.learning_rate=nan"]),
    case("optimizer.learning_rate=0", says=["optimizer.learning_rate=0"]),
    case("reg.decay=0.8,0.9", says=["reg.decay", "-m"]),
    # sizes and counts
    case("size=1", says=["size=1", "block2_conv1", "2 px"]),
    case("size=15", "layer=block5_conv1", says=["size=15", "block5_conv1", "16 px"], base=["tracker=none"]),
    *(case(f"{k}={v}", says=[f"{k}={v}"]) for k, v in
      {"steps": 0, "size": 0, "batch_size": -1, "twins": -1, "snapshot_every": 0, "seed": -1}.items()),
    case("steps=-5", says=["steps=-5"]),
    case("precision=float16", says=["precision=float16", "did you mean bfloat16?", "float32"]),
    case("device=tpu", says=["device=tpu", "auto", "cpu", "gpu:1"]),
    case("device=gpu", says=["device=gpu", "nvidia-smi", "device=cpu"]),
    case("start.low=30", says=["start.low=30", "start.high"]),
    # pictures
    case("start=picture", says=["start.path", "not given"]),
    case("start=picture", "start.path=BAD/absent.png", says=["start.path=", "absent.png", "no such file"]),
    case("start=picture", "start.path=BAD/folder.png", says=["start.path=", "folder.png"]),
    case("start=picture", "start.path=BAD/text.png", says=["start.path=", "text.png", "not a whole picture"]),
    case("start=picture", "start.path=BAD/half.png", says=["start.path=", "half.png", "not a whole picture"]),
    case("start=picture", "start.path=BAD/half.jpg", says=["start.path=", "half.jpg", "not a whole picture"]),
    case("start=picture", "start.path=BAD/bomb.png", says=["bomb.png", "decompression bomb"]),
    case("start=picture", "start.path=BAD/large.png", says=["large.png", "decompression bomb"]),
    # weights
    case("model.weights.path=BAD/absent.npz", says=["absent.npz", "model.weights.path"], base=VGG),
    case("model.weights.path=BAD/truncated.npz", says=["truncated.npz", "model.weights.path"], base=VGG),
    case("model.weights.path=BAD/shape.npz", says=["shape.npz", "block1_conv1", "(3, 3, 3, 32)"], base=VGG),
    case("model.weights.path=BAD/altered.npz", says=["altered.npz: block1_conv1 bias differs"], base=VGG),
    case("model.weights.path=BAD/text.png", says=["text.png", ".npz"], base=VGG),
    # tracking stores
    case("tracker.uri=sqlite:///BAD/text.db", says=["tracker.uri=", "text.db", "not an SQLite"], base=TINY),
    case("tracker.uri=sqlite:///BAD/half.db", says=["tracker.uri=", "half.db"], base=TINY),
    case("tracker.uri=sqlite:///BAD/folder.png", says=["tracker.uri=", "folder.png"], base=TINY),
    case("tracker.uri=sqlite:///BAD/text.db/below/a.db", says=["tracker.uri=", "text.db"], base=TINY),
    case("tracker.uri=http://127.0.0.1:9", says=["tracker.uri=http://127.0.0.1:9"], base=TINY),
    case("tracker.uri=mlruns", says=["tracker.uri=mlruns", "sqlite:///"], base=TINY),
    case("tracker.artifacts=BAD/text.db/a", says=["text.db/a"], base=TINY),
    # flags
    case("--frobnicate", says=["--frobnicate"]),
    # output folders
    case("hydra.run.dir=''", says=["hydra.run.dir: got no name"]),
    case("hydra.run.dir=BAD/text.png/out", says=["text.png", "hydra.run.dir"]),
    # sweeps: one bad job, and nothing runs
    case("-m", "reg.decay=0.8,0.9,0", says=["reg.decay=0", "(0, 1]"]),
    case("-m", "reg=none,decay,bulr", says=["reg=bulr", "did you mean blur?"]),
    case("-m", "layer.filters=0,1,12", says=["layer.filters=12", "12 filters"]),
    case("-m", "steps=2,0", "seed=0,1", says=["steps=0"]),
    case("-m", "+experiment=maco,keras_blog", says=["experiment exists already", "without the +"]),
    case("-m", "+reg.decya=0.8,0.9", says=["+reg.decya", "did you mean reg.decay?"]),
    case("-m", "++reg.decya=0.8,0.9", says=["++reg.decya", "did you mean reg.decay?"]),
    case("-m", "+reg.blur=3,5", says=["+reg.blur: reg.blur exists already", "without the +"]),
    case("-m", "steps=2,abc", says=["steps=abc", "expected a whole number"]),
    case("-m", "decay=0.8,0.9", says=["decay: no such option; did you mean reg.decay?"]),
    case("-m", "reg=glob(nothing*)", says=["reg=glob(nothing*): got no value"]),
    case("-m", "seed=range(1,0)", says=["seed=range(1,0): got no value"]),
    case("-m", "reg.decay=interval(0,1)", says=["reg.decay=interval(0,1)", "hydra/sweeper=optuna"]),
    case("-m", "reg.decya=0.8,0.9", says=["reg.decya", "did you mean reg.decay?"]),
    case("-m", "reg.decay=0.8,abc", says=["reg.decay", "abc"]),
    case("-m", "reg.decay=range(-1,2)", says=["reg.decay=", "(0, 1]"]),
    case("-m", "start=noise,picture", says=["start.path", "not given"]),
    case("-m", "model.weights.path=BAD/good.npz,BAD/altered.npz", says=["altered.npz"], base=VGG),
    case("-m", "seed=0,1", "hydra.sweep.dir=BAD/text.png/out", says=["text.png", "hydra.sweep.dir"]),
    case("-m", "seed=0,1", "tracker.uri=sqlite:///BAD/text.db", says=["tracker.uri=", "text.db"], base=TINY),
]  # fmt: skip


@pytest.fixture(scope="module")
def answers(bad, blocked, tmp_path_factory):
    """All of them, two at a time: typed -> what was said."""
    assert len({param.id for param in ALONE}) == len(ALONE)
    root = tmp_path_factory.mktemp("cases")
    found = {}

    def answer(half):
        logs = root / f"forker {half}"
        logs.mkdir()
        forker = Forker(logs, "import deepvis.cli.runs", blocked)
        for number, param in [*enumerate(ALONE)][half::2]:
            cwd, trace = root / str(number), root / f"{number}.trace"
            typed = [each.replace("BAD", str(bad)) for each in param.values[0][0]]
            said = forker.run(cwd, *typed, change=f"import os; os.environ['TRACE'] = {str(trace)!r}")
            found[param.id] = Refused(said, trace.read_text() if trace.exists() else "", tree(cwd))
        forker.close()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(answer, (0, 1)))
    return found


def refused(answer, words):
    """One line that helps, and no trace of having begun."""
    said = answer.said
    assert said.code not in (0, 99)
    assert re.fullmatch(r"deepvis: [^\n]+\n", said.err), said.err
    for word in words:
        assert word in said.err, (word, said.err)
    assert said.out == ""
    assert (answer.imported, answer.left) == ("", [])
    # A Python object's repr or a traceback is no help.
    assert not re.search(r"<class|object at 0x|Traceback", said.err)


@pytest.mark.parametrize("given", ALONE)
def test_bad_input_is_refused_in_one_line_and_nothing_is_written(given, answers, request):
    refused(answers[request.node.callspec.id], given[1])


@pytest.fixture(scope="module")
def really(bad, blocked, tmp_path_factory):
    """One of each kind as a real process, by both doors, two at a time."""
    root = tmp_path_factory.mktemp("really")
    kinds = {
        "choice": (MODULE, [*QUIET, "model=vgg61"], ["model=vgg61", "vgg16"]),
        "key": (SCRIPT, [*QUIET, "+reg.decya=0.8"], ["+reg.decya", "reg.decay"]),
        "number": (MODULE, [*QUIET, "reg.blur=4"], ["reg.blur=4"]),
        "picture": (SCRIPT, [*QUIET, "start=picture", f"start.path={bad}/text.png"], ["text.png"]),
        "weights": (MODULE, [*VGG, f"model.weights.path={bad}/altered.npz"], ["altered.npz"]),
        "store": (SCRIPT, [*TINY, f"tracker.uri=sqlite:///{bad}/text.db"], ["text.db"]),
        "output": (MODULE, [*QUIET, f"hydra.run.dir={bad}/text.png/out"], ["text.png"]),
        "sweep": (SCRIPT, ["-m", *QUIET, "reg.decay=0.8,0"], ["reg.decay=0"]),
        "help": (SCRIPT, ["--help"], []),
        "config": (MODULE, ["--cfg", "job", *TINY, "layer.filters=0,3,7"], []),
    }

    def answer(kind):
        command, typed, _ = kinds[kind]
        folder = root / kind
        folder.mkdir()
        trace = root / f"{kind}.trace"
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = run_in(folder, [*command, *typed], blocked | {"TRACE": str(trace)})
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        imported = trace.read_text() if trace.exists() else ""
        return Refused(Said(done.returncode, done.stdout, done.stderr), imported, tree(folder)), seconds

    with ThreadPoolExecutor(2) as pool:
        # Two at a time, so a time holds what the other spent meanwhile: an upper bound.
        found = dict(zip(kinds, pool.map(answer, kinds), strict=True))
    return {kind: (said, kinds[kind][2], seconds) for kind, (said, seconds) in found.items()}


@pytest.mark.parametrize(
    "kind", ["choice", "key", "number", "picture", "weights", "store", "output", "sweep"]
)
def test_real_processes_refuse_as_the_forked_do(kind, really):
    answer, words, seconds = really[kind]
    print(f"{kind}: at most {seconds:.1f} CPU seconds")
    refused(answer, words)


def test_help_shows_groups_commands_and_the_config_without_tensorflow(really):
    answer, _, seconds = really["help"]
    print(f"--help: at most {seconds:.1f} CPU seconds")
    assert (answer.imported, answer.left) == ("", [])
    said = answer.said
    assert (said.code, said.err) == (0, "")
    for word in [
        "deepvis -m reg.decay=0.8,0.9 reg.blur=3,5", "deepvis ui", "--cfg job",
        "model: efficientnet_lite0, ", "hed, keras, onnx, tiny, vgg16", "yosinski_4", "steps: 20",
        "name: block5_conv1",
        "optimizer: adam, laplacian, lbfgs, nadam, normalized, progress, sgd",
        "param: fourier, fourier_phase, laplacian, maco",
        "start: facets, fourier, gaussian, noise, picture, pink, raw_noise",
    ]:  # fmt: skip
        assert word in said.out, word


def test_cfg_job_shows_what_would_run_without_tensorflow(really):
    import yaml

    answer, _, seconds = really["config"]
    print(f"--cfg job: at most {seconds:.1f} CPU seconds")
    assert (answer.imported, answer.left) == ("", [])
    said = answer.said
    assert (said.code, said.err) == (0, "")
    shown = yaml.safe_load(said.out)
    assert (shown["model"]["name"], shown["steps"], shown["reg"]["decay"]) == ("tiny", 2, 1.0)
    # Unquoted, and still one list of three.
    assert names.filters(shown["layer"]["filters"], 12, "") == [0, 3, 7]
    assert "hydra" not in shown


# --- what is good ------------------------------------------------------------------------------------

CHATTER = (
    "tensorflow", "onednn", "absl", "alembic", "mlflow.", "cuda", "warning", "info ", "traceback",
    "retracing", "cpu_feature", "database tables", "deprecat", "sqlalchemy", "hydra",
)  # fmt: skip


def deepvis_alone(text):
    lower = text.lower()
    assert not [word for word in CHATTER if word in lower], text


def whole_picture(path):
    with Image.open(path) as file:
        return np.asarray(file)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """An empty folder where all good runs happen, as in a person's project."""
    return tmp_path_factory.mktemp("project")


@pytest.fixture(scope="module")
def happy(place):
    """A single job, then, on the store it made, a sweep of four."""
    env = environment()
    single = run_in(place, [*SCRIPT, *TINY[:2], "layer.filters=0,3,7", *TINY[3:], "snapshot_every=1"], env)
    first = {path.name for path in (place / "outputs").iterdir()}
    sweep = run_in(place, [*MODULE, "-m", *TINY, "steps=6", "snapshot_every=4", *SWEPT], env)
    second = {path.name for path in (place / "outputs").iterdir()} - first
    return (single, place / "outputs" / first.pop()), (sweep, place / "outputs" / second.pop())


@pytest.fixture(scope="module")
def client(place, happy):
    return mlflow.mlflow(f"sqlite:///{place}/mlruns/mlflow.db", f"{place}/mlruns/artifacts", "deepvis")


def runs_of(store, sweep):
    return store.client.search_runs([store.experiment_id], f"tags.sweep = '{sweep}'")


@pytest.mark.parametrize("which", [0, 1], ids=["single", "sweep"])
def test_a_good_run_speaks_on_stdout_alone_and_only_of_deepvis(happy, which):
    done, folder = happy[which]
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    deepvis_alone(done.stdout)
    assert "step" in done.stdout and "zero gradient" in done.stdout and "images x steps/s" in done.stdout
    assert f"pictures  outputs/{folder.name}" in done.stdout
    assert f"viewStateShareKey={folder.name}" in done.stdout
    assert "\x1b" not in done.stdout  # no terminal, no colours, no bar


@pytest.mark.parametrize("which", [0, 1], ids=["single", "sweep"])
def test_the_chatter_is_in_one_log_of_the_process(happy, which):
    """Of the job where there is one, of the sweep where its jobs share a graph."""
    _, folder = happy[which]
    (log,) = folder.glob(("*/deepvis.log", "deepvis.log")[which])
    first = log.read_text().lower()
    assert "tensorflow" in first
    assert ("database tables" in first) == (which == 0)


@pytest.mark.parametrize("which", [0, 1], ids=["single", "sweep"])
def test_each_job_leaves_its_folder_whole_and_nothing_half_written(happy, which):
    _, folder = happy[which]
    filters, steps, looks = (([0, 3, 7], 2, [0, 1, 2]), ([0, 1], 6, [0, 4, 6]))[which]
    jobs = sorted(folder.glob("*/result"))
    assert [path.parent.name.partition("_")[0] for path in jobs] == [str(i) for i in range((1, 4)[which])]
    names = [result_folder.label(i) for i in filters]
    for job in jobs:
        wanted = {"gallery.png", "best.png", "result.json", "config.yaml"}
        wanted |= {f"{name}.npz" for name in result_folder.ARRAYS}
        wanted |= {f"{of}/{name}.png" for of in ("filters", "best") for name in names}
        wanted |= {f"progress/step_{look:05d}/{name}.png" for look in looks for name in names}
        assert {name for name in tree(job) if (job / name).is_file()} == wanted
        read = result_folder.read(job)
        assert list(read.filters) == filters
        assert {len(values) for values in read.history.values()} == {steps + 1}
        # The last look is the result.
        for name in names:
            last = whole_picture(job / f"progress/step_{steps:05d}/{name}.png")
            np.testing.assert_array_equal(last, whole_picture(job / f"filters/{name}.png"))
        assert (job.parent / "live.png").samefile(job / "gallery.png")
        own = {"live.png", "result"} | (set() if which else {".hydra", "deepvis.log"})
        assert {p.name for p in job.parent.iterdir()} == own
    beside = {"summary.csv", "contact.png", "sweep.json"}
    beside |= {"report.html", "report.md", "results.csv"}
    beside |= {"multirun.yaml", "deepvis.log"} if which else set()
    assert {p.name for p in folder.iterdir() if p.is_file()} == beside


def test_a_sweeps_jobs_are_what_was_swept(happy):
    _, folder = happy[1]
    found = [result_folder.read(path) for path in result_folder.finished(folder)]
    assert [result.name for result in found] == [
        "decay=0.8 blur=3", "decay=0.8 blur=5", "decay=0.9 blur=3", "decay=0.9 blur=5",
    ]  # fmt: skip
    assert len({result.key for result in found}) == 4
    # One seed, one start: what differs between the jobs is the regularizer.
    for result in found[1:]:
        np.testing.assert_array_equal(result.history["image_rms"][0], found[0].history["image_rms"][0])
        assert (result.history["image_rms"][-1] != found[0].history["image_rms"][-1]).all()


@pytest.mark.parametrize("which", [0, 1], ids=["single", "sweep"])
def test_the_summary_is_a_line_a_filter_and_says_what_the_results_say(happy, which):
    _, folder = happy[which]
    with (folder / "summary.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    at = 0
    found = map(result_folder.read, result_folder.finished(folder))
    # In the order of the report: the default decay, 0.9, comes first.
    for result in sorted(found, key=lambda each: (-each.params["reg.decay"], each.params["reg.blur"])):
        for column, index in enumerate(result.filters):
            line = lines[at]
            assert (line["job"], line["filter"], line["end"]) == (
                result.name,
                str(index),
                result.ends[column],
            )
            assert float(line["score"]) == pytest.approx(result.history["score"][-1, column], rel=1e-5)
            if which:
                assert f"decay={line['reg.decay']} blur={line['reg.blur']}" == result.name
            at += 1
    assert at == len(lines)


def test_the_contact_sheet_holds_every_picture_of_the_sweep(happy):
    _, folder = happy[1]
    sheet = whole_picture(folder / "contact.png")
    for place in result_folder.finished(folder):
        for path in place.glob("filters/*.png"):
            picture = whole_picture(path)
            windows = np.lib.stride_tricks.sliding_window_view(sheet, picture.shape)[:, :, 0]
            assert (windows == picture).all(axis=(-3, -2, -1)).any(), path


def test_the_tracker_has_a_run_a_job_and_one_for_the_sweep(happy, client):
    for (_, folder), jobs in zip(happy, (1, 4), strict=True):
        found = runs_of(client, folder.name)
        assert sorted(run.data.tags["kind"] for run in found) == ["job"] * jobs + ["sweep"]
        assert {run.info.status for run in found} == {"FINISHED"}


def test_nothing_but_outputs_and_the_store_is_in_the_folder(happy, place):
    assert {path.name for path in place.iterdir()} == {"outputs", "mlruns"}


# --- watching, and ending early ----------------------------------------------------------------------


def started(place, command, env, ready, log):
    """A process in a folder, once `ready()` holds."""
    with log.open("w") as out, log.with_suffix(".err").open("w") as err:
        process = subprocess.Popen(
            command, cwd=place, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
            start_new_session=True,
        )  # fmt: skip
    deadline = time.monotonic() + 120
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            kill_group(process)
            pytest.fail("it did not start: " + log.with_suffix(".err").read_text())
        time.sleep(0.02)
    return process


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM], ids=lambda s: s.name)
def test_live_png_shows_the_job_as_it_forms_and_a_signal_ends_the_sweep_cleanly(
    sent, place, client, tmp_path
):
    """A sweep of a short job and an endless one, on the store of the good runs: watched, then ended."""
    before = set((place / "outputs").iterdir())

    def folder():
        return next(iter(set((place / "outputs").iterdir()) - before))

    def live():
        return (
            next(folder().glob("1_*/live.png"), None) if set((place / "outputs").iterdir()) - before else None
        )

    typed = ["-m", *TINY[:3], "size=32", "snapshot_every=100", "steps=2,1000000"]
    process = started(place, [*MODULE, *typed], environment(), live, tmp_path / "log")
    try:
        picture, seen, sizes, looks, deadline = live(), set(), set(), 0, time.monotonic() + 60
        # As a viewer would, faster: every look opens, decodes whole, and has the full size.
        while len(seen) < 5 and time.monotonic() < deadline:
            pixels = whole_picture(picture)
            sizes.add(pixels.shape)
            seen.add(pixels.tobytes())
            looks += 1
        assert len(seen) >= 5, f"{looks} looks"
        process.send_signal(sent)
        code = process.wait(30)
    finally:
        kill_group(process)
    assert code == {signal.SIGINT: 130, signal.SIGTERM: 143}[sent], (tmp_path / "log.err").read_text()
    # The first job is kept, the second leaves nothing that looks finished and nothing half written.
    (kept,) = result_folder.finished(folder())
    assert result_folder.read(kept).name == "steps=2"
    assert sizes == {whole_picture(kept / "gallery.png").shape}
    assert [p.name for p in picture.parent.iterdir()] == ["live.png"]
    said = (tmp_path / "log.err").read_text()
    assert {p.name for p in folder().iterdir() if p.is_file()} >= {"summary.csv", "contact.png"}, said
    runs = {run.data.params.get("steps"): run for run in runs_of(client, folder().name)}
    assert {steps: run.info.status for steps, run in runs.items()} == {
        "2": "FINISHED", None: "FINISHED",
    }  # fmt: skip
    deepvis_alone((tmp_path / "log").read_text())
    assert re.fullmatch(r"deepvis: [^\n]+\n", said), said


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 20 MB: enough to begin with, and no more."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", str(folder)], capture_output=True, timeout=60
    )
    if not mounted or mounted.returncode:
        pytest.skip("may not mount a small file system here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True, timeout=60)


def test_a_disk_that_fills_up_is_one_line_and_leaves_no_half_result(small_disk, place, client, forker):
    big = ["layer.filters=0-11", "size=128", "steps=60", "snapshot_every=1", "seed=77"]
    big += [f"hydra.run.dir={small_disk}/out"]
    done = forker.run(place, *TINY, *big)
    assert done.code != 0
    said = done.err.splitlines()  # of a checkpoint, if one was due; and of the job
    assert len(said) == 1 + ("no checkpoint" in said[0]), done.err
    assert all("No space left on device" in line and "hydra.run.dir" in line for line in said), done.err
    (run,) = client.client.search_runs([client.experiment_id], "params.seed = '77'")
    assert run.info.status == "FAILED" and "No space left" in run.data.tags["reason"]
    left = {str(p.relative_to(small_disk)) for p in small_disk.rglob("*") if p.is_file()}
    assert left <= {"out/deepvis.log", "out/live.png", "out/sweep.json", "out/failed.txt"} | {
        f"out/.hydra/{name}.yaml" for name in ("config", "hydra", "overrides")
    }
    if (small_disk / "out/live.png").exists():
        whole_picture(small_disk / "out/live.png")


def test_a_disk_that_is_full_from_the_start_is_one_line(small_disk, blocked, tmp_path):
    """It could not hold a result: nothing heavy is loaded for that."""
    with contextlib.suppress(OSError), (small_disk / "filler").open("wb", buffering=0) as filler:
        while True:
            filler.write(bytes(4096))
    cwd = tmp_path / "cwd"
    cwd.mkdir()
    trace = tmp_path / "trace"
    done = run_in(cwd, [*MODULE, *QUIET, f"hydra.run.dir={small_disk}/out"], blocked | {"TRACE": str(trace)})
    assert done.returncode != 0
    assert re.fullmatch(r"deepvis: output folder [^\n]* MB free, expected [^\n]*\n", done.stderr), done.stderr
    assert "hydra.run.dir" in done.stderr
    assert done.stdout == "" and tree(cwd) == []
    assert not trace.exists()


def test_results_outside_outputs_are_summed_up_as_well(place, client, forker, tmp_path):
    """hydra.run.dir is Hydra's way to choose a folder; the summary and the sweep's run follow the results."""
    done = forker.run(place, *TINY, f"hydra.run.dir={tmp_path}/mine", "seed=78")
    assert (done.code, done.err) == (0, "")
    assert (tmp_path / "mine/result/gallery.png").is_file()
    (run,) = client.client.search_runs([client.experiment_id], "params.seed = '78'")
    kinds = {each.data.tags["kind"] for each in runs_of(client, run.data.tags["sweep"])}
    assert kinds == {"job", "sweep"}
    assert "pictures" in done.out and "viewStateShareKey" in done.out


@pytest.mark.slow
def test_ui_in_an_empty_folder_says_its_link_and_nothing_of_mlflows(tmp_path):
    log = tmp_path / "ui"
    cwd = tmp_path / "cwd"
    cwd.mkdir()
    process = started(cwd, [*MODULE, "ui"], environment(), lambda: "http" in log.read_text(), log)
    try:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) != 0
    finally:
        kill_group(process)
    deepvis_alone(log.read_text().replace("#/experiments", ""))
    assert log.with_suffix(".err").read_text() == ""


@pytest.mark.slow
def test_ui_serves_this_store_on_the_loopback_only_and_prints_the_newest_sweep(place, happy, tmp_path):
    log = tmp_path / "ui"
    process = started(place, [*SCRIPT, "ui"], environment(), lambda: "http" in log.read_text(), log)
    try:
        line = log.read_text().splitlines()[0]
        base, port = re.search(r"(http://127\.0\.0\.1:(\d+))/#/experiments/", line).groups()
        # Others of this file may have run jobs on the store since; the newest of all is shown.
        newest = re.search(r"viewStateShareKey=([\w-]+)", line)[1]
        assert newest >= happy[1][1].name
        with urllib.request.urlopen(f"{base}/health", timeout=10) as answer:
            assert answer.status == 200
        body = json.dumps({"max_results": 10}).encode()
        ask = urllib.request.Request(f"{base}/api/2.0/mlflow/experiments/search", body,
                                     {"Content-Type": "application/json"})  # fmt: skip
        with urllib.request.urlopen(ask, timeout=30) as answer:
            found = json.load(answer)["experiments"]
        assert f"mlflow.sharedViewState.{newest}" in {t["key"] for e in found for t in e.get("tags", [])}
        listening = {
            row.split()[1].split(":")[0]
            for table in ("/proc/net/tcp", "/proc/net/tcp6")
            for row in Path(table).read_text().splitlines()[1:]
            if row.split()[3] == "0A" and int(row.split()[1].split(":")[1], 16) == int(port)
        }
        assert listening == {"0100007F"}
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    finally:
        kill_group(process)
    assert log.with_suffix(".err").read_text() == ""
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", int(port))) != 0


# --- what else is typed ------------------------------------------------------------------------------


def test_version_is_deepvis_own_and_of_what_its_results_depend_on(blocked, tmp_path):
    from deepvis import __version__

    done = run_in(tmp_path, [*SCRIPT, "--version"], blocked | {"TRACE": str(tmp_path / "trace")})
    assert done.returncode == 0 and done.stderr == ""
    assert re.fullmatch(
        rf"deepvis {re.escape(__version__)} \(TensorFlow [\d.]+, Keras [\d.]+, MLflow [\d.]+\)\n", done.stdout
    )
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize("command", ["ui", "layers", "report"])
def test_subcommands_have_a_help(command, blocked, tmp_path):
    done = run_in(tmp_path, [*MODULE, command, "--help"], blocked | {"TRACE": str(tmp_path / "trace")})
    assert (done.returncode, done.stderr) == (0, "") and done.stdout.startswith(f"deepvis {command} ")


@pytest.mark.parametrize("typed", [["reg.decay=2"], ["-m", "reg.decay=1,2"], ["steps=abc"]], ids=" ".join)
def test_full_errors_show_the_traceback(typed, blocked, tmp_path):
    env = blocked | {"TRACE": str(tmp_path / "trace"), "HYDRA_FULL_ERROR": "1"}
    done = run_in(tmp_path, [*MODULE, *QUIET, *typed], env)
    assert done.returncode == 1
    assert "Traceback (most recent call last)" in done.stderr and "Error" in done.stderr.splitlines()[-1]


def test_a_breakpoint_in_a_job_has_the_terminal(tmp_path):
    """The output of the process goes to its log, the debugger's must not; it stops where it was called."""
    (tmp_path / "broken.py").write_text(
        "from deepvis.ascent import program\n"
        "from deepvis.sweeps import runner\n"
        "real = program.start\n"
        "def start(spec, mean):\n"
        "    print('to the log')\n"
        "    breakpoint()\n"
        "    return real(spec, mean)\n"
        "program.start = start\n"
        "from deepvis.run import main\n"
        "main()\n"
    )
    typed = [*QUIET, "layer.filters=0", "steps=1"]
    done = subprocess.run(
        [sys.executable, "broken.py", *typed], cwd=tmp_path, env=environment(), input="p 40 + 2\nc\n",
        capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "to the log" not in done.stdout
    assert "broken.py(7)start()" in done.stdout
    assert re.search(r"\(Pdb\) 42\n", done.stdout)
