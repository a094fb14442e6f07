"""What digests need: who gets one and when, and what happened on the workspace's days."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from msgspec import Struct

from plixa.kernel.uow import UnitOfWork
from plixa.reports.domain.digest import Bar, Frequency, Period, Stats
from projections.activity import QUARTER, activity, quarter_of, waits

CONFIG: Final = "SELECT enabled, frequency, last_sent_at, next_run_at FROM digest_config WHERE tenant_id = scope.tenant"
READER: Final = """SELECT m.name, m.email, t.name AS workspace, t.locale, t.timezone FROM tenant t
JOIN member m ON m.tenant_id = t.tenant_id WHERE t.tenant_id = scope.tenant AND (m.id = $2 OR ($2::bigint IS NULL AND m.role = 'owner'))"""
COUNTED: Final = ("opened", "reopened", "closed", "received", "sent")
BUSY: Final = f"""SELECT quarter, {", ".join(f"sum({name})::bigint AS {name}" for name in COUNTED)} FROM {activity.name}
WHERE tenant_id = scope.tenant AND quarter >= $2 AND quarter < $3 GROUP BY quarter"""  # noqa: S608 - constants
ANSWERED: Final = f"""SELECT coalesce(sum(a.value), 0)::bigint AS answers, coalesce(sum(s.value), 0)::bigint AS seconds
FROM generate_series($2::bigint, $3::bigint - 1) AS q
JOIN counter a ON a.tenant_id = scope.tenant AND a.projection = '{waits.name}' AND a.key = q || ':answers'
LEFT JOIN counter s ON s.tenant_id = scope.tenant AND s.projection = '{waits.name}' AND s.key = q || ':seconds'"""  # noqa: S608
BEHIND: Final = """SELECT EXISTS (SELECT FROM event e WHERE e.tenant_id = scope.tenant AND e.recorded_at < $3 AND e.position > (
    SELECT min(coalesce(c.position, 0)) FROM unnest($2::text[]) AS follower
    LEFT JOIN checkpoint c ON c.tenant_id = scope.tenant AND c.projection = follower)) AS is_behind"""


class DigestConfigView(Struct, frozen=True):
    """Whether the owner gets a digest, how often, and when next; off until somebody turns it on."""

    enabled: bool = False
    frequency: Frequency = "daily"
    last_sent_at: datetime | None = None
    next_run_at: datetime | None = None


class Reader(Struct, frozen=True):
    """Who reads a digest, of which workspace, in whose language and days."""

    name: str
    email: str
    workspace: str
    locale: str
    zone: str


async def get_digest_config(uow: UnitOfWork) -> DigestConfigView:
    """What the owner chose."""
    row = await uow.fetchrow(CONFIG)
    return DigestConfigView(*row) if row is not None else DigestConfigView()


async def find_reader(uow: UnitOfWork, member: int | None = None) -> Reader | None:
    """A member, or the owner; None for a workspace that is gone."""
    row = await uow.fetchrow(READER, member)
    return Reader(*row) if row is not None else None


async def is_behind(uow: UnitOfWork, until: datetime) -> bool:
    """Is something of before then not counted yet?"""
    row = await uow.fetchrow(BEHIND, [activity.name, waits.name], until)
    return row is not None and bool(row["is_behind"])


async def get_stats(uow: UnitOfWork, period: Period) -> Stats:
    """What a period came to, by the hour where it is one day and by the day where it is more."""
    span = quarter_of(period.start), quarter_of(period.end)
    rows = await uow.fetch(BUSY, *span)
    answered = await uow.fetchrow(ANSWERED, *span)
    totals = {name: sum(row[name] for row in rows) for name in COUNTED}
    return Stats(**totals, **dict(answered or {}), bars=bars_of(period, rows))


def bars_of(period: Period, rows: list[Any]) -> tuple[Bar, ...]:
    """One for every hour that the clocks show of a day, or for every day of more."""
    zone, is_day = ZoneInfo(period.zone), period.first == period.last
    received: Counter[int] = Counter()
    sent: Counter[int] = Counter()
    for row in rows:
        there = datetime.fromtimestamp(row["quarter"] * QUARTER, UTC).astimezone(zone)
        place = there.hour if is_day else (there.date() - period.first).days
        received[place] += row["received"]
        sent[place] += row["sent"]
    length = 24 if is_day else (period.last - period.first).days + 1
    labels = range(24) if is_day else [(period.first.toordinal() + place) for place in range(length)]
    names = [str(one) if is_day else str(datetime.fromordinal(one).day) for one in labels]
    return tuple(Bar(names[place], received[place], sent[place]) for place in range(length))
