"""The composer's law: what it composes is what Hydra composes."""

import itertools
import time

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import ConfigCompositionException
from hydra.types import RunMode
from omegaconf import OmegaConf
from omegaconf.errors import InterpolationKeyError

import deepvis.ascent  # noqa: F401  declares the knobs
from deepvis.config import compose, schema
from deepvis.config.compose import SweepComposer
from deepvis.core import names
from deepvis.core.errors import ConfigError

WHOLE = ["model=tiny", "layer=named", "layer.name=block1_conv1", "hydra.sweep.dir=elsewhere/${now:%f}",
         "reg.decay=0.8,0.9"]  # fmt: skip
JOBS = [
    ["reg.decay=0.8", "reg.blur=3"],
    ["reg.decay=0.9", "reg=combined", "reg.blur=5", "seed=2"],
    ["reg=gildenblat_2016", "reg.decay=0.7"],
    ["optimizer=sgd", "optimizer.learning_rate=2.5", "start=gaussian"],
    ["experiment=yosinski_2", "steps=7"],
    ["layer.filters=[1,2]", "layer={name:block1_conv2}", "resume=latest"],
    ["model=vgg16", "layer=block5_conv1", 'layer.filters="0,3"', "tracker.uri=sqlite:///${size}.db"],
    ["+reg.weights={norm: 2}", "++start.sigma=3", "start=gaussian", "steps=${batch_size}"],
    ["reg.decay=0.8", "reg.decay=0.9"],
    ["layer={name:block1_conv2}", "layer.name=block2_conv1"],
    ["layer.name=block2_conv1", "layer={name:block1_conv2}"],
    [],
]


@pytest.fixture
def loader(monkeypatch):
    monkeypatch.setenv("DEEPVIS_SWEEP", "20260101-000000-abcd")
    monkeypatch.setenv("DEEPVIS_SWEPT", "reg.decay")
    with initialize_config_dir(config_dir=str(names.CONF), version_base="1.3"):
        yield GlobalHydra.instance().config_loader()


def sweep_config(loader, *more):
    return loader.load_configuration("config", [*WHOLE, *more], RunMode.MULTIRUN)


@pytest.fixture
def sweep(loader):
    return sweep_config(loader)


def plain(cfg):
    return OmegaConf.to_container(schema.without_hydra(cfg), resolve=True)


@pytest.mark.parametrize("job", JOBS, ids=" ".join)
def test_composes_what_hydra_composes(loader, sweep, job):
    composer = SweepComposer(loader, sweep)
    expected = loader.load_sweep_config(sweep, job)
    for number in range(2):  # the second time from what is kept
        plan = composer.plan(job, number)
        assert plan.cfg == plain(expected)
        assert plan.overrides == list(expected.hydra.overrides.task)


def test_jobs_leave_no_trace_in_one_another(loader, sweep):
    composer = SweepComposer(loader, sweep)
    others = [
        [each.replace("0.8", "0.7").replace("=3", "=null").replace("[1,2]", "[3]") for each in job]
        for job in JOBS
    ]
    values = [["layer.filters=0-3", "seed=1"], ["layer.filters=[1,2]", "seed=1"],
              ["layer.filters=[3]", "seed=${steps}"], ["layer.filters=null", "seed=2"],
              ["seed=2", "layer.filters=null"], ["seed=2"], ["seed=2", "steps=3"]]  # fmt: skip
    for job in [*itertools.chain.from_iterable(zip(JOBS, others, strict=True)), *values]:
        plan = composer.plan(job, 0)
        assert plan.cfg == plain(loader.load_sweep_config(sweep, job))
        assert composer.plan(job, 0) is plan


@pytest.mark.parametrize("subdir", ["${hydra.job.override_dirname}", "${hydra.job.num}-x"])
def test_folders_are_those_that_hydra_would_make(loader, subdir):
    sweep = sweep_config(loader, f"hydra.sweep.subdir={subdir}")
    plan = SweepComposer(loader, sweep).plan(["reg.decay=0.8", "seed=3"], 4)
    assert plan.folder.name == ("4-x" if "num" in subdir else "reg.decay=0.8,seed=3")


