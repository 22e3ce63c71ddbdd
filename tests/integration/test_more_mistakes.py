"""Sixty more ways to mistype: each ends in one line that names what was typed, and nothing is written.

In children that are forked from one process, without TensorFlow; see `test_cli`, which has others.
"""

import os
import re
from pathlib import Path

import h5py
import numpy as np
import pytest
from helpers.processes import Forker, environment
from PIL import Image

QUIET = ["model=tiny", "layer=block2_conv1", "layer.filters=0-1", "size=16", "steps=2", "tracker=none"]
PICTURE = ["objective=content", "start=picture"]


def case(typed, says, base=QUIET):
    words = typed if isinstance(typed, list) else typed.split()
    return pytest.param(
        [*base, *words] if words[:1] != ["-m"] else ["-m", *base, *words[1:]], says, id=" ".join(words)
    )


def alone(typed, says):
    return case(typed, says, base=[])


MORE = [
    # flags and commands
    alone("-cn foo", "--config-name=foo"),
    alone("-cp /nowhere", "--config-path=/nowhere"),
    alone("--cfg job -m", "--multirun and --cfg"),
    alone("-cd nowhere", "nowhere"),
    alone("--resolve", "--cfg job"),
    alone("--verison", "--verison"),
    alone("-x", "-x"),
    alone("--cfg", "--cfg"),
    alone("--info wrong", "wrong"),
    alone("--experimental-rerun a", "--experimental-rerun"),
    alone("sweep", "did you mean sweeps?"),
    alone("list", "no such command"),
    alone("Report", "Report"),
    alone("help", "no such command"),
    # subcommands
    alone("sweeps --all", "--all"),
    alone("sweeps latest", "folder="),
    alone("sweeps folder=absent", "folder=absent"),
    alone("sweeps folder=", "folder="),
    alone("sweeps foldr=a", "did you mean folder?"),
    alone("delete nothing", "nothing"),
    alone("delete latest --yes", "latest"),
    alone("delete --force a", "--force"),
    alone("delete ../x --yes", "../x"),
    alone("export latest", "a folder to write"),
    alone("export latest out", "latest"),
    alone("export a b filtres=0", "did you mean filters?"),
    alone("export latest out --overwrite", "--overwrite"),
    alone("report nothing", "nothing"),
    alone("report latest folder=absent", "absent"),
    alone("report --open", "--open"),
    alone("ui --port http", "--port http"),
    alone("ui --port 0", "--port 0"),
    alone("ui --port", "--port"),
    alone("ui --host 256.0.0.1", "256.0.0.1"),
    alone("ui steps=3", "steps=3"),
    alone("ui tracker=none", "tracker=none"),
    alone("layers model=tny", "did you mean tiny?"),
    alone("layers model=file", "model.path"),
    alone("layers tiny", "tiny"),
    # resume
    case("resume=yesterday", "resume=yesterday"),
    case("resume=../../etc", "resume=../../etc"),
    case("resume=latest", "none"),
    case("resume=", "resume"),
    case("-m resume=a,b", "resume"),
    # quoting and letters
    case(["reg.decay=“0.8”"], "reg.decay"),
    case(["reg.decay =0.8"], "reg.decay"),
    case(["reg.decay= 0,8"], "reg.decay"),
    case(["steps=２"], "steps"),
    case(["sträps=3"], "sträps"),
    case(["reg.decay='0.8"], "reg.decay"),
    case([""], "key=value"),
    case(["reg.decay=${oops"], "reg.decay"),
    case(["seed=${env:HOME}"], "env"),
    case(["=3"], "=3"),
    case("reg.decay=0.8;reg.blur=3", "reg.decay"),
    case(["start.path=a\nb.png", "start=picture"], "start.path"),
    # sizes and numbers
    case("size=16x", "size"),
    case("size=[16]", "size"),
    case("steps=1e-3", "steps"),
    case("steps=-1", "steps"),
    case("seed=1.5", "seed"),
    case("twins=1.5", "twins"),
    case("optimizer.learning_rate=-1", "learning_rate"),
    case("layer.filters=1-0", "layer.filters"),
    case("layer.filters=0-", "layer.filters"),
    case("layer.filters={}", "layer.filters"),
    case("snapshot_every=-2", "snapshot_every"),
    case("device=cuda", "device"),
    case("precision=int8", "precision"),
    case("-m seed=range(3,1)", "seed"),
    case("-m steps=choice()", "steps"),
    # files
    case("start=picture start.path=BAD", "BAD"),
    case("start=picture start.path=BAD/locked.png", "locked.png"),
    case("start=picture start.path=BAD/empty.png", "empty.png"),
    case("start=picture start.path=BAD/model.h5", "model.h5"),
    case("start=picture start.path=/dev/null", "/dev/null"),
    case("start=picture start.path=BAD/fifo", "fifo"),
    case("reg=none model=file model.path=BAD/photo.png", "photo.png"),
    case("reg=none model=file model.path=BAD/empty.keras", "empty.keras"),
    case("reg=none model=file model.path=BAD/absent.keras", "absent.keras"),
    case("reg=none model=onnx model.path=BAD/photo.png", "photo.png"),
    case("model.weights.path=BAD", "BAD", base=["model=vgg16", "tracker=none"]),
    # contradictions
    case("model=tiny model.name=other layer=block9_conv1", "block9_conv1"),
    case("optimizer=lbfgs reg.blur=3", "lbfgs"),
    case("param=fourier reg.decay=0.8", "param=fourier"),
    case("-m tracker=none,mlflow", "tracker"),
    case("objective.gaol=1", "objective.gaol"),
    case("hydra/launcher=absent", "absent"),
    case("hydra/sweeper=optnua -m", "optnua"),
    case("hydra.run.dir=/dev/null/x", "/dev/null"),
    case("hydra.run.dir=/proc/x", "/proc"),
    # trackers
    case("tracker.uri=postgresql://u:secret@h/d", "tracker.uri", base=QUIET[:-1]),
    case("tracker.uri=sqlite://m.db", "tracker.uri", base=QUIET[:-1]),
    case("tracker.uri=https://", "tracker.uri", base=QUIET[:-1]),
    case("tracker.uri=sqlite:////proc/m.db", "tracker.uri", base=QUIET[:-1]),
    case("tracker.experiment=", "tracker.experiment", base=QUIET[:-1]),
    case("tracker.url=a", "tracker.url", base=QUIET[:-1]),
]


