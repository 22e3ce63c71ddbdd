"""How analyses that optimize pictures do it where nothing says: overrides -> overrides."""

from collections.abc import Sequence

from deepvis.cli.arguments import HOW

RECIPE = ("experiment=distill_2017", "steps=128")


def completed(typed: Sequence[str]) -> list[str]:
    """Overrides, with the recipe of Olah et al. 2017 where none says how, and fewer steps where none says."""
    keys = {each.lstrip("+~").partition("=")[0].partition(".")[0] for each in typed}
    recipe, steps = RECIPE
    if keys & HOW:
        return list(typed)
    return [recipe, *([] if "steps" in keys else [steps]), *typed]
