"""Clocks that stand still while it is closed: against the examples, and against counting minute by minute."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from plixa.workspace.domain import Day, Hours, closed_since, due_after

HOUR = 3600
OFFICE = [Day(day, "09:00", "17:00", 1 <= day <= 5) for day in range(7)]
NEVER = [Day(day, "09:00", "17:00", enabled=False) for day in range(7)]
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
ZONES = ["America/New_York", "America/Santiago", "America/Sao_Paulo", "Asia/Kolkata", "Europe/Lisbon"]
FRIDAY = "2026-01-09"
TIMES = st.sampled_from(["00:00", "02:30", "06:00", "09:00", "17:00", "23:00"])
CLOSINGS = st.sampled_from(["03:00", "12:00", "17:30", "23:30", "23:59", "24:00"])


def version(zone: str, week: list[Day] = OFFICE, since: datetime = LONG_AGO, *, pauses: bool = True) -> Hours:
    return Hours(since, zone, pauses, None, week, pauses)


def local(text: str, zone: str) -> datetime:
    """An instant by wall time."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(
    ("start", "seconds", "due"),
    [
        (f"{FRIDAY}T16:30", HOUR, "2026-01-12T09:30"),
        (f"{FRIDAY}T17:00", HOUR, "2026-01-12T10:00"),
        (f"{FRIDAY}T16:00", HOUR, f"{FRIDAY}T17:00"),
        (f"{FRIDAY}T03:00", HOUR, f"{FRIDAY}T10:00"),
        ("2026-01-10T12:00", HOUR, "2026-01-12T10:00"),
        (f"{FRIDAY}T13:00", 7 * 8 * HOUR, "2026-01-20T13:00"),
        (f"{FRIDAY}T09:00", 7 * 24 * HOUR, "2026-02-06T17:00"),
    ],
)
def test_only_open_seconds_count(zone: str, start: str, seconds: int, due: str) -> None:
    assert due_after(local(start, zone), seconds, [version(zone)]) == local(due, zone)


def test_the_clock_runs_through_where_nothing_pauses_it() -> None:
    start = local(f"{FRIDAY}T16:30", "America/Sao_Paulo")
    for weeks in ([], [version("America/Sao_Paulo", pauses=False)], [Hours(LONG_AGO, "UTC", False, None, OFFICE, True)]):
        assert due_after(start, HOUR, weeks) == start + timedelta(hours=1)


def test_a_week_that_never_opens_lets_no_time_pass() -> None:
    assert due_after(LONG_AGO, 1, [version("UTC", NEVER)]) is None


@pytest.mark.parametrize(
    ("zone", "start", "hours", "due"),
    [
        ("America/New_York", "2026-03-08T01:00", 4, "2026-03-08T06:00"),  # the hour from 2 to 3 is skipped
        ("America/New_York", "2026-11-01T00:30", 4, "2026-11-01T03:30"),  # the hour from 1 to 2 comes twice
        ("America/Santiago", "2026-09-05T23:00", 2, "2026-09-06T02:00"),  # midnight is skipped
        ("America/Santiago", "2026-04-04T22:30", 3, "2026-04-05T00:30"),  # the hour before midnight comes twice
    ],
)
def test_hours_that_are_skipped_or_come_twice_count_as_long_as_they_are(zone: str, start: str, hours: int, due: str) -> None:
    always = [Day(day, "00:00", "24:00", enabled=True) for day in range(7)]
    assert due_after(local(start, zone), hours * HOUR, [version(zone, always)]) == local(due, zone)


def test_hours_hold_from_when_they_were_set_in_the_zone_of_that_time() -> None:
    moved = local("2026-01-09T16:30", "America/Sao_Paulo")
    weeks = [version("America/Sao_Paulo"), version("Asia/Kolkata", since=moved)]
    start = local("2026-01-09T16:00", "America/Sao_Paulo")
    assert due_after(start, HOUR, weeks) == local("2026-01-12T09:30", "Asia/Kolkata")
    lifted = [
        version("America/Sao_Paulo"),
        version("America/Sao_Paulo", since=local("2026-01-10T12:00", "America/Sao_Paulo"), pauses=False),
    ]
    assert due_after(local("2026-01-09T16:30", "America/Sao_Paulo"), HOUR, lifted) == local("2026-01-10T12:30", "America/Sao_Paulo")


def test_it_has_been_closed_since_it_last_closed() -> None:
    zone = "America/Sao_Paulo"
    for now in ("2026-01-09T17:00", "2026-01-09T23:00", "2026-01-11T12:00", "2026-01-12T08:59"):
        assert closed_since(version(zone), local(now, zone)) == local("2026-01-09T17:00", zone)
    assert closed_since(version(zone), local("2026-01-12T17:00", zone)) == local("2026-01-12T17:00", zone)
    assert closed_since(version(zone, NEVER), local("2026-01-12T17:00", zone)) is None


@st.composite
def weeks_of(draw: st.DrawFn) -> list[Day]:
    """Any week."""
    days = []
    for weekday in range(7):
        opening, closing = draw(TIMES), draw(CLOSINGS)
        days.append(Day(weekday, opening, closing, enabled=opening < closing and draw(st.booleans())))
    return days


def is_open(week: Hours, now: datetime) -> bool:
    """Does a minute count? Read off the wall clock, as somebody at the door would."""
    there = now.astimezone(ZoneInfo(week.timezone))
    day = next(day for day in week.hours if day.weekday == there.isoweekday() % 7)
    closing = "24:00" if day.close == "23:59" else day.close
    return day.enabled and there.date() not in week.closed and day.open <= f"{there:%H:%M}" < closing


@settings(deadline=None)
@given(
    weeks_of(),
    weeks_of(),
    st.sampled_from(ZONES),
    st.sampled_from(ZONES),
    st.sampled_from([datetime(2026, 3, 6, tzinfo=UTC), datetime(2026, 9, 4, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC)]),
    st.integers(0, 3000),
    st.integers(1, 40),
    st.integers(0, 4000),
    st.sets(st.integers(-1, 22)),
)
def test_it_is_as_if_one_counted_every_minute(
    first: list[Day],
    second: list[Day],
    zone: str,
    other: str,
    base: datetime,
    start: int,
    quarters: int,
    change: int,
    closed: set[int],
) -> None:
    begin = base + timedelta(minutes=start)
    weeks = [version(zone, first), version(other, second, base + timedelta(minutes=change))]
    weeks = [replace(week, closed=frozenset(base.date() + timedelta(days=day) for day in closed)) for week in weeks]
    left, now = quarters * 15, begin
    until = begin + timedelta(days=21)
    while left and now < until:
        week = weeks[1] if now >= weeks[1].since else weeks[0]
        left -= is_open(week, now)
        now += timedelta(minutes=1)
    due = due_after(begin, quarters * 900, weeks)
    assert due == now if not left else due is None or due >= until
