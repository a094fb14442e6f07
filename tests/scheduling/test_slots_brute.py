"""Twenty thousand sequences of what happens to a provider's days, held against the simplest model: the same starts and answers."""

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Struct, convert

from plixa.scheduling.domain.rules import Rule
from plixa.scheduling.domain.slots import HARD, TAKEN, Asked, ClosedDay, Offer, Provider, Taken, Timetable, timetable
from plixa.scheduling.domain.spans import Span, full
from tests.scheduling.brute import Brute

DAYS = [
    ("America/Sao_Paulo", date(2026, 6, 10)),
    ("America/New_York", date(2026, 3, 8)),
    ("America/New_York", date(2026, 11, 1)),
    ("America/Havana", date(2026, 11, 1)),
    ("America/Santiago", date(2026, 9, 6)),
    ("Australia/Lord_Howe", date(2026, 10, 4)),
    ("Australia/Lord_Howe", date(2026, 4, 5)),
    ("Asia/Kathmandu", date(2028, 2, 29)),
]
HAPPENING = [*TAKEN, "resource", "cancel", "book", "book", "force", "later"]
"""An ordinary day, those on which clocks are set, and one that comes every four years."""


class World(Struct):
    """A provider's days, as both know them."""

    offer: Offer
    provider: Provider
    closed: list[ClosedDay]
    at: date
    tick: int
    capacity: int
    now: int
    taken: list[tuple[str, int, int]]
    """By what, from when, until when."""

    @property
    def asked(self) -> Asked:
        since, until = (datetime.combine(self.at + timedelta(days=days), time(), ZoneInfo(self.provider.zone)) for days in (0, 1))
        return Asked(int(since.timestamp()), int(until.timestamp()), self.now)

    def spans(self, cause: str) -> list[Span]:
        return [(begin, end) for by, begin, end in self.taken if by == cause]

    def timetable(self) -> Timetable:
        external, appointment, hold = (self.spans(cause) for cause in TAKEN[:3])
        taken = Taken(external, appointment, hold, {"chair": full(self.spans("resource"), self.capacity)})
        return timetable(self.offer, self.provider, self.closed, taken, self.asked)

    def brute(self) -> Brute:
        return Brute(self.offer, self.provider, self.closed, range(self.asked.since - 129_600, self.asked.since + 129_600, self.tick))

    def busy(self) -> dict[str, set[int]]:
        """Tick by tick; of the resource those at which there is no unit left."""
        ticks = {cause: [tick for begin, end in self.spans(cause) for tick in range(begin, end, self.tick)] for cause in TAKEN}
        ticks["resource"] = [tick for tick in set(ticks["resource"]) if ticks["resource"].count(tick) >= self.capacity]
        return {cause: set(found) for cause, found in ticks.items()}


def wall(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


class Dice:
    """What chance decides; one draw of bytes, since of so many examples with forty choices each most time would go into drawing."""

    def __init__(self, thrown: bytes, unit: int) -> None:
        self.thrown, self.unit = iter(thrown), unit

    def roll(self, sides: int) -> int:
        return (next(self.thrown) << 8 | next(self.thrown)) % sides

    def minutes(self, most: int) -> int:
        return self.roll(most // self.unit + 1) * self.unit

    def rule(self, at: date) -> Rule:
        start, end = sorted((self.minutes(1440 - self.unit), self.minutes(1440)))
        near, kind = at + timedelta(days=self.roll(3) - 1), "blocked" if self.roll(3) == 0 else "open"
        whose = {"date": near} if self.roll(2) else {"weekday": near.isoweekday() % 7}
        return convert({"kind": kind, "start_time": wall(start), "end_time": wall(max(end, start + self.unit))} | whose, Rule)

    def offer(self) -> Offer:
        return Offer(
            duration=self.unit + self.minutes(4 * self.unit),
            buffer_before=self.minutes(4 * self.unit),
            buffer_after=self.minutes(4 * self.unit),
            interval=self.minutes(4 * self.unit) or None,
            min_notice=self.minutes(4 * self.unit),
            max_advance_days=1 + self.roll(3),
        )

    def world(self) -> World:
        zone, at = DAYS[self.roll(len(DAYS))]
        every_day = [Rule("open", "00:00", "24:00", weekday=day) for day in range(7)] if self.roll(2) else []
        rules = every_day + [self.rule(at) for _ in range(1 + self.roll(3))]
        closed = [
            ClosedDay(at + timedelta(days=self.roll(3) - 1), "manual" if self.roll(2) else "holiday") for _ in range(self.roll(4) // 3)
        ]
        world = World(self.offer(), Provider(1, "Ana", zone, rules), closed, at, self.unit * 60, 1 + self.roll(3), 0, [])
        world.now = world.asked.since + self.minutes(3600) * 60 - 172_800
        return world

    def steps(self) -> list[tuple[str, int, int]]:
        """What happens: time is taken, given back, asked for, or passes."""
        return [
            (HAPPENING[self.roll(len(HAPPENING))], self.minutes(1920) - 240, self.unit + self.minutes(120)) for _ in range(self.roll(6))
        ]


def happen(world: World, step: tuple[str, int, int]) -> None:
    """One step of a sequence; what is booked is accepted or refused by both alike."""
    what, place, length = step
    begin = world.asked.since + place * 60
    if what in TAKEN:
        world.taken.append((what, begin, begin + length * 60))
    elif what == "cancel" and world.taken:
        del world.taken[place % len(world.taken)]
    elif what == "later":
        world.now += length * 60
    elif what in ("book", "force") and world.asked.since <= begin < world.asked.until:
        accept(world, begin, what == "force")


def accept(world: World, start: int, force: bool) -> None:
    """A booking is accepted where it is offered; a forced one where nothing stands against it that nobody may pass over."""
    said, brute, busy = world.timetable().objections(start), world.brute(), world.busy()
    causes = brute.causes(start, busy, world.now)
    assert said == (causes or ([] if start in brute.slots(busy, world.now) else ["grid"]))
    if not said or (force and not HARD.intersection(said)):
        begin, end = start - world.offer.lead, start + world.offer.length
        world.taken += [("appointment", begin, end), ("resource", begin, end)]


def compare(world: World) -> None:
    """The same starts, and of every other one that the hours allow the same one reason."""
    table, brute, busy, asked = world.timetable(), world.brute(), world.busy(), world.asked
    offered = [start for start in sorted(brute.slots(busy, world.now)) if asked.since <= start < asked.until]
    assert table.starts(asked.since, asked.until) == offered
    assert not any(table.objections(start) for start in offered[:2])
    expected = {
        start: (brute.causes(start, busy, world.now) or ["grid"])[0]
        for start in brute.grid(brute.open, {})
        if asked.since <= start < asked.until and start not in offered and "outside" not in brute.causes(start, busy, world.now)
    }
    assert {one.start: one.cause for one in table.explain(asked.since, asked.until)} == expected


@pytest.mark.slow
@pytest.mark.parametrize(("unit", "examples"), [(30, 9_000), (15, 10_000), (5, 1_000)])
def test_every_sequence_ends_with_the_slots_of_the_simplest_model(unit: int, examples: int) -> None:
    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.binary(min_size=96, max_size=96))
    def held(thrown: bytes) -> None:
        dice = Dice(thrown, unit)
        world = dice.world()
        for step in dice.steps():
            happen(world, step)
        compare(world)

    held()
