"""``deepvis --help``: commands, groups and the config."""

from collections.abc import Sequence

from omegaconf import OmegaConf

from deepvis.config import compose
from deepvis.core.names import CONF

COMMANDS = """deepvis: what do the filters of this network look for, and which regularizer shows it best?

  deepvis                                        one job: VGG16, block5_conv1, 16 filters
  deepvis -m reg.decay=0.8,0.9 reg.blur=3,5      an ablation: 4 jobs, compared in MLflow
  deepvis layer=block3_conv1 layer.filters=0-63  another layer
  deepvis experiment=maco                        a published recipe
  deepvis experiment=gildenblat_2016             reproduce a finished study
  deepvis layers model=keras model.name=VGG19    the layers of a network
  deepvis report latest                          the report of the last sweep; written at its end, too
  deepvis ui                                     the MLflow UI, with a link to the newest sweep
"""


def text(typed: Sequence[str]) -> str:
    """The help.

    Args:
      typed: overrides, which the config that is shown has.
    """
    folders = sorted(path for path in CONF.iterdir() if path.is_dir() and path.name != "hydra")
    groups = [
        f"{each.name}: {', '.join(sorted(file.stem for file in each.glob('*.yaml')))}" for each in folders
    ]
    return "\n".join([
        COMMANDS,
        "== Groups: choose with group=option ==",
        *groups,
        "",
        "== Config: override with key=value ==",
        OmegaConf.to_yaml(compose.config(typed)),
        "More: --cfg job (the whole config), --hydra-help (Hydra's own flags), --version",
    ])  # fmt: skip
