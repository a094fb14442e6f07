"""What can be booked, read in two round trips: how a service is offered, and what time is taken."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from math import ceil, floor
from typing import Final, TypeVar
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct, structs

from plixa.kernel.clock import first_instant
from plixa.kernel.envelope import Page
from plixa.kernel.errors import Invalid, NotFound, StreamConflict
from plixa.kernel.uow import UnitOfWork
from plixa.scheduling.domain.slots import NEARBY, Asked, Cause, ClosedDay, Offer, Provider, Taken, Timetable, fairest, timetable
from plixa.scheduling.domain.spans import Span, full
from plixa.scheduling.queries.reminders import in_force

WIDEST: Final = timedelta(days=31)
WIDEST_EXPLAINED: Final = timedelta(days=7)
"""Of all providers at once."""
T = TypeVar("T")

DATE: Final = len("2026-06-10")
FARTHEST: Final = timedelta(days=3_660)
WIDER: Final = timedelta(days=6)
"""Days so far around may bear on a start: a service takes up to a day, and so does the buffer after it."""
REMEMBERED: Final = 10.0
"""Seconds for which it is known how a service is offered, while nothing of it is changed."""
AHEAD: Final = timedelta(days=400)
"""So far ahead closed days are remembered."""
BEFORE: Final = timedelta(days=3)
"""What is taken so long before may bear on the grid, which begins at the latest with the day before."""
SETUP: Final = """SELECT s.id, s.name, s.is_active, s.requires_approval, s.price, s.deposit_amount, s.prepayment, s.currency, s.color,
    s.duration_minutes, s.buffer_before_minutes, s.buffer_after_minutes, s.slot_interval_minutes, s.min_notice_minutes, s.max_advance_days,
    (SELECT json_agg(json_build_object('id', r.id, 'name', r.name, 'capacity', r.capacity) ORDER BY r.id)::text
        FROM service_resource l JOIN resource r ON r.tenant_id = l.tenant_id AND r.id = l.resource_id
        WHERE l.tenant_id = scope.tenant AND l.service_id = s.id AND r.is_active) AS resources,
    (SELECT json_agg(json_build_object('id', m.id, 'name', m.name, 'zone', coalesce(h.timezone, w.timezone),
            'rules', coalesce(h.rules, '[]')) ORDER BY m.id)::text
        FROM service_provider l JOIN member m ON m.tenant_id = l.tenant_id AND m.id = l.provider_id
        LEFT JOIN provider_schedule h ON h.tenant_id = l.tenant_id AND h.provider_id = l.provider_id
        WHERE l.tenant_id = scope.tenant AND l.service_id = s.id AND ($3::bigint IS NULL OR l.provider_id = $3)) AS providers,
    (SELECT json_agg(json_build_object('date', c.date, 'source', c.source, 'reason', c.reason) ORDER BY c.date)::text FROM closure c
        WHERE c.tenant_id = scope.tenant AND c.date BETWEEN $4 AND $5 AND c.source IN ('manual', 'holiday')) AS closed,
    s.reminder_offsets, (SELECT c.offsets FROM reminder_config c WHERE c.tenant_id = scope.tenant) AS shared_offsets,
    (SELECT max(value) FROM counter WHERE tenant_id = scope.tenant AND projection = 'service' AND key = 'changes') AS version
FROM service s JOIN tenant w ON w.tenant_id = s.tenant_id WHERE s.tenant_id = scope.tenant AND s.id = $2"""
TIMES: Final = """SELECT 'external' AS cause, provider_id AS id, array_agg(floor(date_part('epoch', starts_at))::bigint) AS starts,
    array_agg(ceil(date_part('epoch', ends_at))::bigint) AS ends FROM external_busy
WHERE tenant_id = scope.tenant AND provider_id = ANY($2::bigint[]) AND ends_at > $4 AND starts_at < $5 GROUP BY provider_id
UNION ALL
SELECT CASE WHEN expires_at IS NULL THEN 'appointment' ELSE 'hold' END, provider_id,
    array_agg(floor(date_part('epoch', starts_at))::bigint), array_agg(ceil(date_part('epoch', ends_at))::bigint)
FROM provider_time
WHERE tenant_id = scope.tenant AND provider_id = ANY($2::bigint[]) AND ends_at > $4 AND ends_at < $5 + interval '3 days' AND starts_at < $5
    AND (expires_at IS NULL OR expires_at > $6) AND holder <> ALL($7::bigint[])
