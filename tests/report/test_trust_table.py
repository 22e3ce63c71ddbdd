"""Trust in a report: which filters are named, with which words, of several settings, seeds and layers."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.synthetic import result

from deepvis.metrics.trust_verdicts import verdict
from deepvis.report import comparison, trust
from deepvis.results.trust import COUNT, FACETS, MEASURES, OBSERVER, PATH, STRENGTH

NAN, INF = np.nan, np.inf


def job(name, path, strength, facets=1.0, values=None, photographs=2000, **params):
    made = result(name, np.ones(len(path)) if values is None else values, **params)
    metrics = {name: np.full(len(path), NAN) for name in MEASURES}
    metrics |= {PATH: np.array(path), STRENGTH: np.array(strength), FACETS: np.full(len(path), facets)}
    return replace(made, metrics=dict(made.metrics) | metrics, figures={COUNT: photographs},
                   tags={OBSERVER: "vgg16"})  # fmt: skip


def table(*jobs):
    return trust.of(comparison.compare([("s", Path(each.name), each) for each in jobs]))


@pytest.mark.parametrize(
    ("measured", "grade", "words"),
    [
        ((2, 0.9, 1), "believe", "believable"),
        ((2, 0.9, NAN), "believe", "believable"),
        ((1, 0.35, 1), "believe", "believable"),  # the thresholds themselves are believed
        ((2, 0.34, 1), "do not believe", "excited by another way than photographs"),
        ((0.9, 0.9, 1), "doubt", "weaker than a photograph"),
        ((0, 0.9, 1), "do not believe", "its picture does not excite it"),
        ((2, 0.9, 2), "doubt", "2 facets"),
        ((2, NAN, 1), "doubt", "its way could not be compared"),
        ((0.5, 0.1, 3), "do not believe",
         "excited by another way than photographs, weaker than a photograph, 3 facets"),
        ((2, 0.9, 1, NAN, 90), "believe", "believable"),
        ((1e26, 0.9, 1, NAN, 91), "doubt", "beyond the range of pixels"),
        ((INF, NAN, NAN), "do not believe", "no photograph excites it"),
        ((NAN, NAN, NAN), "do not believe", "nothing excites it"),
    ],
)  # fmt: skip
def test_the_words_of_what_was_measured(measured, grade, words):
    assert (verdict(*measured).grade, verdict(*measured).words) == (grade, words)


def test_filters_are_named_once_with_the_number_and_the_share_of_their_pictures():
    jobs = [
        job(f"{number}_{decay}_{seed}", [0.21, 0.9, first, 0.9], [2, strength, 2, 2], seed=seed,
            **{"reg.decay": decay})
        for number, (decay, seed, first, strength) in enumerate(
            [(0.8, 0, 0.9, 0.5), (0.8, 1, 0.1, 0.5), (1.0, 0, 0.9, 0.7)]
        )
    ]  # fmt: skip
    found = table(*jobs)
    assert found.sentences == [
        "Do not believe: f000 (path similarity 0.21, below 0.35), f002 (path similarity 0.1, below 0.35, in "
        "1 of 3 pictures).",
        "Doubt: f001 (weaker than a photograph).",  # by how much differs
    ]
    assert found.settings == ["decay=1", "decay=0.8"] and found.shares == ["believe 2 of 4", "believe 3 of 8"]
    cells = dict(found.rows)["f002"]
    assert [cell.grade for cell in cells] == ["believe", "do not believe"]
    assert cells[1].share == "1 of 2 seeds" and cells[0].share == ""
    assert found.beside == "Beside 2000 photographs. The machine that looked at the pictures: vgg16."


def test_few_photographs_and_jobs_without_trust_are_said():
    found = table(job("a", [0.9], [2], photographs=18, **{"reg.decay": 1.0}),
                  result("b", [1.0], **{"reg.decay": 0.8}))  # fmt: skip
    assert found.sentences == ["Every picture can be believed."]
    assert found.beside.startswith("Beside 18 photographs; so few photographs may lack what excites")
    assert found.beside.endswith("1 of 2 jobs ran without trust=true.")
    assert found.shares == ["believe 1 of 1", "–"] and found.rows[0][1][1] is None
    assert table(result("b", [1.0])) is None


def test_what_diverged_is_not_believed_and_layers_have_their_own_filters():
    found = table(job("a", [NAN], [NAN], values=[NAN], layer="one"), job("b", [0.9], [2], layer="other"))
    assert found.sentences == ["Do not believe: one f000 (diverged)."]
    assert [label for label, _ in found.rows] == ["one f000", "other f000"]


def test_of_many_filters_the_gravest_are_shown():
    paths = np.full(trust.ROWS + 9, 0.9)
    paths[-9:] = 0
    found = table(job("a", paths, np.full(len(paths), 2.0)))
    assert (len(found.rows), found.filters) == (trust.ROWS, trust.ROWS + 9)
    assert [cells[0].grade for _, cells in found.rows[:10]] == ["do not believe"] * 9 + ["believe"]
    assert found.sentences[0].endswith("and 1 more, in the table of trust.")
