"""How often the sentences of a report are true: simulated sweeps whose truth is known.

python benchmarks/sentences.py [SWEEPS]      2,000 of each row by default; writes docs/reference/sentences.md

A sweep has 10 to 32 filters and 1 to 3 seeds where nothing else is said; a score has a level for each filter
and noise for each image, normal or with heavy tails (Student's t, two degrees of freedom), on a log scale.
"""

import itertools
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy import stats

from deepvis.metrics import signed_rank
from deepvis.metrics.signed_rank import Effect
from deepvis.report import conclusions, contrasts, effects, front, scales
from deepvis.report.comparison import ComparedJob, Comparison, Part, Unit
from deepvis.report.conclusions import Conclusions
from deepvis.results.result_folder import Result

TABLE = Path(__file__).parents[1] / "docs" / "reference" / "sentences.md"
MEASURES = scales.SAID
Row = tuple[str, str, str]  # what, measured, goal
NO_RESULT = Result(name="", key="", layer="layer", filters=[], ends=[], params={}, tags={}, figures={},
                   history={}, metrics={}, features={}, twins={}, config="")  # fmt: skip


def compared(by_seed: Mapping[str, np.ndarray], *shape: int, twins: np.ndarray | None = None) -> Comparison:
    """A comparison of these values, ``[settings, seeds, filters]``, over a grid."""
    settings = [*itertools.product(*map(range, shape))]
    _, seeds, filters = next(iter(by_seed.values())).shape
    jobs = [
        ComparedJob("s", Path(), NO_RESULT, setting, seed, "tiny", 0, seed, False)
        for setting in range(len(settings))
        for seed in range(seeds)
    ]
    return Comparison(
        levels={f"f{axis}": range(count) for axis, count in enumerate(shape)}, settings=settings, jobs=jobs,
        parts=[Part("tiny", "layer")], units=[Unit("tiny", "layer", i) for i in range(filters)],
        part_of=np.zeros(filters, int), seeds=range(seeds), left_out_by_part=[0], by_seed=by_seed,
        values={name: values.mean(axis=1) for name, values in by_seed.items()},
        twin_differences={} if twins is None else {"score": twins}, unpaired="", others=(),
    )  # fmt: skip


def sweep(
    rng: np.random.Generator, shape: Sequence[int], truth: Mapping[str, np.ndarray], noise: float = 0.2,
    law: str = "normal", filters: int | None = None, seeds: int | None = None,
) -> Comparison:  # fmt: skip
    """A sweep over a grid; `truth` has the effect of each setting on a measure, as a logarithm."""
    n, s = filters or int(rng.integers(10, 33)), seeds or int(rng.integers(1, 4))
    values = {}
    for measure in MEASURES:
        drawn = drawing(rng, law)((int(np.prod(shape)), s, n))
        level = truth.get(measure, np.zeros(int(np.prod(shape))))
        values[measure] = np.exp(rng.normal(0, 1, n) + level[:, None, None] + noise * drawn)
    return compared(values, *shape)


def drawing(rng: np.random.Generator, law: str) -> Callable[[tuple[int, ...]], np.ndarray]:
    """Noise of standard size."""
    return (
        (lambda size: rng.normal(0, 1, size)) if law == "normal" else (lambda size: rng.standard_t(2, size))
    )


def concluded(both: Comparison) -> Conclusions:
    """What the page says; each effect has only its direction, which saves most of the time."""
    found = scales.differences(both)
    tests = []
    for each, p in zip(found, effects.page_p(found)[0], strict=True):
        way = float(np.sign(each.sums.sum()))
        count = int((~np.isnan(each.values)).any(axis=1).sum())
        alone = float(signed_rank.p_value(each.sums)) if len(each.contrast.settings) == 1 else np.nan
        effect = Effect(count, way, way, way, 0.5, 0.5, p=alone)
        tests.append(effects.TestedEffect("", each.contrast, each.measure, each.unit, effect, p, p, np.nan))
    return conclusions.of(both, tests)


def claims(found: Conclusions) -> int:
    """Sentences that something differs, and settings that are placed on the front or off it."""
    return sum(each.is_established for each in found.findings) + sum(
        kind != front.TIED for _, kind in found.front
    )