def test_plan(loader, sweep):
    where = sweep.hydra.sweep.dir  # from here on it is the same for all jobs, whenever they ask
    plan = SweepComposer(loader, sweep).plan(["reg.decay=0.8", "seed=3"], 12)
    assert plan.cfg["reg"]["decay"] == 0.8 and plan.cfg["seed"] == 3 and "hydra" not in plan.cfg
    assert plan.overrides == ["reg.decay=0.8", "seed=3"]
    assert plan.folder.name == "12_decay=0.8" and str(plan.folder.parent) == where


def test_asks_hydra_once_for_each_choice_of_files(loader, sweep, monkeypatch):
    asked = []
    original = type(loader).load_sweep_config
    monkeypatch.setattr(
        type(loader), "load_sweep_config", lambda *given: (asked.append(1), original(*given))[1]
    )
    composer = SweepComposer(loader, sweep)
    for reg in ("none", "combined"):
        for n in range(20):
            composer.plan(
                [f"reg={reg}", f"seed={n}", f"++reg.decay=0.{n + 1}"[2 * (n % 2) :]][: 2 + n % 2], n
            )
    assert len(asked) <= 22


def test_a_thousand_jobs_take_seconds(loader, sweep):
    composer, began = SweepComposer(loader, sweep), time.process_time()
    for number in range(100):
        composer.plan(["reg=combined", f"reg.decay={1 - number / 1000}", f"seed={number}"], number)
    assert time.process_time() - began < 3  # a tenth of 1,000 jobs in 30 s


def test_no_value_names_hydras_own_config(loader, sweep):
    with pytest.raises(InterpolationKeyError):
        SweepComposer(loader, sweep).plan(["reg.decay=${hydra.job.num}"], 1)


@pytest.mark.parametrize("wrong", ["reg.decya=1", "reg=nothing", "+reg.blur=3", "steps=1,2"])
def test_refuses_what_hydra_refuses(loader, sweep, wrong):
    messages = []
    for of_job in (lambda job: loader.load_sweep_config(sweep, job),
                   lambda job: SweepComposer(loader, sweep).plan(job, 0)):  # fmt: skip
        with pytest.raises(ConfigCompositionException) as refused:
            of_job(["seed=1", wrong])
        messages.append(f"{refused.value} {refused.value.__cause__}")
    assert messages[0] == messages[1]


@pytest.mark.parametrize(
    "typed",
    [
        ["reg.decay=0.8,0.9", "seed=range(0,3)", "steps=5"],
        ["reg=glob(yosinski_*)", "layer.filters=[0,1],[2,3]", 'start.path="a,b"'],
        ["reg.decay=choice(0.8,0.9)", "reg.decay=1,2,3"],
        ["hydra.launcher.n_jobs=2", "reg=decay,none"],
    ],
    ids=" ".join,
)
def test_expands_as_hydras_own_sweeper(loader, typed):
    """The reference is Hydra's; deepvis itself uses nothing of Hydra's that is private."""
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

    (expected,) = BasicSweeper.split_arguments(compose.parse(typed, loader), None)
    assert [list(job) for job in compose.expand(loader, typed).jobs] == expected


def test_a_forced_value_is_a_value(loader):
    expansion = compose.expand(loader, ["++reg.decay=0.8,0.9", "seed=1"])
    assert expansion.jobs == tuple(itertools.product(["reg.decay=0.8", "reg.decay=0.9"], ["seed=1"]))
    assert expansion.swept == ("reg.decay",)


@pytest.mark.parametrize("typed", ["seed=shuffle(range(0,5))", "seed=shuffle(1,2,3)"])
def test_an_order_by_chance_could_not_be_resumed(loader, typed):
    for read in (compose.expand, compose.count):
        with pytest.raises(ConfigError, match=r"shuffle.*could not be resumed; list the values"):
            read(loader, [typed])


def test_an_interval_is_for_a_search(loader):
    with pytest.raises(ConfigError, match=r"reg.decay=interval\(0,1\): .*hydra/sweeper=optuna"):
        compose.expand(loader, ["reg.decay=interval(0,1)"])
