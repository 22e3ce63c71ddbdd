"""Laws of conf/: every file in it composes, passes the checks and runs; the presets are what they say."""

import functools
import inspect
import pkgutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from PIL import Image

from deepvis import networks
from deepvis.ascent import specs, validation
from deepvis.config import knobs, schema
from deepvis.config.knobs import REQUIRED
from deepvis.core import names
from deepvis.core.errors import ConfigError
from deepvis.core.names import CONF
from deepvis.results import result_folder
from deepvis.sweeps import jobs
from deepvis.tracking import none

# Found by listing, so a new file is tested because it is there.
FILES = sorted(path.relative_to(CONF).with_suffix("") for path in CONF.rglob("*.yaml"))
CHOICES = [(str(file.parent), file.name) for file in FILES if file.parent != Path()]
WITH_TARGET = [(group, name) for group, name in CHOICES if group in ("model", "tracker")]
OF_COMPONENTS = [(group, name) for group, name in CHOICES if group in schema.CHOICES]
EXPERIMENTS = [name for group, name in CHOICES if group == "experiment"]
TINY = ["model=tiny", "layer=block2_conv1", "layer.filters=[0,1]", "size=16", "steps=2", "tracker=none"]


@functools.cache
def composed(*overrides):
    with initialize_config_dir(config_dir=str(CONF), version_base="1.3"):
        return compose("config", list(overrides))


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    path = tmp_path_factory.mktemp("picture") / "p.png"
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@functools.cache
def saved() -> Path:
    """A model of three layers, as Keras saves it."""
    import keras

    layers = [
        keras.Input((8, 8, 1)),
        keras.layers.Conv2D(2, 3),
        keras.layers.Flatten(),
        keras.layers.Dense(3),
    ]
    path = Path(tempfile.mkdtemp()) / "small.keras"
    keras.Sequential(layers).save(path)
    return path


@functools.cache
def exported() -> Path:
    """A graph of one convolution, as an exporter writes it."""
    import onnx

    float32 = onnx.TensorProto.FLOAT
    image = onnx.helper.make_tensor_value_info("x", float32, (1, 3, 8, 8))
    out = onnx.helper.make_tensor_value_info("y", float32, (1, 2, 6, 6))
    kernel = onnx.numpy_helper.from_array(np.ones((2, 3, 3, 3), np.float32), "w")
    node = onnx.helper.make_node("Conv", ["x", "w"], ["y"], "conv")
    graph = onnx.helper.make_graph([node], "net", [image], [out], [kernel])
    path = Path(tempfile.mkdtemp()) / "small.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)]), path)
    return path


def filled(group, name, picture):
    """A choice, and what a person must add to it: a layer of that network, the picture's path."""
    overrides = [f"{group}={name}"]
    overrides += {
        "keras": ["model.name=MobileNet", "model.weights=null"],
        "file": [f"model.path={saved()}"],
        "onnx": [f"model.path={exported()}"],
    }.get(name if group == "model" else "", [])
    known = networks.network(OmegaConf.to_container(composed(*overrides).model)).layers()
    layer = composed(*overrides).layer
    if OmegaConf.is_missing(layer, "name") or layer.name not in known:
        last = [*known.values()][-1]
        overrides += [f"layer.name={last.name}", f"size={last.exactly[0] if last.exactly else 128}"]
    if not isinstance(layer.filters, str) or layer.filters != "all":
        overrides.append("layer.filters=0-1")
    return composed(*overrides, *missing(overrides, picture))


def resolved(cfg):
    return schema.resolve(OmegaConf.to_container(cfg, resolve=True))


def missing(overrides, picture):
    """What a person must still say: pictures, directions, terms."""
    rows = picture.with_name("rows.npy")
    np.save(rows, np.eye(512, dtype=np.float32)[:2])
    other = picture.with_name("other.png")  # a picture in its own style has nowhere to climb
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (24, 24, 3), dtype=np.uint8)).save(other)
    for key in schema.missing(OmegaConf.to_container(composed(*overrides))):
        said = {"objective.vectors": rows, "objective.terms": '"channel - 0.5 channel 1"',
                "objective.pictures.style": other}  # fmt: skip
        value = said.get(key, picture)
        overrides = [*overrides, f"{key}={value}"]
        yield overrides[-1]