GROUP BY provider_id, expires_at IS NULL
UNION ALL
SELECT 'resource', resource_id,
    array_agg(floor(date_part('epoch', starts_at))::bigint), array_agg(ceil(date_part('epoch', ends_at))::bigint)
FROM resource_time
WHERE tenant_id = scope.tenant AND resource_id = ANY($3::bigint[]) AND ends_at > $4 AND ends_at < $5 + interval '3 days' AND starts_at < $5
    AND (expires_at IS NULL OR expires_at > $6) AND holder <> ALL($7::bigint[])
GROUP BY resource_id
UNION ALL
SELECT 'version', value, '{}', '{}' FROM counter WHERE tenant_id = scope.tenant AND projection = 'service' AND key = 'changes'"""
RESOURCES: Final = """SELECT id, name, capacity FROM resource
WHERE tenant_id = scope.tenant AND id = ANY($2::bigint[]) ORDER BY id"""
COUNTS: Final = """SELECT key, value FROM counter
WHERE tenant_id = scope.tenant AND projection = 'appointment' AND key = ANY($2::text[])"""


class SlotView(Struct, frozen=True):
    """A time at which any of these providers is free, by the clocks of the first."""

    start: datetime
    end: datetime
    provider_ids: list[int]


class ObstacleView(Struct, frozen=True):
    """Why a provider's hours alone would allow a start that is not offered: the one rule that removed it."""

    start: datetime
    provider_id: int
    rule: Cause
    detail: str | None


class ExplainedPage(Page, frozen=True):
    """Beside the slots, what is not one."""

    explained: list[ObstacleView]


class Resource(Struct, frozen=True):
    """What every booking of the service takes a unit of."""

    id: int
    name: str
    capacity: int


class Outdated(StreamConflict):
    """How the service is offered was changed since it was read: it is forgotten, and to be read again."""


class BookedService(Struct, frozen=True):
    """The service; money in minor units."""

    id: int
    name: str
    is_active: bool
    requires_approval: bool
    price: int | None
    deposit_amount: int | None
    prepayment: bool
    currency: str
    color: str | None


class Times(Struct, frozen=True):
    """What is taken, by cause and by provider, and when resources are full, by name."""

    taken: dict[tuple[str, int], list[Span]]
    resources: dict[str, list[Span]]
    since: int
    until: int


class Setup(Struct, frozen=True):
    """How a service is offered: by whom, when, with which resources that are in use, and the days on which nobody works.

    ``reminders`` are minutes before the start. What was remembered has a ``version``, which tells whether it still holds.
    """

    service: BookedService
    offer: Offer
    providers: dict[int, Provider]
    resources: list[Resource]
    closed: list[ClosedDay]
    reminders: list[int]
    version: int | None = None

    def timetable(self, provider: int, times: Times, now: datetime) -> Timetable:
        """What decides on starts with a provider, in the time that was loaded."""
        external, appointment, hold = (times.taken.get((cause, provider), ()) for cause in ("external", "appointment", "hold"))
        taken = Taken(external, appointment, hold, times.resources)
        return timetable(self.offer, self.providers[provider], self.closed, taken, Asked(times.since, times.until, ceil(now.timestamp())))

    def each(self, times: Times, now: datetime) -> Iterator[tuple[int, Timetable]]:
        """Those of everybody, one after the other; nobody offers a service that is not active."""
        yield from ((number, self.timetable(number, times, now)) for number in (self.providers if self.service.is_active else ()))

    def timetables(self, times: Times, now: datetime) -> dict[int, Timetable]:
        """All of them at once."""
        return dict(self.each(times, now))


class Period(Struct, frozen=True):
    """From when until, and without, when; without an offset it is wall time, of each provider's own clocks."""

    since: datetime
    until: datetime

    def within(self, zone: str) -> Span:
        """From which second until, and without, which."""
        return second(self.since, zone), second(self.until, zone)

    def bounds(self, zones: Iterable[str] = ()) -> tuple[datetime, datetime]:
        """From the earliest to the latest by the clocks of these zones, or of any."""
        begins, ends = zip(*(self.within(zone) for zone in zones or ("Pacific/Kiritimati", "Etc/GMT+12")), strict=True)
        return datetime.fromtimestamp(min(begins), UTC), datetime.fromtimestamp(max(ends), UTC)


def second(given: datetime, zone: str) -> int:
    """The first whole second that is not before a time."""
    return ceil((given if given.tzinfo is not None else first_instant(given, zone)).timestamp())


