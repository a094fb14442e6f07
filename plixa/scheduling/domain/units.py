"""Which unit of a resource a booking takes: no unit is taken twice at once, and no booking is refused while fewer than all are in use."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from heapq import heappop, heappush
from itertools import count
from operator import attrgetter
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

EVER: Final = datetime.min.replace(tzinfo=UTC)


class Use(Struct, frozen=True):
    """A unit that ``holder`` has from ``start`` until ``end``; units count from 1."""

    holder: int
    start: datetime
    end: datetime
    expires_at: datetime | None = None
    unit: int = 0


def placed(uses: Iterable[Use], fresh: Use, capacity: int, since: datetime = EVER) -> list[Use]:
    """``fresh`` with a unit, and those others that have to move to another one for it; what began before ``since`` stays where it is.

    ``uses`` are all that end after ``since``. There is a unit within the capacity whenever fewer are in use at every instant; where
    all are, the unit is one too many.
    """
    known = list(uses)
    unit = least({use.unit for use in known if use.start < fresh.end and fresh.start < use.end})
    if unit <= capacity:
        return [replace(fresh, unit=unit)]
    return [use for use in arranged(linked([*known, fresh], fresh), since) if use not in known]


def arranged(uses: Iterable[Use], since: datetime) -> Iterator[Use]:
    """Uses, given by their start, with as few units as are ever taken at once: each that may move finds the least that is free."""
    busy: list[tuple[datetime, int]] = []
    for use in uses:
        while busy and busy[0][0] <= use.start:
            heappop(busy)
        unit = use.unit if use.start < since else least({unit for _, unit in busy})
        heappush(busy, (use.end, unit))
        yield replace(use, unit=unit)


def least(taken: set[int]) -> int:
    """The first unit that is not taken."""
    return next(unit for unit in count(1) if unit not in taken)


def linked(uses: Iterable[Use], fresh: Use) -> list[Use]:
    """Those that overlap with ``fresh``, with those that overlap with them, and so on, by their start."""
    group: list[Use] = []
    until = fresh.start
    for use in sorted(uses, key=attrgetter("start", "end")):
        if group and use.start >= until:
            if fresh in group:
                break
            group = []
        until = max(until, use.end) if group else use.end
        group.append(use)
    return group