@pytest.fixture(scope="module")
def bad(tmp_path_factory):
    """Files that are not what they should be."""
    folder = tmp_path_factory.mktemp("bad")
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(folder / "photo.png")
    (folder / "locked.png").write_bytes((folder / "photo.png").read_bytes()[:40])
    for name in ("empty.png", "empty.keras"):
        (folder / name).touch()
    with h5py.File(folder / "model.h5", "w") as file:
        file["a"] = 1
    os.mkfifo(folder / "fifo")
    return folder


@pytest.fixture(scope="module")
def without_tensorflow(tmp_path_factory):
    """A process to fork from."""
    forker = Forker(tmp_path_factory.mktemp("logs"), "import deepvis.cli.runs", environment())
    yield forker
    forker.close()


@pytest.mark.parametrize(("typed", "says"), MORE)
def test_one_line_and_nothing_written(typed, says, bad, without_tensorflow, tmp_path):
    said = without_tensorflow.run(tmp_path, *(word.replace("BAD", str(bad)) for word in typed))
    assert said.code not in (0, 99), said
    assert re.fullmatch(r"deepvis: [^\n]+\n", said.err), said.err
    assert says.replace("BAD", str(bad)) in said.err
    assert said.out == "" and list(Path(tmp_path).iterdir()) == []
    assert not re.search(r"<class|object at 0x|Traceback|secret", said.err), said.err