def test_the_listing_finds_the_groups_of_the_readme():
    groups = {group for group, _ in CHOICES}
    assert groups >= {
        "model", "layer", "reg", "objective", "param", "transform", "optimizer", "start", "tracker",
        "experiment",
    }  # fmt: skip
    assert {name for group, name in CHOICES if group == "reg"} >= {
        "none", "decay", "blur", "small_norm", "combined", "gildenblat_2016",
        "yosinski_1", "yosinski_2", "yosinski_3", "yosinski_4",
    }  # fmt: skip


@pytest.mark.parametrize(("group", "name"), CHOICES, ids=map("/".join, CHOICES))
def test_every_choice_composes_and_passes_the_checks(group, name, picture):
    cfg = filled(group, name, picture)
    typed = resolved(cfg)
    validation.check_job(typed)
    assert schema.resolve(schema.plain(typed)) == typed


@pytest.mark.parametrize(("group", "name"), WITH_TARGET, ids=map("/".join, WITH_TARGET))
def test_every_target_is_a_function_of_this_package_that_takes_those_options(group, name, picture):
    node = filled(group, name, picture)[group]
    assert node["_target_"].startswith("deepvis.")
    names = set(inspect.signature(pkgutil.resolve_name(node["_target_"])).parameters)
    if group == "model":
        assert {key for key in node if key not in ("_target_", "labels", "paired_with")} == names
        return
    assert {key for key in node if key != "_target_"} <= names


@pytest.mark.parametrize(("group", "name"), OF_COMPONENTS, ids=map("/".join, OF_COMPONENTS))
def test_a_file_has_exactly_the_knobs_of_its_component(group, name, picture):
    """A knob with a neutral value may be left out, one without may not, and nothing else may stand there."""
    node = OmegaConf.to_container(composed(f"{group}={name}"))[group]
    target, own = node.pop("_target_"), set()
    component = knobs.component(group, target)
    assert target.startswith("deepvis.") and component is knobs.components(group)[component.name]
    if component.traits.get("pictures"):
        assert set(node.pop("pictures")) == set(component.traits["pictures"])
        own = {"pictures"}
    required = {key for key, knob in component.knobs.items() if knob.default == REQUIRED}
    assert required <= set(node) <= set(component.knobs)
    settings = getattr(resolved(filled(group, name, picture)), group)
    assert set(vars(settings)) == {"target", *component.knobs} | own


@pytest.mark.parametrize("group", schema.CHOICES)
def test_every_component_has_a_file_of_its_name(group):
    for name, component in knobs.components(group).items():
        assert knobs.component(group, composed(f"{group}={name}")[group]["_target_"]) is component


@pytest.mark.parametrize(
    ("group", "name"), [(group, name) for group, name in CHOICES if group in schema.SETS], ids="/".join
)
def test_a_preset_has_exactly_the_knobs_of_all_components_of_its_family(group, name):
    known = {key for each in knobs.components(group).values() for key in each.knobs}
    others = {"_target_", "combine", "weights"} if group == "reg" else set()
    node = composed(f"{group}={name}")[group]
    assert set(node) == known | others
    if group == "reg":
        copied = {"decay", "blur", "value", "norm", "contribution"}  # a mix has a copy of each
        assert set(node.weights) == copied
    assert set(vars(getattr(resolved(composed(f"{group}={name}")), group))) == (known | others) - {"_target_"}


@pytest.mark.parametrize("group", ["layer", "reg", "transform"])
def test_all_choices_of_a_group_have_the_same_knobs(group, picture):
    """So a sweep over presets is a sweep over numbers, and no preset forgets a knob that came later."""
    knobs = {name: set(filled(g, name, picture)[group]) for g, name in CHOICES if g == group}
    assert len({frozenset(keys) for keys in knobs.values()}) == 1, knobs


@pytest.mark.parametrize("name", [name for group, name in CHOICES if group == "layer" and name != "named"])
def test_a_layers_file_names_that_layer(name):
    cfg = composed(f"layer={name}")
    assert cfg.layer.name == name and name in networks.network(OmegaConf.to_container(cfg.model)).layers()


def test_every_layer_of_vgg16_has_its_file():
    assert set(networks.network(OmegaConf.to_container(composed().model)).layers()) == {
        name for group, name in CHOICES if group == "layer" and name != "named"
    }


