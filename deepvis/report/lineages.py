"""Lineages: the results of a comparison -> whose filters can be paired with whose.

Filter k of one network is about the same as filter k of another only where one was trained from the other,
or both from a third: a lineage, which ``model.paired_with`` states, for hed in conf/. Everything else, be
it the same architecture from another seed, is another network, compared as a distribution.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deepvis.config import params
from deepvis.results.result_folder import Result

PAIRED = "model.paired_with"
# Options of a model that leave its weights as they are.
SAME_WEIGHTS = ("mean", "preprocess", "labels", "allow_code", "custom_objects", "optimize", "inputs",
                "image_size", "paired_with")  # fmt: skip
PATHS = ("model.path", "model.weights.path", "model.weights.verify")  # of no matter where contents are known

Key = tuple[tuple[str, params.Value], ...]


@dataclass(frozen=True)
class Networks:
    """The networks of some jobs."""

    models: Sequence[str]  # what each job's is called; no two different ones alike
    lineages: Sequence[str]  # and its lineage: filters of one lineage are paired
    unpaired: str  # why layers and lineages are not paired, a sentence; empty of one


def of_jobs(results: Sequence[Result]) -> Networks:
    """What the network of each job is called, and its lineage."""
    keys = _keys(results)
    jobs = {key: [r for r, k in zip(results, keys, strict=True) if k == key] for key in keys}
    names = _names(list(jobs))
    parents, reasons = _parents(jobs, names)
    members: dict[Key, list[Key]] = {}
    for key in jobs:
        members.setdefault(_root(key, parents), []).append(key)
    called = {root: names.get(root) or Path(str(root[0][1])).stem for root in members}
    called |= {root: names[keys[0]] for root, keys in members.items() if len(keys) == 1}
    lineages = [called[_root(key, parents)] for key in keys]
    layers = list(dict.fromkeys(result.layer for result in results))
    return Networks([names[key] for key in keys], lineages, _unpaired(list(called.values()), layers, reasons))


def _unpaired(lineages: Sequence[str], layers: Sequence[str], reasons: Sequence[str]) -> str:
    what = []
    if len(lineages) > 1:
        reason = f" ({'; '.join(reasons)})" if reasons else ""
        what.append(f"{_listed(lineages)} share no lineage{reason}")
    if len(layers) > 1:
        what.append(f"{_listed(layers)} are different layers")
    not_paired = "filter k of one is not filter k of another, so they are compared as distributions"
    return f"{', and '.join(what)}: {not_paired}." if what else ""


def _keys(results: Sequence[Result]) -> list[Key]:
    """What tells each job's network from others: its config, and its weights where one config had several."""
    digests: dict[tuple[Key, str], set[str]] = {}
    for result in results:
        digests.setdefault((_config(result), result.layer), set()).add(_digest(result))
    changed = {key for (key, _), found in digests.items() if len(found) > 1}
    return [
        (*key, ("weights", _digest(result))) if (key := _config(result)) in changed else key
        for result in results
    ]


def _config(result: Result) -> Key:
    digest = _digest(result)
    return tuple(
        (key, value)
        for key, value in sorted(result.params.items())
        if key.partition(".")[0] == "model"
        and key.split(".")[1:2] not in [[each] for each in SAME_WEIGHTS]
        and not (digest and key in PATHS)
    )


def _digest(result: Result) -> str:
    """Of the weights up to the layer, empty where it is not known."""
    return result.tags.get("weights.digest", "")


def _names(keys: Sequence[Key]) -> dict[Key, str]:
    """The name of each network, with what differs between those of one name."""
    names = {}
    for key in keys:
        base = str(dict(key).get("model", "network"))
        alike = [dict(each) for each in keys if str(dict(each).get("model", "network")) == base]
        options = dict.fromkeys(option for each in alike for option in each)
        differing = [each for each in options if len({other.get(each) for other in alike}) > 1]
        told = (f"{each.removeprefix('model.')}={dict(key).get(each, 'none')}" for each in differing)
        names[key] = f"{base} {' '.join(told)}" if differing else base
    return names


def _parents(jobs: dict[Key, list[Result]], names: dict[Key, str]) -> tuple[dict[Key, Key], list[str]]:
    """The network that each was trained from, and why a stated one is not believed.

    One that is in none of the jobs stands for itself: two networks trained from it are of one lineage.
    """
    parents: dict[Key, Key] = {}
    reasons = []
    for key, results in jobs.items():
        stated = str(results[0].params.get(PAIRED, "none"))
        earlier = itertools.takewhile(lambda other: other != key, jobs)  # noqa: B023  # used at once
        same = next((other for other in earlier if _is_same(results, jobs[other])), None)
        if same is not None:
            parents[key] = same
        elif stated not in ("none", *_called(key, results, names)):
            known = [other for other in jobs if stated in _called(other, jobs[other], names)]
            if len(known) > 1:
                reasons.append(f"{PAIRED}={stated} is several of them")
            elif known and (problem := _mismatch(results, jobs[known[0]])):
                reasons.append(f"{names[key]} is said to be trained from {stated}, but {problem}")
            else:
                parents[key] = known[0] if known else (("model", stated),)
    return parents, reasons


def _root(key: Key, parents: dict[Key, Key]) -> Key:
    seen = [key]
    while seen[-1] in parents and parents[seen[-1]] not in seen:
        seen.append(parents[seen[-1]])
    if seen[-1] not in parents:
        return seen[-1]
    # Of networks that are stated in a circle, the same one whoever asks.
    return min(seen[seen.index(parents[seen[-1]]) :], key=repr)


def _called(key: Key, results: Sequence[Result], names: dict[Key, str]) -> set[str]:
    """All that a person may call a network."""
    paths = {str(result.params[each]) for result in results for each in PATHS[:2] if each in result.params}
    found = {names[key], str(dict(key).get("model")), *paths, *(Path(path).name for path in paths)}
    return found - {"none"}


def _is_same(one: Sequence[Result], other: Sequence[Result]) -> bool:
    """Whether two networks, of other names, have the same weights below every layer that both have."""
    first, second = ({result.layer: _digest(result) for result in each} for each in (one, other))
    shared = first.keys() & second.keys()
    return bool(shared) and all(first[layer] == second[layer] != "" for layer in shared)


def _mismatch(one: Sequence[Result], other: Sequence[Result]) -> str:
    """What shows that two networks are of different architectures; empty: nothing."""
    first, second = ({each.layer: each.features["post"].shape[-1] for each in of} for of in (one, other))
    for layer in first:
        if first[layer] != second.get(layer, first[layer]):
            return f"{layer} has {first[layer]} channels in one and {second[layer]} in the other"
    blocks = [each[0].params.get("model.blocks") for each in (one, other)]
    return "their model.blocks differ" if None not in blocks and blocks[0] != blocks[1] else ""


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
