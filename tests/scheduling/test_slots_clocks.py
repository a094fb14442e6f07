"""Slots where the clocks are set: the table of the specification, and every zone of the world across every change until 2032."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest

from plixa.scheduling.domain.rules import Rule, hours
from plixa.scheduling.domain.slots import Asked, Offer, Provider, Taken, timetable

FIRST, LAST = datetime(2024, 1, 1, tzinfo=UTC), datetime(2033, 1, 1, tzinfo=UTC)
ZONES = sorted(available_timezones() - {"localtime"})
CHUNKS = 4


def starts(zone: str, rules: list[Rule], offer: Offer, first: date, days: int) -> list[datetime]:
    """What is offered on so many local days, two days before."""
    since, until = (int(datetime.combine(first + timedelta(days=more), time(), ZoneInfo(zone)).timestamp()) for more in (0, days))
    table = timetable(offer, Provider(1, "Ana", zone, rules), [], Taken(), Asked(since, until, since - 172_800))
    return [datetime.fromtimestamp(start, UTC) for start in table.starts(since, until)]


@pytest.mark.parametrize(
    ("zone", "at", "window", "begins", "ends"),
    [
        ("America/New_York", "2026-03-08", ("13:00", "18:00"), "2026-03-08T17:00Z", "2026-03-08T22:00Z"),
        ("America/New_York", "2026-03-08", ("00:00", "06:00"), "2026-03-08T05:00Z", "2026-03-08T10:00Z"),
        ("America/New_York", "2026-11-01", ("00:00", "04:00"), "2026-11-01T04:00Z", "2026-11-01T09:00Z"),
        ("America/New_York", "2026-11-01", ("00:00", "01:30"), "2026-11-01T04:00Z", "2026-11-01T06:30Z"),
        ("America/Santiago", "2026-09-06", ("00:00", "09:00"), "2026-09-06T04:00Z", "2026-09-06T12:00Z"),
        ("America/Sao_Paulo", "2018-11-04", ("09:00", "10:00"), "2018-11-04T11:00Z", "2018-11-04T12:00Z"),
        ("America/Sao_Paulo", "2026-11-04", ("09:00", "10:00"), "2026-11-04T12:00Z", "2026-11-04T13:00Z"),
        ("Asia/Kolkata", "2026-06-10", ("09:00", "11:00"), "2026-06-10T03:30Z", "2026-06-10T05:30Z"),
        ("Europe/Lisbon", "2026-03-28", ("09:00", "10:00"), "2026-03-28T09:00Z", "2026-03-28T10:00Z"),
        ("Europe/Lisbon", "2026-03-29", ("09:00", "10:00"), "2026-03-29T08:00Z", "2026-03-29T09:00Z"),
        ("Pacific/Apia", "2011-12-30", ("09:00", "17:00"), "", ""),
    ],
)
def test_a_window_begins_and_ends_at_the_instants_of_the_table(zone: str, at: str, window: tuple[str, str], begins: str, ends: str) -> None:
    day = date.fromisoformat(at)
    rules = [Rule("open", *window, date=day)]
    spans = [tuple(datetime.fromtimestamp(edge, UTC) for edge in span) for span in hours(rules, zone, day, 1)[0]]
    assert spans == ([(datetime.fromisoformat(begins), datetime.fromisoformat(ends))] if begins else [])
    offered = starts(zone, rules, Offer(60), day, 1)
    assert offered == [begin + timedelta(hours=hour) for begin, end in spans for hour in range((end - begin) // timedelta(hours=1))]


def test_what_comes_twice_is_offered_twice_and_what_is_skipped_never() -> None:
    night = [Rule("open", "00:00", "04:00", weekday=0)]
    walls = {
        day: [
            start.astimezone(ZoneInfo("America/New_York")).isoformat()[11:]
            for start in starts("America/New_York", night, Offer(30), day, 1)
        ]
        for day in (date(2026, 3, 8), date(2026, 11, 1))
    }
    assert [wall for wall in walls[date(2026, 11, 1)] if wall.startswith("01:30")] == ["01:30:00-04:00", "01:30:00-05:00"]
    assert [wall[:5] for wall in walls[date(2026, 3, 8)]] == ["00:00", "00:30", "01:00", "01:30", "03:00", "03:30"]


@pytest.mark.parametrize("zone", ["Africa/Cairo", "Asia/Kathmandu"])
def test_windows_that_meet_at_midnight_are_one(zone: str) -> None:
    rules = [Rule("open", "22:00", "24:00", weekday=5), Rule("open", "00:00", "02:00", weekday=6)]
    walls = [start.astimezone(ZoneInfo(zone)).isoformat()[5:16] for start in starts(zone, rules, Offer(90), date(2026, 6, 12), 2)]
    assert walls == ["06-12T22:00", "06-12T23:30"]
    whole = [Rule("open", "00:00", "23:59", weekday=day) for day in range(7)]
    leap = [start.astimezone(ZoneInfo(zone)).isoformat()[5:16] for start in starts(zone, whole, Offer(50), date(2028, 2, 28), 3)]
    assert [wall for wall in leap if wall >= "02-28T23" and wall < "02-29T01"] == ["02-28T23:20", "02-29T00:00", "02-29T00:50"]
    assert [wall[6:] for wall in leap if wall < "02-29"] == [wall[6:] for wall in leap if wall > "03"]


def changes(zone: str) -> Iterator[datetime]:
    """The instants at which its clocks are set."""
    info, at = ZoneInfo(zone), FIRST
    while at < LAST:
        ahead = at + timedelta(days=5)
        if at.astimezone(info).utcoffset() != ahead.astimezone(info).utcoffset():
            early, late = at, ahead
            while late - early > timedelta(minutes=1):
                middle = early + (late - early) / 2
                early, late = (middle, late) if middle.astimezone(info).utcoffset() == at.astimezone(info).utcoffset() else (early, middle)
            yield late
        at = ahead


def expected(zone: str, window: tuple[str, str], first: date, days: int) -> list[datetime]:
    """Every half hour that its clocks show within the window, however often: found by looking at them every quarter of an hour."""
    info, found = ZoneInfo(zone), []
    at = datetime(first.year, first.month, first.day, tzinfo=UTC) - timedelta(days=1)
    for quarter in range((days + 2) * 96):
        instant = at + timedelta(minutes=15 * quarter)
        wall = instant.astimezone(info)
        if (
            first <= wall.date() < first + timedelta(days=days)
            and wall.minute % 30 == 0
            and window[0] <= wall.isoformat()[11:16] < window[1]
        ):
            found.append(instant)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_in_every_zone_the_same_hours_are_offered_across_every_change_of_its_clocks(chunk: int) -> None:
    seen = 0
    for zone in ZONES[chunk::CHUNKS]:
        for change in [FIRST + timedelta(days=160), *changes(zone)]:
            first = change.astimezone(ZoneInfo(zone)).date() - timedelta(days=1)
            for window in (("00:00", "24:00"), ("01:00", "04:00"), ("22:30", "24:00")):
                rules = [Rule("open", *window, weekday=day) for day in range(7)]
                assert starts(zone, rules, Offer(30), first, 3) == expected(zone, window, first, 3), (zone, change, window)
            seen += 1
    assert seen > len(ZONES) // CHUNKS