def read_period(since: str, until: str, now: datetime) -> Period:
    """``from`` and ``to`` as they were given, a date for its beginning and its end; raises Invalid unless they are at most 31 days."""
    period = Period(moment(since, "from", now), moment(until, "to", now, timedelta(days=1)))
    begin, end = period.within("UTC")
    if begin >= end:
        raise Invalid.field("to", "Must be later than from.")
    if end - begin > WIDEST.total_seconds():
        raise Invalid.field("to", "Must be at most 31 days later than from.")
    return period


def moment(given: str, name: str, now: datetime, length: timedelta = timedelta()) -> datetime:
    """A date and time, or a date's midnight and so much later."""
    try:
        wanted = msgspec.convert(given, datetime) if len(given) > DATE else datetime.combine(msgspec.convert(given, date), time())
    except msgspec.ValidationError as error:
        raise Invalid.field(name, "Must be a date like 2026-06-10, or an ISO-8601 date and time.") from error
    refuse_far(wanted, name, now)
    return wanted if len(given) > DATE else wanted + length


def refuse_far(wanted: datetime, name: str, now: datetime) -> None:
    """Raises Invalid for a time more than ten years away."""
    if abs(wanted.replace(tzinfo=UTC) - now) > FARTHEST:
        raise Invalid.field(name, "Is more than ten years away.")


async def list_slots(uow: UnitOfWork, service: int, provider: int | None, period: Period) -> list[SlotView]:
    """Every time at which the service can be booked, with all who are free then; raises NotFound for a service there is not."""
    setup, times = await load_period(uow, service, provider, period)
    return await beside(setup, lambda: show_slots(setup, setup.each(times, uow.now), period))


async def explain_slots(uow: UnitOfWork, service: int, provider: int | None, period: Period) -> tuple[list[SlotView], ExplainedPage]:
    """The same, and what removed every other time; of all providers at once for a week at most."""
    begin, end = period.within("UTC")
    if provider is None and end - begin > WIDEST_EXPLAINED.total_seconds():
        raise Invalid.field("to", "Must be at most 7 days later than from where times of all providers are explained.")
    setup, times = await load_period(uow, service, provider, period)

    def explain() -> tuple[list[SlotView], list[ObstacleView]]:
        tables = setup.timetables(times, uow.now)
        return show_slots(setup, tables.items(), period), show_obstacles(tables, period)

    slots, explained = await beside(setup, explain)
    return slots, ExplainedPage(None, len(explained), explained)


async def load_period(uow: UnitOfWork, service: int, provider: int | None, period: Period) -> tuple[Setup, Times]:
    """What decides on the time asked for."""
    try:
        return await read_both(uow, service, provider, period)
    except Outdated:
        return await read_both(uow, service, provider, period)


async def read_both(uow: UnitOfWork, service: int, provider: int | None, period: Period) -> tuple[Setup, Times]:
    """How the service is offered, which may be remembered, and what is taken."""
    setup = await recall_setup(uow, service, *period.bounds(), provider)
    if provider is not None and provider not in setup.providers:
        raise Invalid.field("provider_id", "Does not offer this service.")
    return setup, await load_times(uow, setup, setup.providers, period.bounds({one.zone for one in setup.providers.values()}))


async def load_timetables(uow: UnitOfWork, service: int, provider: int | None, period: Period) -> tuple[Setup, dict[int, Timetable]]:
    """What decides on the time asked for, by provider."""
    setup, times = await load_period(uow, service, provider, period)
    return setup, setup.timetables(times, uow.now)


async def beside(setup: Setup, compute: Callable[[], T]) -> T:
    """Thirty providers over thirty days take some twenty milliseconds, in which others are answered; one is done before a thread begins."""
    return await asyncio.to_thread(compute) if len(setup.providers) > 1 else compute()


def show_slots(setup: Setup, tables: Iterable[tuple[int, Timetable]], period: Period) -> list[SlotView]:
    """Starts as members see them, those of several providers together."""
    free: defaultdict[int, list[int]] = defaultdict(list)
    zones, length = dict[int, ZoneInfo](), setup.offer.duration * 60
    for number, table in tables:
        zones[number] = ZoneInfo(table.zone)
        for start in table.starts(*period.within(table.zone)):
            free[start].append(number)
    return [
        SlotView(datetime.fromtimestamp(start, zones[them[0]]), datetime.fromtimestamp(start + length, zones[them[0]]), them)
        for start, them in sorted(free.items())
    ]


