"""When a service can be booked with a provider, and what stands against any other time; pure. Instants are whole seconds since 1970."""

import datetime as dt
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Final, Literal
from zoneinfo import ZoneInfo

from msgspec import Struct, field

from plixa.kernel.clock import first_instant
from plixa.scheduling.domain.rules import Rule, day, hours
from plixa.scheduling.domain.spans import Span, covers, meets, merged, without

Cause = Literal[
    "closure", "holiday", "blocked", "outside", "past", "notice", "horizon", "external", "appointment", "hold", "resource", "grid"
]
"""What stands against a start, in this order: a closed day, a holiday, a blocked rule, no open one; it is past, too soon, too far off; the
provider's own calendar, another appointment, a hold, a resource that is full; or, alone, that it is off the grid."""
SHUT: Final[tuple[Cause, ...]] = ("closure", "holiday", "blocked")
TAKEN: Final[tuple[Cause, ...]] = ("external", "appointment", "hold", "resource")
HARD: Final = frozenset(TAKEN)
"""What nobody may pass over."""
STEPS: Final = (60, 30, 20, 15, 10, 5, 1)
NEARBY: Final = dt.timedelta(days=7)
AROUND: Final = dt.timedelta(days=2)
"""How far around what is asked for hours bear on the grid: it begins with a window, and a window at the latest with the day before."""


class Offer(Struct, frozen=True):
    """How a service is booked: minutes, and at the latest so many days before."""

    duration: int
    buffer_before: int = 0
    buffer_after: int = 0
    interval: int | None = None
    min_notice: int = 0
    max_advance_days: int = 90

    @property
    def length(self) -> int:
        """Seconds from its start that must be open, and free."""
        return (self.duration + self.buffer_after) * 60

    @property
    def lead(self) -> int:
        """Seconds before its start that must be free, open or not."""
        return self.buffer_before * 60

    @property
    def step(self) -> int:
        """Seconds from one start to the next."""
        return (self.interval or self.duration) * 60

    @property
    def round(self) -> int:
        """Seconds, by local clocks, on whose multiples a grid begins."""
        return round_of(self.interval or self.duration)


@lru_cache
def round_of(step: int) -> int:
    """Seconds on whose multiples a grid of so many minutes begins."""
    return next(minutes for minutes in STEPS if step % minutes == 0) * 60


class Provider(Struct, frozen=True):
    """Whose time it is, and by which clocks."""

    id: int
    name: str
    zone: str
    rules: list[Rule]


class ClosedDay(Struct, frozen=True):
    """A date on which nobody works."""

    date: dt.date
    source: str
    reason: str | None = None

    @property
    def cause(self) -> Cause:
        """What it is called where it stands against a start."""
        return "holiday" if self.source == "holiday" else "closure"


class Taken(Struct, frozen=True):
    """A provider's time that is taken, by what takes it, and when each resource is full."""

    external: Sequence[Span] = ()
    appointment: Sequence[Span] = ()
    hold: Sequence[Span] = ()
    resources: Mapping[str, Sequence[Span]] = field(default_factory=dict)


class Asked(Struct, frozen=True):
    """Starts from ``since`` until, and without, ``until``, asked for at ``now``."""

    since: int
    until: int
    now: int

    def days(self, offer: Offer, zone: str) -> tuple[dt.date, int]:
        """The first date, and how many, whose hours bear on them."""
        first, last = local_date(self.since, zone) - AROUND, local_date(self.until + offer.length, zone) + AROUND
        return first, (last - first).days + 1


class Windows(Struct, frozen=True):
    """Time to be booked. A grid begins where a window does, and anew with every day that is open as a whole."""

    spans: list[Span]
    midnights: list[int]


class Opening(Struct, frozen=True):
    """Of so many days, were nothing taken: a provider's hours, what shuts them, by cause, and what is left to be booked."""

    open: Windows
    shut: dict[Cause, list[Span]]
    left: Windows


class Obstacle(Struct, frozen=True):
    """Why a start that could be is not offered; ``detail`` names the holiday, or the resource."""

    start: int
    cause: Cause
    detail: str | None = None