def test_the_defaults_are_those_of_the_issue():
    cfg = composed()
    assert (cfg.steps, cfg.size, cfg.seed, cfg.model.name, cfg.layer.name) == (
        20, 128, 0, "vgg16", "block5_conv1",
    )  # fmt: skip
    assert names.filters(cfg.layer.filters, 512, "") == list(range(16))
    assert cfg.objective.pre_activation is True and cfg.optimizer.learning_rate == 0.9
    assert cfg.tracker.uri == "sqlite:///mlruns/mlflow.db" and cfg.tracker.artifacts == "mlruns/artifacts"
    assert (cfg.start.low, cfg.start.high) == (0, 20)
    assert specs.enabled(resolved(cfg)) == []


OFF = {
    "decay": 1.0, "blur": 0, "blur_sigma": 0.0, "blur_kind": "gaussian", "value_percentile": 0.0,
    "norm_percentile": 0.0, "contribution_percentile": 0.0, "clip_pixels": False, "combine": "chain",
    "total_variation": 0.0, "total_variation_power": 2.0, "p_norm": 0.0, "p_norm_power": 6.0,
    "high_frequency": 0.0, "high_frequency_sigma": 1.0, "accentuation": 0.0, "accentuation_layer": None,
    "center_bias": 0.0, "red_rate": 1.0, "green_rate": 1.0, "blue_rate": 1.0,
}  # fmt: skip
# Table 1 of Yosinski et al. 2015, in the paper's numbers, and the schedule of each row.
#  decay, blur sigma, blur every, norm pct, contribution pct | steps, step rule, its numbers
YOSINSKI = {
    "yosinski_1": ((0, 0.5, 4, 50, 0), (500, "progress", {"max_learning_rate": 100, "target_gain": 2})),
    "yosinski_2": ((0.3, 0, None, 20, 0), (750, "sgd", {"learning_rate": 100})),
    "yosinski_3": ((0.0001, 1.0, 4, 0, 0), (1000, "sgd", {"learning_rate": 100})),
    "yosinski_4": ((0, 0.5, 4, 0, 90), (1000, "progress", {"max_learning_rate": 1e8, "target_gain": 2})),
}


@pytest.mark.parametrize("of", ["reg", "experiment"])
@pytest.mark.parametrize("name", YOSINSKI)
def test_yosinskis_recipes_carry_the_papers_numbers(name, of):
    decay, sigma, every, norm, contribution = YOSINSKI[name][0]
    reg = OmegaConf.to_container(composed(f"{of}={name}").reg)
    assert reg["decay"] == pytest.approx(1 - decay, abs=1e-12)  # their decay d is our factor 1 - d
    assert reg["blur_every"] == every or every is None
    for key in ("_target_", "decay", "blur_every", "weights"):
        del reg[key]
    wanted = OFF | {
        "blur_sigma": sigma, "norm_percentile": norm, "contribution_percentile": contribution,
        "clip_pixels": True,
    }  # fmt: skip
    del wanted["decay"]
    assert reg == wanted


@pytest.mark.parametrize("name", YOSINSKI)
def test_yosinskis_experiments_carry_the_papers_schedule(name):
    steps, rule, numbers = YOSINSKI[name][1]
    cfg = composed(f"experiment={name}")
    assert cfg.steps == steps
    assert (
        OmegaConf.to_container(cfg.optimizer) == {"_target_": f"deepvis.ascent.optimizers.{rule}"} | numbers
    )
    assert cfg.start["_target_"] == "deepvis.ascent.starts.gaussian" and cfg.start.sigma == 10
    assert (cfg.model.name, cfg.layer.name, cfg.objective.pre_activation) == ("vgg16", "block5_conv1", True)


PRESETS = {
    "none": {},
    "decay": {"decay": 0.8},
    "blur": {"blur": 3},
    "small_norm": {"norm_percentile": 30},
    "center_bias": {"center_bias": 0.25},
    "combined": {"decay": 0.95, "blur": 3, "norm_percentile": 5},
    # The post: (3 box blurs of 3 x 3 + 3 decays of 0.8 + 1 clip per value at the 1st percentile) / 7
    "gildenblat_2016": {"decay": 0.8, "blur": 3, "blur_kind": "box", "value_percentile": 1, "combine": "mix"},
}


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_sets_what_its_name_says_and_nothing_else(name):
    reg = OmegaConf.to_container(composed(f"reg={name}").reg)
    assert {key: reg[key] for key in OFF} == OFF | PRESETS[name]
    assert reg["blur_every"] == 1
    if name == "gildenblat_2016":
        weights = {key: weight for key, weight in reg["weights"].items() if weight}
        assert weights == {"decay": 3, "blur": 3, "value": 1}
    else:
        assert set(reg["weights"].values()) == {1}


