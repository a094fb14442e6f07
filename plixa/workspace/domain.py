"""Working hours of a week, in the workspace's own zone, and the time that counts by them."""

from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from typing import Annotated, Final
from zoneinfo import ZoneInfo

from msgspec import Meta, Struct

from plixa.kernel.clock import first_instant, last_instant

TIME: Final = r"^([01]\d|2[0-3]):[0-5]\d$"
CLOSING: Final = r"^(([01]\d|2[0-3]):[0-5]\d|24:00)$"
ALL_DAY: Final = {"23:59", "24:00"}
"""A day that closes then is open until its end."""
AHEAD: Final = 8
"""Days in which hours that open at all open once."""
FARTHEST: Final = 1_000
"""Days within which a clock that is paused while it is closed must have run out; it never does after that."""
LOOK_BACK: Final = 400
"""Days within which it must have been open for anybody to know when it closed."""

Span = tuple[datetime, datetime]
"""From the first instant until, and without, the second."""


class Day(Struct, frozen=True):
    """One weekday, 0 is Sunday; open from ``open`` until ``close``, both wall time."""

    weekday: Annotated[int, Meta(ge=0, le=6)]
    open: Annotated[str, Meta(pattern=TIME)]
    close: Annotated[str, Meta(pattern=CLOSING)]
    enabled: bool


class Hours(Struct, frozen=True):
    """A week as it was set, and since when it holds; on the dates in ``closed`` it does not open."""

    since: datetime
    timezone: str
    enabled: bool
    message: str | None
    hours: list[Day]
    pause_sla: bool
    closed: frozenset[date] = frozenset()

    @property
    def pauses(self) -> bool:
        """Do clocks stand still while it is closed? That needs both switches."""
        return self.enabled and self.pause_sla


def faults(hours: list[Day]) -> dict[str, list[str]]:
    """What is wrong with a week, as field → messages: every weekday once, and none that closes before it opens."""
    found: dict[str, list[str]] = {}
    if sorted(day.weekday for day in hours) != list(range(7)):
        found["hours"] = ["Give every weekday once, from 0 (Sunday) to 6."]
    for index, day in enumerate(hours):
        if day.open >= day.close:
            found[f"hours.{index}.close"] = ["Must be later than it opens."]
    return found


def span(day: Day, at: date, zone: str) -> tuple[datetime, datetime]:
    """From when until when it is open on a date, half-open, as instants."""
    opening = first_instant(datetime.combine(at, time.fromisoformat(day.open)), zone)
    if day.close in ALL_DAY:
        return opening, first_instant(datetime.combine(at + timedelta(days=1), time()), zone)
    return opening, last_instant(datetime.combine(at, time.fromisoformat(day.close)), zone)


def spans(week: Hours, now: datetime) -> Iterator[Span]:
    """The open spans around ``now``, from yesterday's on, those that touch made one."""
    yield from open_spans(week, local_date(now, week.timezone) - timedelta(days=1), AHEAD + 1)


def open_spans(week: Hours, first: date, days: int) -> Iterator[Span]:
    """The open spans of so many days, those that touch made one."""
    pending: Span | None = None
    for day, at in open_days(week, first, days):
        opening, closing = span(day, at, week.timezone)
        if pending is not None and opening <= pending[1]:
            pending = (pending[0], max(pending[1], closing))
            continue
        if pending is not None:
            yield pending
        pending = (opening, closing)
    if pending is not None:
        yield pending


def open_days(week: Hours, first: date, days: int) -> Iterator[tuple[Day, date]]:
    """The dates on which it opens, and from when until when."""
    opening = {day.weekday: day for day in week.hours if day.enabled}
    for at in (first + timedelta(days=offset) for offset in range(days if opening else 0)):
        day = opening.get(at.isoweekday() % 7)
        if day is not None and at not in week.closed:
            yield day, at


def local_date(now: datetime, zone: str) -> date:
    """The day it is in a zone."""
    return now.astimezone(ZoneInfo(zone)).date()


def state_at(week: Hours, now: datetime) -> tuple[bool, datetime | None]:
    """Is it open, and when does that change? None where it never closes within a week, or never opens in years."""
    for opening, closing in spans(week, now):
        if now < opening:
            return False, opening
        if now < closing:
            return True, closing if closing - now < timedelta(days=AHEAD - 1) else None
    later = open_spans(week, local_date(now, week.timezone) + timedelta(days=AHEAD), FARTHEST)
    return False, next((opening for opening, _ in later), None)


def closed_since(week: Hours, now: datetime) -> datetime | None:
    """When it last closed, of a week that is closed now; None where that was more than a year ago, or never."""
    today = local_date(now, week.timezone)
    for first in (today - timedelta(days=back) for back in range(AHEAD, LOOK_BACK, AHEAD)):
        before = [closing for _, closing in open_spans(week, first, AHEAD + 1) if closing <= now]
        if before:
            return max(before)
    return None


def was_open(begin: datetime, end: datetime, weeks: Sequence[Hours]) -> bool:
    """Was it open at any time between two instants? ``weeks``: each version that was in force then, oldest first."""
    ends = [*(week.since for week in weeks[1:]), end]
    for week, until in zip(weeks, ends, strict=True):
        since = max(begin, week.since)
        first = local_date(since, week.timezone) - timedelta(days=1)
        days = (local_date(until, week.timezone) - first).days + 1
        if any(opening < until and closing > since for opening, closing in open_spans(week, first, days)):
            return True
    return False


def due_after(start: datetime, seconds: int, weeks: Sequence[Hours]) -> datetime | None:
    """When so many seconds that count have passed since ``start``; None where that never happens. ``weeks``: each version, oldest first."""
    left = timedelta(seconds=seconds)
    for begin, end in counted(start, weeks):
        if left <= end - begin:
            return begin + left
        left -= end - begin
    return None


def counted(start: datetime, weeks: Sequence[Hours]) -> Iterator[Span]:
    """The spans in which clocks run: always, or while a week pauses them only when it is open, each by its own zone."""
    ends = [week.since for week in weeks] + [start + timedelta(days=FARTHEST)]
    if start < ends[0]:
        yield start, ends[0]
    for week, end in zip(weeks, ends[1:], strict=True):
        begin = max(start, week.since)
        if begin < end:
            yield from running(week, begin, end)


def running(week: Hours, begin: datetime, end: datetime) -> Iterator[Span]:
    """The spans in which clocks run while one version of the week holds."""
    if not week.pauses:
        yield begin, end
        return
    for opening, closing in open_spans(week, local_date(begin, week.timezone) - timedelta(days=1), FARTHEST):
        if opening >= end:
            return
        if closing > begin:
            yield max(opening, begin), min(closing, end)
