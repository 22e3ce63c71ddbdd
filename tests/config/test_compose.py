"""The composer's law: what it composes is what Hydra composes, to the last node."""

import pickle

import pytest
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import ConfigCompositionException
from hydra.types import RunMode
from omegaconf import OmegaConf

from deepvis.config import compose, schema
from deepvis.config.compose import Composer
from deepvis.core import names

WHOLE = ["model=tiny", "layer=named", "layer.name=block1_conv1", "hydra.sweep.dir=elsewhere/${now:%f}",
         "hydra.job.config.override_dirname.exclude_keys=[seed]", "reg.decay=0.8,0.9"]  # fmt: skip
JOBS = [
    ["reg.decay=0.8", "reg.blur=3"],
    ["reg.decay=0.9", "reg=combined", "reg.blur=5", "seed=2"],
    ["reg=gildenblat_2016", "reg.decay=0.7"],
    ["optimizer=sgd", "optimizer._target_=2.5", "start=gaussian"],
    ["experiment=yosinski_2", "steps=7"],
    ["layer.filters=[1,2]", "layer={name:block1_conv2}", "resume=latest"],
    ["model=vgg16", "layer=block5_conv1", 'layer.filters="0,3"', "tracker.uri=sqlite:///${size}.db"],
    ["+reg.weights={norm: 2}", "++start.sigma=3", "start=gaussian", "steps=${batch_size}"],
    ["reg.decay=0.8", "reg.decay=0.9"],
    [],
]


@pytest.fixture
def hydra(monkeypatch):
    monkeypatch.setenv("DEEPVIS_SWEEP", "20260101-000000-abcd")
    monkeypatch.setenv("DEEPVIS_SWEPT", "reg.decay")
    GlobalHydra.instance().clear()
    made = Hydra.create_main_hydra2("run", create_config_search_path(str(names.CONF)))
    yield made
    GlobalHydra.instance().clear()


@pytest.fixture
def whole(hydra):
    return hydra.compose_config("config", WHOLE, run_mode=RunMode.MULTIRUN, with_log_configuration=False)


def plain(cfg):
    return OmegaConf.to_container(cfg), OmegaConf.to_yaml(schema.without_hydra(cfg), resolve=True)


@pytest.mark.parametrize("job", JOBS, ids=" ".join)
def test_composes_what_hydra_composes(hydra, whole, job):
    ours, theirs = Composer(hydra.config_loader.get_search_path()), hydra.config_loader
    want = plain(theirs.load_sweep_config(whole, job))
    for _ in range(2):  # the second time from what is there
        assert plain(ours.load_sweep_config(whole, job)) == want


def test_jobs_leave_no_trace_in_one_another(hydra, whole):
    """Three ask for a job's config, the preflight, Hydra and the launcher; it is one object to them all."""
    ours, theirs = Composer(hydra.config_loader.get_search_path()), hydra.config_loader
    for job in JOBS:
        made = ours.load_sweep_config(whole, job)
        assert plain(made) == plain(theirs.load_sweep_config(whole, job))
        made.reg.decay, made.hydra.job.num = 0.123, 99
        made.hydra.overrides.task.append("seed=99")
        assert ours.load_sweep_config(whole, job) is made


def test_reads_the_files_of_a_choice_once(hydra, whole, monkeypatch):
    ours = Composer(hydra.config_loader.get_search_path())
    read = []
    original = Composer.load_configuration
    monkeypatch.setattr(
        Composer, "load_configuration", lambda *a, **k: (read.append(1), original(*a, **k))[1]
    )
    for reg in ("none", "combined"):
        for n in range(20):
            ours.load_sweep_config(whole, [f"reg={reg}", f"seed={n}"])
    assert len(read) == 2


@pytest.mark.parametrize(
    "wrong", ["reg.decay=fast", "reg.decya=1", "reg=nothing", "+reg.blur=3", "steps=1,2"]
)
def test_refuses_what_hydra_refuses(hydra, whole, wrong):
    said = []
    for loader in (hydra.config_loader, Composer(hydra.config_loader.get_search_path())):
        with pytest.raises(ConfigCompositionException) as refused:
            loader.load_sweep_config(whole, ["seed=1", wrong])
        said.append(f"{refused.value} {refused.value.__cause__}")
    assert said[0] == said[1]


def test_another_process_gets_an_empty_one(hydra, whole):
    ours = Composer(hydra.config_loader.get_search_path())
    want, empty = plain(ours.load_sweep_config(whole, JOBS[1])), len(pickle.dumps(ours))
    for n in range(20):
        ours.load_sweep_config(whole, [f"seed={n}"])
    assert len(pickle.dumps(ours)) == empty
    assert plain(pickle.loads(pickle.dumps(ours)).load_sweep_config(whole, JOBS[1])) == want


def test_plan(hydra, whole):
    where = whole.hydra.sweep.dir  # from here on it is the same for all jobs, whenever they ask
    plan = compose.plan(
        Composer(hydra.config_loader.get_search_path()), whole, ["reg.decay=0.8", "seed=3"], 12
    )
    assert plan.cfg.reg.decay == 0.8 and plan.cfg.seed == 3 and "hydra" not in plan.cfg
    assert plan.overrides == ["reg.decay=0.8", "seed=3"]
    assert plan.folder.name == "12_decay=0.8" and plan.folder.parent.parent.name == "elsewhere"
    assert str(plan.folder.parent) == where
