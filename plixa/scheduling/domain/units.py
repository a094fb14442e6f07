"""Which unit of a resource a booking takes: no unit is taken twice at once, and no booking is refused while fewer than all are in use."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from heapq import heappop, heappush
from operator import attrgetter

from msgspec import Struct
from msgspec.structs import replace


class Use(Struct, frozen=True):
    """A unit that ``holder`` has from ``start`` until ``end``; units count from 1."""

    holder: int
    start: datetime
    end: datetime
    expires_at: datetime | None = None
    unit: int = 0


def placed(uses: Iterable[Use], fresh: Use, capacity: int) -> list[Use]:
    """``fresh`` with a unit, and those others that have to move to another one for it.

    There is a unit within the capacity whenever fewer are in use at every instant; where all are, the unit is one too many.
    """
    known = list(uses)
    taken = {use.unit for use in known if use.start < fresh.end and fresh.start < use.end}
    unit = next(unit for unit in range(1, len(taken) + 2) if unit not in taken)
    if unit <= capacity:
        return [replace(fresh, unit=unit)]
    return [use for use in arranged(linked([*known, fresh], fresh)) if use not in known]


def arranged(uses: Iterable[Use]) -> Iterator[Use]:
    """Uses, given by their start, with as few units as are ever taken at once: each finds the least that is free."""
    busy: list[tuple[datetime, int]] = []
    free: list[int] = []
    for use in uses:
        while busy and busy[0][0] <= use.start:
            heappush(free, heappop(busy)[1])
        unit = heappop(free) if free else len(busy) + 1
        heappush(busy, (use.end, unit))
        yield replace(use, unit=unit)


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