class Timetable(Struct, frozen=True):
    """All that decides on starts with one provider, computed once for a time asked for."""

    offer: Offer
    zone: str
    now: int
    horizon: int
    open: Windows
    free: Windows
    against: dict[Cause, list[Span]]
    details: list[tuple[Cause, Sequence[Span], str]]

    def starts(self, since: int, until: int) -> list[int]:
        """Every start that is offered."""
        earliest = self.now + self.offer.min_notice * 60
        return self.grid(self.free, max(since, earliest), min(until, self.horizon))

    def objections(self, start: int) -> list[Cause]:
        """All that stands against a start, the weightiest first; nothing where it is offered."""
        return list(self.causes(start)) or ([] if self.starts(start, start + 1) else ["grid"])

    def explain(self, since: int, until: int) -> Iterator[Obstacle]:
        """Every start that the provider's hours alone would allow and that is not offered, with the one thing that removed it."""
        offered = set(self.starts(since, until))
        for start in self.grid(self.open, since, until):
            if start not in offered:
                cause: Cause = next(self.causes(start), "grid")
                yield Obstacle(start, cause, self.detail(cause, start))

    def causes(self, start: int) -> Iterator[Cause]:
        """What stands against a start beside the grid."""
        end = start + self.offer.length
        yield from (cause for cause in SHUT if meets(self.against[cause], start, end))
        if not covers(self.open.spans, start, end):
            yield "outside"
        if start < self.now + self.offer.min_notice * 60:
            yield "past" if start < self.now else "notice"
        if start >= self.horizon:
            yield "horizon"
        yield from (cause for cause in TAKEN if meets(self.against[cause], start - self.offer.lead, end))

    def detail(self, cause: Cause, start: int) -> str | None:
        """Which of several of its kind it is."""
        begin, end = start - (self.offer.lead if cause in HARD else 0), start + self.offer.length
        return next((detail for known, spans, detail in self.details if known == cause and meets(spans, begin, end)), None)

    def grid(self, windows: Windows, since: int, until: int) -> list[int]:
        """The starts in windows by elapsed steps, each with room until its window ends."""
        found: list[int] = []
        step, length, unit = self.offer.step, self.offer.length, self.offer.round
        spans, midnights = windows.spans, windows.midnights
        for begin, end in spans[max(0, bisect_right(spans, (since,)) - 1) : bisect_left(spans, (until,))]:
            latest = min(until, end - length + 1)
            anew = midnights[bisect_right(midnights, begin) : bisect_left(midnights, end)]
            for beginning, limit in pairwise((begin, *anew, end)):
                first = rounded(beginning, self.zone, unit)
                if first < since:
                    first += -((first - since) // step) * step
                found += range(first, min(limit, latest), step)
        return found


def timetable(offer: Offer, provider: Provider, closed: Sequence[ClosedDay], taken: Taken, asked: Asked) -> Timetable:
    """What decides on starts with a provider in the time asked for."""
    zone, lead = provider.zone, offer.lead
    first, days = asked.days(offer, zone)
    last = first + dt.timedelta(days=days)
    near = tuple(one for one in closed if first <= one.date < last)
    opened = opening(tuple(provider.rules), zone, near, first, days)
    against: dict[Cause, list[Span]] = {
        **opened.shut,
        "external": merged(taken.external),
        "appointment": merged(taken.appointment),
        "hold": merged(taken.hold),
        "resource": merged(span for spans in taken.resources.values() for span in spans),
    }
    busy, *others = [spans for cause in TAKEN if (spans := against[cause])] or [[]]
    if lead or others:
        busy = merged((begin, end + lead) for spans in (busy, *others) for begin, end in spans)
    return Timetable(
        offer=offer,
        zone=zone,
        now=asked.now,
        horizon=horizon(asked.now, zone, offer.max_advance_days),
        open=opened.open,
        free=Windows(without(opened.left.spans, busy, offer.length), opened.left.midnights),
        against=against,
        details=[
            *((one.cause, [day(zone, one.date)], one.reason) for one in near if one.reason),
            *(("resource", spans, name) for name, spans in taken.resources.items()),
        ],
    )


@lru_cache(maxsize=1024)
def opening(rules: tuple[Rule, ...], zone: str, closed: tuple[ClosedDay, ...], first: dt.date, days: int) -> Opening:
    """What a provider's rules and the days on which nobody works leave open of so many days."""
    spans, blocked = hours(rules, zone, first, days)
    shut: dict[Cause, list[Span]] = {
        "closure": merged(day(zone, one.date) for one in closed if one.cause == "closure"),
        "holiday": merged(day(zone, one.date) for one in closed if one.cause == "holiday"),
        "blocked": blocked,
    }
    left = without(spans, merged(span for cause in SHUT for span in shut[cause]))
    windows, bare = (Windows(these, whole_days(these, zone, first, days)) for these in (spans, left))
    return Opening(windows, shut, bare)


def whole_days(spans: Sequence[Span], zone: str, first: dt.date, days: int) -> list[int]:
    """Where those of so many days begin that lie in spans from beginning to end."""
    each = (day(zone, first + dt.timedelta(days=number)) for number in range(days))
    return [begin for begin, end in each if begin < end and covers(spans, begin, end)]


@lru_cache(maxsize=1024)
def horizon(now: int, zone: str, days: int) -> int:
    """The second from which on it is too early to book: the same wall time so many days later."""
    wall = dt.datetime.fromtimestamp(now, ZoneInfo(zone)).replace(tzinfo=None)
    return int(first_instant(wall + dt.timedelta(days=days), zone).timestamp())


def rounded(instant: int, zone: str, unit: int) -> int:
    """The next instant, or this one, that local clocks show as a multiple of so many seconds."""
    while over := (instant + offset(zone, instant)) % unit:
        instant += unit - over
    return instant


@lru_cache(maxsize=8192)
def offset(zone: str, instant: int) -> int:
    """Seconds by which a zone's clocks are ahead of UTC."""
    ahead = dt.datetime.fromtimestamp(instant, ZoneInfo(zone)).utcoffset()
    return int(ahead.total_seconds()) if ahead is not None else 0


def local_date(instant: int, zone: str) -> dt.date:
    """The day it is in a zone."""
    return dt.datetime.fromtimestamp(instant, ZoneInfo(zone)).date()


def fairest(counts: Mapping[int, Mapping[dt.date, int]], days: Mapping[int, dt.date]) -> tuple[int, str]:
    """Of providers by id, each with their local day and their appointments by day, whose turn it is, and why.

    Whoever has least to do that day, then in the week before and after, then the one who is there longest.
    """

    def that_day(provider: int) -> int:
        return counts.get(provider, {}).get(days[provider], 0)

    def around(provider: int) -> int:
        return sum(count for at, count in counts.get(provider, {}).items() if abs(at - days[provider]) <= NEARBY)

    least = min(map(that_day, days))
    chosen = [provider for provider in days if that_day(provider) == least]
    if len(chosen) == 1:
        return chosen[0], "only" if len(days) == 1 else "fewest_that_day"
    least = min(map(around, chosen))
    chosen = [provider for provider in chosen if around(provider) == least]
    return min(chosen), "fewest_around" if len(chosen) == 1 else "first"
