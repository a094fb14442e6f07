"""Spans of time, in seconds since 1970, without their end. Lists of them are in order, and none touches another."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence

Span = tuple[int, int]


def merged(spans: Iterable[Span]) -> list[Span]:
    """Any spans in order, those that overlap or touch made one."""
    joined: list[Span] = []
    begin = end = 0
    for start, stop in sorted(spans):
        if start >= stop:
            continue
        if start > end or begin == end:
            if begin < end:
                joined.append((begin, end))
            begin, end = start, stop
        elif stop > end:
            end = stop
    if begin < end:
        joined.append((begin, end))
    return joined


def without(spans: Sequence[Span], removed: Sequence[Span]) -> list[Span]:
    """What is left of spans."""
    left: list[Span] = []
    place, count = 0, len(removed)
    for begin, end in spans:
        while place < count and removed[place][1] <= begin:
            place += 1
        start, here = begin, place
        while here < count and removed[here][0] < end:
            if removed[here][0] > start:
                left.append((start, removed[here][0]))
            start = removed[here][1]
            here += 1
        if start < end:
            left.append((start, end))
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
