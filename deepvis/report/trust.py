"""Trust in a report: which pictures of a sweep with ``trust=true`` can be believed, and which filters not.

A cell is a filter with a setting; of several seeds it has the gravest verdict.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from deepvis.metrics.trust_verdicts import (
    BELIEVE,
    DISBELIEVE,
    DOUBT,
    FEW,
    FEW_PHOTOGRAPHS,
    GRADES,
    MEANING,
    Verdict,
)
from deepvis.report import selection
from deepvis.report.comparison import ComparedJob, Comparison, Unit
from deepvis.results import trust

NAMED = 8  # filters of a sentence
ROWS = 64  # filters of the table
MARKS = dict(zip(GRADES, ("believe", "doubt", "disbelieve"), strict=True))  # classes of the style sheet


@dataclass(frozen=True)
class Cell:
    """What is said of a filter with a setting."""

    mark: str
    grade: str
    figures: str  # why, with numbers
    share: str  # of how many pictures; empty of one, and where all are graded alike


@dataclass(frozen=True)
class Table:
    """What is shown of trust."""

    sentences: Sequence[str]  # which filters not to believe
    settings: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Cell | None]]]
    filters: int  # of which the rows are the gravest
    shares: Sequence[str]  # by part and setting, as the medians are: how many pictures are believed
    beside: str  # what they were compared with
    meaning: Sequence[tuple[str, str, str]]  # mark, grade, and what it means


Said = Mapping[Unit, Mapping[int, Sequence[Verdict]]]  # by unit and setting, a verdict a job


def of(compared: Comparison) -> Table | None:
    """The trust of a comparison; None where no job has measured it."""
    jobs = _measured(compared)
    if not jobs:
        return None
    said = _said(compared, jobs)
    units = sorted(said)
    if len(units) > ROWS:
        units = sorted(units, key=lambda unit: -max(_gravity(each) for each in _all(said[unit])))[:ROWS]
    settings = selection.settings(compared)
    return Table(
        sentences=[*_sentences(compared, said)],
        settings=[compared.name(setting) for setting in settings],
        rows=[(compared.label(unit), [_cell(said[unit].get(s, ())) for s in settings]) for unit in units],
        filters=len(said),
        shares=[share for _, part in compared.each_part() for share in _shares(part)],
        beside=_beside(compared, jobs),
        meaning=[(MARKS[grade], grade, MEANING[grade]) for grade in GRADES],
    )


def _measured(compared: Comparison) -> list[ComparedJob]:
    return [job for job in compared.jobs if trust.is_there(job.result)]


def _said(compared: Comparison, jobs: Sequence[ComparedJob]) -> Said:
    said: dict[Unit, dict[int, list[Verdict]]] = {}
    for job in jobs:
        for index, verdict in zip(job.result.filters, trust.verdicts(job.result), strict=True):
            unit = Unit(*compared.parts[job.part], index)
            said.setdefault(unit, {}).setdefault(job.setting, []).append(verdict)
    return said


def _all(by_setting: Mapping[int, Sequence[Verdict]]) -> list[Verdict]:
    return [verdict for each in by_setting.values() for verdict in each]


def _gravity(verdict: Verdict) -> int:
    return GRADES.index(verdict.grade)


def _cell(verdicts: Sequence[Verdict]) -> Cell | None:
    if not verdicts:
        return None
    gravest = max(verdicts, key=_gravity)
    count = sum(each.grade == gravest.grade for each in verdicts)
    share = f"{count} of {len(verdicts)} seeds" if count < len(verdicts) else ""
    return Cell(MARKS[gravest.grade], gravest.grade, gravest.figures, share)


def _shares(part: Comparison) -> Iterator[str]:
    """How many pictures of each setting are believed; a dash where that was not measured."""
    for setting in range(len(part.settings)):
        jobs = [job for job in _measured(part) if job.setting == setting]
        grades = [verdict.grade for job in jobs for verdict in trust.verdicts(job.result)]
        yield f"{BELIEVE} {grades.count(BELIEVE)} of {len(grades)}" if grades else "–"


def _sentences(compared: Comparison, said: Said) -> Iterator[str]:
    """Which filters not to believe, and which to doubt; each is named once, at its gravest."""
    if all(verdict.grade == BELIEVE for each in said.values() for verdict in _all(each)):
        yield "Every picture can be believed."
    for grade, begin in ((DISBELIEVE, "Do not believe"), (DOUBT, "Doubt")):
        named = []
        for unit in sorted(said):
            verdicts = _all(said[unit])
            gravest = [each for each in verdicts if each.grade == grade]
            if not gravest or max(map(_gravity, verdicts)) > GRADES.index(grade):
                continue
            share = f", in {len(gravest)} of {len(verdicts)} pictures" if len(gravest) < len(verdicts) else ""
            reasons = [[reason for reason in each.reasons if reason.grade == grade] for each in gravest]
            figures = {"; ".join(each.figure or each.words for each in reason) for reason in reasons}
            words = dict.fromkeys(each.words for reason in reasons for each in reason)
            why = figures.pop() if len(figures) == 1 else "; ".join(words)
            named.append(f"{compared.label(unit)} ({why}{share})")
        if named:
            more = f" and {len(named) - NAMED} more, in the table of trust" if len(named) > NAMED else ""
            yield f"{begin}: {', '.join(named[:NAMED])}{more}."


def _beside(compared: Comparison, jobs: Sequence[ComparedJob]) -> str:
    """What the pictures were compared with."""
    counts = sorted(
        {int(job.result.figures[trust.COUNT]) for job in jobs if trust.COUNT in job.result.figures}
    )
    observers = sorted({job.result.tags[trust.OBSERVER] for job in jobs if trust.OBSERVER in job.result.tags})
    told = f"Beside {' or '.join(map(str, counts or [0]))} photographs"
    told += f"; {FEW_PHOTOGRAPHS}." if min(counts, default=0) < FEW else "."
    if observers:
        told += f" The machine that looked at the pictures: {', '.join(observers)}."
    if len(jobs) < len(compared.jobs):
        told += f" {len(compared.jobs) - len(jobs)} of {len(compared.jobs)} jobs ran without trust=true."
    return told
