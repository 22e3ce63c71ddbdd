"""The one place where deepvis relies on what Hydra does not promise: how a plugin is found by its name."""

import pickle
from importlib.metadata import version

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.types import HydraContext

import deepvis.ascent  # noqa: F401  declares the knobs
from deepvis.cli import hydra_plugins
from deepvis.cli.hydra_plugins import MODULE, PackedLauncher, ProductSweeper
from deepvis.core.names import CONF


def test_hydra_is_of_the_version_that_this_was_written_for():
    """When it moves: read Plugins._instantiate; see whether Plugins.register does now."""
    assert version("hydra-core").startswith("1.3.")
    assert isinstance(Plugins.instance().class_name_to_class, dict)
    assert Plugins.is_in_toplevel_plugins_module(f"{MODULE}.PackedLauncher")


@pytest.fixture
def config(monkeypatch):
    monkeypatch.setenv("DEEPVIS_SWEEP", "s")
    with initialize_config_dir(config_dir=str(CONF), version_base="1.3"):
        yield compose("config", ["hydra.sweeper.params={seed: '0,1'}"], return_hydra_config=True)


def test_the_default_sweeper_and_launcher_are_ours_and_hydra_instantiates_them(config):
    hydra_plugins.register()
    context = HydraContext(config_loader=GlobalHydra.instance().config_loader(), callbacks=None)
    sweeper = Plugins.instance().instantiate_sweeper(
        hydra_context=context, task_function=lambda cfg: None, config=config
    )
    assert type(sweeper) is ProductSweeper and sweeper.params == ["seed=0,1"]
    assert type(sweeper.launcher) is PackedLauncher


@pytest.mark.parametrize("plugin", [PackedLauncher, ProductSweeper, hydra_plugins.Preflight])
def test_another_process_can_unpickle_them(plugin):
    """By reference to a module that exists, not to the name that Hydra knows."""
    assert plugin.__module__ == "deepvis.cli.hydra_plugins"
    assert pickle.loads(pickle.dumps(plugin)) is plugin