def test_raw_noise_is_the_posts_and_gaussian_is_yosinskis():
    raw = composed("start=raw_noise").start
    assert (raw["_target_"], raw.low, raw.high) == ("deepvis.ascent.starts.noise", 128, 148)
    assert composed("start=gaussian").start.sigma == 10


# What of a recipe is too large for sixteen pixels, or for two blocks.
SMALL = {
    "accentuation": ["reg.accentuation_layer=block1_conv1", "transform.crops=2", "transform.crops_px=12"],
    "maco": ["transform.crops=2", "transform.crops_px=12"],
    "neural_style": ["objective.content_layers=[block1_conv1]", "objective.style_layers=[block2_conv2]"],
}


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_runs_two_steps(name, picture, tmp_path):
    from deepvis.sweeps import runner

    typed = [f"experiment={name}", *TINY, *SMALL.get(name, ())]
    cfg = resolved(composed(*typed, *missing(typed, picture)))
    validation.check_job(cfg)
    memory = none.NoTracker()
    runner.run([jobs.make(cfg, [f"experiment={name}"], tmp_path)], memory, "sweep")
    about_a_channel = schema.component("objective", cfg.objective).traits["entries"] == "unit"
    (run,) = memory.runs.values()
    assert run["status"] == "FINISHED" and run["sweep"] == "sweep"
    read = result_folder.read(run["folder"])
    unknown = {"gradient_rms"} | (set() if about_a_channel else {"rank", "margin"})
    measured = {name: values for name, values in read.history.items() if name not in unknown}
    assert all(len(values) == 3 and np.isfinite(values).all() for values in measured.values())
    assert np.isfinite(read.history["gradient_rms"][:-1]).all()  # none is taken of the last image
    assert read.history["alive"].all()
    # It moved: each filter its own way.
    assert (read.history["image_rms"][0] != read.history["image_rms"][2]).all()
    if about_a_channel:
        assert len(set(read.history["score"][2].tolist())) == 2
    assert jobs.make(resolved(OmegaConf.create(read.config)), [], tmp_path).key == read.key


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        ("0-15", list(range(16))),
        ("0,3,7", [0, 3, 7]),
        ("7,0,3", [7, 0, 3]),
        ("0-3,8", [0, 1, 2, 3, 8]),
        (" 1 , 2-3 ", [1, 2, 3]),
        ("4-4", [4]),
        ("all", list(range(20))),
        ("0-19", list(range(20))),
        (5, [5]),
        ("5", [5]),
        (0, [0]),
        ([0, 3], [0, 3]),
        ([19], [19]),
        (["0-2", 5], [0, 1, 2, 5]),
    ],
    ids=str,
)
def test_filters_are_those_named_in_that_order(spec, wanted):
    assert names.filters(spec, 20, "layer") == wanted
    if not isinstance(spec, str | int):
        assert names.filters(OmegaConf.create(spec), 20, "layer") == wanted


@pytest.mark.parametrize(
    "spec", [20, "20", "0-20", "19-20", [0, 20], "99999999999", "0,20", "3-1", 10**12], ids=str
)
def test_filters_beyond_the_layer_are_refused_with_how_many_there_are(spec):
    with pytest.raises(ConfigError) as error:
        names.filters(spec, 20, "block5_conv1")
    text = str(error.value)
    assert "layer.filters" in text and "\n" not in text
    if len(str(spec)) < 10:
        assert "block5_conv1 has 20 filters, 0 to 19" in text


@pytest.mark.parametrize("spec", ["3,3", [1, 1], "0-3,2", "1-1,1"], ids=str)
def test_filters_named_twice_are_refused(spec):
    with pytest.raises(ConfigError, match=r"layer\.filters.*each filter once"):
        names.filters(spec, 20, "layer")


@pytest.mark.parametrize(
    "spec",
    ["", "abc", "-1", -1, "1-", "-", ",", "1,,2", "1.5", 1.5, None, True, "0x1", "1e1", [], [None], [[0]],
     {"a": 1}, "ALL", "0..3", "0:3", "all,1"],
    ids=repr,
)  # fmt: skip
def test_filters_that_are_junk_are_refused_in_one_line_that_names_the_key(spec):
    with pytest.raises(ConfigError) as error:
        names.filters(spec, 20, "layer")
    assert str(error.value).startswith("layer.filters=") and "\n" not in str(error.value)
