"""Short names: names that are too long for their place -> shorter ones that can still be told apart."""

from collections.abc import Sequence


def of(names: Sequence[str], most: int) -> list[str]:
    """Names of at most so many characters, by what differs; numbers where that is longer, too.

    Equal names stay equal, different ones stay different.
    """
    if max(map(len, names), default=0) <= most:
        return list(names)
    words = [name.split() for name in names]
    if len({len(each) for each in words}) == 1:
        columns = [_without_common(column) for column in zip(*words, strict=True)]
        shorter = [" ".join(filter(None, row)) for row in zip(*columns, strict=True)]
    else:
        shorter = _without_common(names)
    if max(map(len, shorter)) <= most and len(set(shorter)) == len(set(names)):
        return shorter
    number = {name: f"#{k}" for k, name in enumerate(dict.fromkeys(names), start=1)}
    return [number[name] for name in names]


def _without_common(texts: Sequence[str]) -> list[str]:
    """Texts without what all of them begin and end with; nothing is left of texts that are all the same."""
    if len(set(texts)) == 1:
        return [""] * len(texts)
    before = _shared(texts)
    before = max(texts[0].rfind(mark, 0, before) + 1 for mark in "=/_- ")  # a word is not cut
    rest = [text[before:] for text in texts]
    after = _shared([text[::-1] for text in rest])
    after = min(after, min(map(len, rest)) - 1)
    last = rest[0][len(rest[0]) - after :]
    after = len(last) - min((last.find(mark) for mark in "=/_-. " if mark in last), default=len(last))
    return [text[: len(text) - after] for text in rest]


def _shared(texts: Sequence[str]) -> int:
    """How many letters all texts begin with."""
    for count, letters in enumerate(zip(*texts, strict=False)):
        if len(set(letters)) > 1:
            return count
    return min(map(len, texts))
