"""A clinic with thirty providers whose next thirty days are nearly full, and what is asked of it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from random import Random
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import asyncpg
import msgspec

from plixa.scheduling.domain.rules import Rule
from tests.bench.load import request
from tests.bench.traffic import Both, Known

TENANT, SERVICE = 1, 900_000
PROVIDERS = range(900_001, 900_031)
DAYS, APPOINTMENTS = 30, 20_000
LATEST = 88
"""Days ahead, short of which the service can be booked."""
ZONE = ZoneInfo("America/Sao_Paulo")
TICK = timedelta(minutes=5)
OPEN = 12 * 60 // 5
"""Ticks from eight to eight."""
HOLDER = 1_000_000_000
"""The first of those whose time was taken beforehand."""
PATH = "/v1/scheduling/availability"
OFFER = """INSERT INTO service (tenant_id, id, name, duration_minutes, buffer_before_minutes, buffer_after_minutes, min_notice_minutes,
    max_advance_days, currency, prepayment, requires_approval, is_active, bookable_by_ai, created_at)
VALUES ($1, $2, 'Consultation', 20, 0, 0, 0, 90, 'BRL', false, false, true, true, now()) ON CONFLICT DO NOTHING RETURNING 1"""
WORK = """WITH hired AS (INSERT INTO member (tenant_id, id, name, email, password_hash, role, created_at)
    SELECT $1, id, 'Provider ' || id, 'provider-' || id || '@bench.test', '!', 'agent', now() FROM unnest($3::bigint[]) AS id),
told AS (INSERT INTO service_provider (tenant_id, service_id, provider_id) SELECT $1, $2, id FROM unnest($3::bigint[]) AS id)
INSERT INTO provider_schedule (tenant_id, provider_id, timezone, rules) SELECT $1, id, $4, $5 FROM unnest($3::bigint[]) AS id"""


async def furnish(database_url: str) -> None:
    """Take twenty thousand times, unless they are taken already, and free what was booked by an earlier run."""
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute("DELETE FROM provider_time WHERE tenant_id = $1 AND holder < $2", TENANT, HOLDER)
        if await connection.fetchval(OFFER, TENANT, SERVICE) is None:
            return
        rules = msgspec.json.encode([Rule("open", "08:00", "20:00", weekday=day) for day in range(7)]).decode()
        await connection.execute(WORK, TENANT, SERVICE, list(PROVIDERS), str(ZONE), rules)
        columns = ["tenant_id", "holder", "provider_id", "starts_at", "ends_at"]
        await connection.copy_records_to_table("provider_time", records=list(taken()), columns=columns)
        await connection.execute("ANALYZE")
    finally:
        await connection.close()


def tomorrow() -> datetime:
    """When it opens."""
    return datetime.now(ZONE).replace(hour=8, minute=0, second=0, microsecond=0) + timedelta(days=1)


def taken() -> Iterator[tuple[int, int, int, datetime, datetime]]:
    """Twenty minutes or half an hour, some of them with a pause between, on every day of every provider about as many."""
    dice, opening = Random(1), tomorrow()
    days = [(provider, day) for provider in PROVIDERS for day in range(DAYS)]
    for place, (provider, day) in enumerate(days):
        many = APPOINTMENTS * (place + 1) // len(days) - APPOINTMENTS * place // len(days)
        lengths = [dice.choice((4, 6)) for _ in range(many)]
        pauses = sorted(dice.randrange(OPEN - sum(lengths) + 1) for _ in range(many))
        for number, length in enumerate(lengths):
            start = opening + timedelta(days=day) + TICK * (pauses[number] + sum(lengths[:number]))
            holder = HOLDER + place * 100 + number
            yield TENANT, holder, provider, start.astimezone(UTC), (start + TICK * length).astimezone(UTC)


def everybody(known: Known) -> list[bytes]:
    """All providers, all days."""
    return [asked(known, 0, DAYS - 1)]


def one_day(known: Known) -> list[bytes]:
    """One provider, one day, another each time."""
    return [asked(known, day, day, provider) for day in range(DAYS) for provider in PROVIDERS]


def free() -> Iterator[tuple[int, datetime]]:
    """Times that nobody has taken, one provider after the other."""
    for day in range(DAYS + 2, LATEST):
        for place in range(OPEN // 4):
            yield from ((provider, tomorrow() + timedelta(days=day) + TICK * 4 * place) for provider in PROVIDERS)


def booking(known: Known, times: Iterator[tuple[int, datetime]], amount: int) -> Both:
    """An appointment with provider after provider; the reference inserts a row for each."""
    wanted = [{"service_id": SERVICE, "provider_id": provider, "start": start} for provider, start in islice(times, amount)]
    bodies = [msgspec.json.encode(one) for one in wanted]
    ours = [request("POST", "/v1/scheduling/appointments", token=known.token, body=body) for body in bodies]
    return Both(ours, [request("POST", "/webhook", body=body) for body in bodies])


def asked(known: Known, first: int, last: int, provider: int | None = None) -> bytes:
    """What can be booked from one day to another."""
    since, until = ((tomorrow() + timedelta(days=day)).date().isoformat() for day in (first, last))
    given = {"service_id": SERVICE, "from": since, "to": until} | ({"provider_id": provider} if provider else {})
    return request("GET", f"{PATH}?{urlencode(given)}", token=known.token)
