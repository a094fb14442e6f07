"""Spans of time, in seconds since 1970, without their end. Lists of them are in order, and none touches another."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence

Span = tuple[int, int]


def merged(spans: Iterable[Span]) -> list[Span]:
    """Any spans in order, those that overlap or touch made one."""
    joined: list[Span] = []
    last = None
    for span in sorted(spans):
        start, end = span
        if start >= end:
            continue
        if last is None or start > last:
            joined.append(span)
            last = end
        elif end > last:
            joined[-1] = joined[-1][0], end
            last = end
    return joined


def without(spans: Sequence[Span], removed: Sequence[Span], least: int = 1) -> list[Span]:
    """What is left of spans, where it is at least so many seconds."""
    left: list[Span] = []
    for start, end in spans:
        begin = start
        for since, until in removed[max(0, bisect_left(removed, (begin,)) - 1) : bisect_left(removed, (end,))]:
            if since - begin >= least:
                left.append((begin, since))
            begin = max(begin, until)
        if end - begin >= least:
            left.append((begin, end))
    return left


def meets(spans: Sequence[Span], begin: int, end: int) -> bool:
    """Does any of them overlap this one?"""
    place = bisect_left(spans, (end,)) - 1
    return place >= 0 and spans[place][1] > begin


def covers(spans: Sequence[Span], begin: int, end: int) -> bool:
    """Does one of them hold all of this one?"""
    place = bisect_left(spans, (begin + 1,)) - 1
    return place >= 0 and spans[place][1] >= end


def full(taken: Iterable[Span], capacity: int) -> list[Span]:
    """When so many of any spans run at once that there is no room for another."""
    changes = sorted(change for begin, end in taken if begin < end for change in ((begin, 1), (end, -1)))
    spans, count, since = [], 0, 0
    for at, change in changes:
        count += change
        if change > 0 and count == capacity:
            since = at
        elif change < 0 and count == capacity - 1:
            spans.append((since, at))
    return merged(spans)