def share(count: int, happens: Callable[[np.random.Generator], bool], seed: int) -> float:
    return float(np.mean([happens(np.random.default_rng([number, seed])) for number in range(count)]))


def percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def false_sentences(count: int) -> Iterator[Row]:
    for shape in ((2, 2), (3, 3)):
        for law in ("normal", "heavy"):
            found = share(
                count, lambda rng, s=shape, w=law: claims(concluded(sweep(rng, s, {}, law=w))) > 0, 1
            )
            what = f"a false sentence where nothing has an effect, {shape[0]}x{shape[1]}, {law} noise"
            yield what, percent(found), "5 %"


def fronts(count: int) -> Iterator[Row]:
    for shape, seeds in itertools.product(((2, 2), (3, 3)), (1, 3)):
        last, told = int(np.prod(shape)) - 1, f"{shape[0]}x{shape[1]}, seeds: {seeds}"
        equal, worse = np.zeros(last + 1), np.where(np.arange(last + 1) == last, -0.2, 0.0)
        found = {}
        for name, effect in (("equal", equal), ("worse", worse)):
            truth = {"score": effect, "robustness": effect}
            rngs = (np.random.default_rng([number, 2]) for number in range(count))
            found[name] = [concluded(sweep(rng, shape, truth, seeds=seeds)).front for rng in rngs]
        left_out = np.mean([any(kind == front.DOMINATED for _, kind in each) for each in found["equal"]])
        yield f"front: leaves out a setting that equals the others, {told}", percent(left_out), "5 %"
        listed, seen = (np.mean([each[last][1] == kind for each in found["worse"]])
                        for kind in (front.OPTIMAL, front.DOMINATED))  # fmt: skip
        yield f"front: lists a setting that is 18 % lower in both, {told}", percent(listed), "5 %"
        yield f"front: leaves it out (the rest is not told apart), {told}", percent(seen), ""


def chaos(count: int) -> Iterator[Row]:
    """Two settings that do nothing, a replica of each image; filters differ in how chaotic they are."""
    for law, seeds in itertools.product(("normal", "heavy"), (1, 3, 9)):
        shares, floors = [], []
        for number in range(count):
            rng = np.random.default_rng([number, 4])
            n = int(rng.integers(10, 33))
            scale, level = np.exp(rng.normal(-3, 0.7, n)), rng.normal(0, 1, n)
            images, replicas = (np.exp(level + scale * drawing(rng, law)((2, seeds, n))) for _ in range(2))
            both = compared({"score": images}, 2, twins=(replicas - images)[:, :, None])
            (test,) = effects.tested(both)
            shares.append(test.effect.changed)
            floors.append(test.floor)
        told = f"{law} noise, seeds: {seeds}"
        yield f"filters beyond the noise floor where only chaos acts, {told}", percent(np.mean(shares)), "5 %"
        yield f"how far one ulp moves a score, {told}", f"{np.mean(floors):.1f} %", "the same for all seeds"


def interactions(count: int) -> Iterator[Row]:
    one, other = np.repeat([0, 1], 2)[:, None], np.tile([0, 1], 2)[:, None]
    for planted, zero in itertools.product(("added", "multiplied", "neither"), (False, True)):

        def says(rng, planted=planted, zero=zero):
            n, seeds = int(rng.integers(10, 33)), int(rng.integers(1, 4))
            base = 100 * np.exp(rng.normal(0, 0.5, n))
            both = base * 1.5**one * 1.8**other
            cells = {"added": base + 50 * one + 80 * other, "multiplied": both,
                     "neither": both * np.where(one * other, 0.5, 1)}[planted]  # fmt: skip
            score = cells[:, None] + rng.normal(0, 8, (4, seeds, n))
            score[..., 0] *= not zero
            found = concluded(compared({"score": score}, 2, 2))
            return any("interact in score" in each.text for each in found.findings)

        what = (
            f"two effects that are {planted} are called an interaction{', one filter at 0' if zero else ''}"
        )
        yield (
            what if planted != "neither" else what.replace("neither", "neither added nor multiplied"),
            percent(share(count, says, 5)),
            "" if planted == "neither" else "5 %",
        )


