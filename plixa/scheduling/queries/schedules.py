"""Who gives services and when: every member as a provider, their hours, and the template that hours are taken from."""

from typing import Annotated, Final

import msgspec
from litestar.params import Parameter
from msgspec import Meta, Struct

from plixa.kernel.errors import NotFound
from plixa.kernel.uow import UnitOfWork
from plixa.scheduling.domain.rules import Rule
from plixa.workspace.domain import CLOSING, TIME

PROVIDERS: Final = """SELECT m.id, m.name, coalesce(p.timezone, t.timezone) AS timezone,
    coalesce(p.rules <> '[]', false) AS has_schedule,
    (SELECT json_agg(json_build_object('id', s.id, 'name', s.name) ORDER BY s.name, s.id)::text
        FROM service_provider x JOIN service s ON s.tenant_id = x.tenant_id AND s.id = x.service_id
        WHERE x.tenant_id = m.tenant_id AND x.provider_id = m.id) AS services,
    EXISTS (SELECT FROM google_link g WHERE g.tenant_id = m.tenant_id AND g.member_id = m.id AND g.state = 'connected') AS google_connected
FROM member m JOIN tenant t ON t.tenant_id = m.tenant_id
LEFT JOIN provider_schedule p ON p.tenant_id = m.tenant_id AND p.provider_id = m.id
WHERE m.tenant_id = scope.tenant ORDER BY m.name, m.id"""
SCHEDULE: Final = """SELECT coalesce(p.timezone, t.timezone) AS timezone, p.rules::text AS rules
FROM member m JOIN tenant t ON t.tenant_id = m.tenant_id
LEFT JOIN provider_schedule p ON p.tenant_id = m.tenant_id AND p.provider_id = m.id
WHERE m.tenant_id = scope.tenant AND m.id = $2"""
BASE: Final = """SELECT coalesce(b.timezone, t.timezone) AS timezone, b.rules::text AS rules
FROM tenant t LEFT JOIN base_schedule b ON b.tenant_id = t.tenant_id WHERE t.tenant_id = scope.tenant"""


class Window(Struct, frozen=True):
    """Open every week on a weekday, 0 is Sunday, between two wall times."""

    weekday: Annotated[int, Meta(ge=0, le=6), Parameter(ge=0, le=6)]
    start_time: Annotated[str, Meta(pattern=TIME)]
    end_time: Annotated[str, Meta(pattern=CLOSING)]


class ScheduleView(Struct, frozen=True):
    """A provider's hours by the clocks of one zone; without rules they have none."""

    timezone: str
    rules: list[Rule]


class BaseScheduleView(Struct, frozen=True):
    """The week that is proposed for providers; it opens nothing by itself."""

    timezone: str
    rules: list[Window]


class GivenServiceView(Struct, frozen=True):
    """A service that somebody gives."""

    id: int
    name: str


class ProviderView(Struct, frozen=True):
    """A member, and what they can be booked for."""

    user_id: int
    name: str
    timezone: str
    services: list[GivenServiceView]
    has_schedule: bool
    google_connected: bool


async def list_providers(uow: UnitOfWork) -> list[ProviderView]:
    """All members by name: a plan's seats are few."""
    return [
        ProviderView(
            user_id=row["id"],
            name=row["name"],
            timezone=row["timezone"],
            services=msgspec.json.decode(row["services"] or "[]", type=list[GivenServiceView]),
            has_schedule=row["has_schedule"],
            google_connected=row["google_connected"],
        )
        for row in await uow.fetch(PROVIDERS)
    ]


async def get_schedule(uow: UnitOfWork, provider: int) -> ScheduleView:
    """A member's hours; raises NotFound for anybody else."""
    row = await uow.fetchrow(SCHEDULE, provider)
    if row is None:
        raise NotFound("There is no such member in this workspace.")
    return ScheduleView(row["timezone"], msgspec.json.decode(row["rules"] or "[]", type=list[Rule]))


async def get_base_schedule(uow: UnitOfWork) -> BaseScheduleView:
    """The template; empty before it was ever set."""
    row = await uow.fetchrow(BASE)
    if row is None:
        raise LookupError("A workspace without a row.")
    return BaseScheduleView(row["timezone"], msgspec.json.decode(row["rules"] or "[]", type=list[Window]))