def show_obstacles(tables: Mapping[int, Timetable], period: Period) -> list[ObstacleView]:
    """What is not offered, by start."""
    found = [
        (one.start, number, ObstacleView(datetime.fromtimestamp(one.start, ZoneInfo(table.zone)), number, one.cause, one.detail))
        for number, table in tables.items()
        for one in table.explain(*period.within(table.zone))
    ]
    return [view for _, _, view in sorted(found, key=lambda one: one[:2])]


async def recall_setup(uow: UnitOfWork, service: int, since: datetime, until: datetime, provider: int | None = None) -> Setup:
    """As ``load_setup``, or as it was remembered: ``load_times`` raises Outdated where it was changed since.

    Nobody is refused because of what was remembered: only what can be booked is.
    """
    key, first, last = (uow.tenant, f"service/{service}", provider or 0), (since - WIDER).date(), (until + WIDER).date()
    setup, begin, end = uow.kernel.recall.get(key) or (None, first, last)
    if setup is None or first < begin or last > end:
        begin, end = min(since, uow.now), max(until, uow.now + AHEAD)
        setup = await read_setup(uow, service, begin, end, provider)
        bookable = setup.service.is_active and setup.providers
        if bookable and not uow.begun:  # what this unit of work changed itself may yet be undone
            uow.kernel.recall.put(key, (setup, (begin - WIDER).date(), (end + WIDER).date()), REMEMBERED)
    return setup


async def load_setup(uow: UnitOfWork, service: int, since: datetime, until: datetime, provider: int | None = None) -> Setup:
    """How a service is offered to start within a time, by one provider or by all of its own; raises NotFound."""
    return structs.replace(await read_setup(uow, service, since, until, provider), version=None)


async def read_setup(uow: UnitOfWork, service: int, since: datetime, until: datetime, provider: int | None) -> Setup:
    """The same, in the version it has now."""
    row = await uow.fetchrow(SETUP, service, provider, (since - WIDER).date(), (until + WIDER).date())
    if row is None:
        raise NotFound("There is no such service.")
    values = tuple(row)
    resources, providers, closed = values[15:18]
    return Setup(
        service=BookedService(*values[:9]),
        offer=Offer(*values[9:15]),
        providers={one.id: one for one in decoded(providers, list[Provider])},
        resources=decoded(resources, list[Resource]),
        closed=decoded(closed, list[ClosedDay]),
        reminders=in_force(*values[18:20]),
        version=values[20],
    )


async def list_booked(uow: UnitOfWork, numbers: Sequence[int]) -> list[Resource]:
    """Those of the resources that there are, in use or not."""
    return [Resource(*row) for row in await uow.fetch(RESOURCES, list(numbers))] if numbers else []


def decoded(text: str | None, kind: type[list[T]]) -> list[T]:
    """A list that came as JSON."""
    return msgspec.json.decode(text, type=kind) if text else []


async def load_times(
    uow: UnitOfWork, setup: Setup, providers: Iterable[int], span: tuple[datetime, datetime], exclude: Sequence[int] = ()
) -> Times:
    """What bears on starts from the first instant of ``span`` to the second, in one round trip; holds that are over, and what is
    taken by whom to ``exclude``, do not count. Raises Outdated."""
    since, until = span
    wide = since - BEFORE - timedelta(seconds=setup.offer.lead), until + timedelta(seconds=setup.offer.length)
    rows = await uow.fetch(TIMES, list(providers), [one.id for one in setup.resources], *wide, uow.now, list(exclude))
    taken = {(cause, number): list(zip(starts, ends, strict=True)) for cause, number, starts, ends in rows}
    if setup.version is not None and ("version", setup.version) not in taken:
        uow.kernel.recall.forget()
        raise Outdated
    filled = {one.name: full(taken.get(("resource", one.id), ()), one.capacity) for one in setup.resources}
    return Times(taken, filled, floor(since.timestamp()), ceil(until.timestamp()) + 1)


async def choose_provider(uow: UnitOfWork, days: Mapping[int, date]) -> tuple[int, str]:
    """Of providers who are free, each with their local day, whose turn it is, and why."""
    around = range(-NEARBY.days, NEARBY.days + 1)
    keys = {
        f"provider:{number}:{at + timedelta(days=offset)}": (number, at + timedelta(days=offset))
        for number, at in days.items()
        for offset in around
    }
    counts: defaultdict[int, dict[date, int]] = defaultdict(dict)
    for row in await uow.fetch(COUNTS, list(keys)):
        number, at = keys[row["key"]]
        counts[number][at] = row["value"]
    return fairest(counts, days)