def power(count: int) -> Iterator[Row]:
    def middle(rng):
        found = concluded(sweep(rng, (3,), {"score": np.log([1, 3, 1])}, 0.3, filters=16, seeds=1))
        return any("f0: score is highest with 1, above" in each.text for each in found.findings)

    yield "a middle level three times the ends is said", percent(share(count, middle, 6)), "said"

    def all_pairs(rng):
        found = scales.differences(
            sweep(rng, (8,), {"score": np.log(2) * np.arange(8)}, 0.1, filters=10, seeds=1)
        )
        p, _ = effects.page_p(found)
        return all(p[i] < signed_rank.LEVEL for i, each in enumerate(found) if each.measure == "score")

    yield (
        "8 levels, 10 filters, each doubles the last: all 28 pairs",
        percent(share(count, all_pairs, 7)),
        "established",
    )
    lower = np.log([1, 1, 0.9, 0.9])
    for law, noise in (("normal", 0.145), ("heavy", 0.16)):

        def says(rng, law=law, noise=noise):
            found = concluded(sweep(rng, (2, 2), {"score": lower}, noise, law, filters=16, seeds=1))
            return any(each.is_established and "f0=1 instead of 0" in each.text and "score" in each.text
                       for each in found.findings)  # fmt: skip

        what = f"score -10 %, 16 filters, one seed is said, {law} noise ({noise:g})"
        yield (
            what,
            percent(share(count, says, 8)),
            "0.4: 64 %, where 24 % of the pages had a false sentence" if law == "normal" else "0.4: 21 %",
        )


def coverage(count: int) -> Iterator[Row]:
    for law in ("normal", "heavy", "ties"):
        found = {"main effect": [], "interaction": []}
        inside = {"main effect": [], "interaction": []}
        for number in range(count):
            rng = np.random.default_rng([number, 9])
            n = int(rng.integers(10, 33))
            noise = drawing(rng, "heavy" if law == "heavy" else "normal")((4, 1, n))
            values = rng.normal(0, 3, n) + np.array([0, 1, 2, 4])[:, None, None] + noise
            values = np.round(2 * values) / 2 if law == "ties" else values
            for each in contrasts.of(
                {"a": [0, 1], "b": [0, 1]}, [*itertools.product([0, 1], [0, 1])], [*"wxyz"]
            ):
                if each.kind in found and each.factor != "b":
                    effect = signed_rank.effect(contrasts.differences(each, values))
                    truth = 2.5 if each.kind == "main effect" else 1.0
                    found[each.kind].append(effect.low <= truth <= effect.high)
                    shifted = signed_rank.effect(contrasts.differences(each, values) - truth)
                    inside[each.kind].append(shifted.p > signed_rank.LEVEL)
        for kind, covers in found.items():
            yield f"95 % intervals cover, {kind}, {law}", percent(np.mean(covers)), "94 to 96 %"
            if (
                law == "ties"
            ):  # the truth is often an end, which the test rejects though all inside of it stays
                what = f"95 % intervals cover, {kind}, {law}, without ends that are rejected themselves"
                yield what, percent(np.mean(inside[kind])), "94 to 96 %"


ROWS = (false_sentences, fronts, chaos, interactions, power, coverage)


def table(count: int) -> str:
    low, high = (100 * each / count for each in stats.binom.interval(0.95, count, 0.05))
    lines = [
        "# How true the report's sentences are",
        "",
        "<!-- written by benchmarks/sentences.py -->",
        f"{count:,} simulated sweeps a row, with a known truth. What the simulation draws stands in",
        "[benchmarks/sentences.py](../../benchmarks/sentences.py); how a report tests:",
        "[metrics](metrics.md#statistics-of-a-comparison). In 95 of 100 such runs a true share of 5 % is",
        f"measured as {low:.1f} to {high:.1f} %.",
        "",
        "| what | measured | goal |",
        "|---|---|---|",
    ]
    for rows in ROWS:
        for row in rows(count):
            lines.append(f"| {' | '.join(row)} |")
            print(lines[-1], flush=True)
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    simulated = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    TABLE.write_text(table(simulated))
