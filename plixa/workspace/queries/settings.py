"""A workspace's settings as members see them."""

from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Any, Final

import msgspec
import pycountry
from msgspec import Struct

from plixa.identity.domain import COUNTRIES, TIMEZONES
from plixa.identity.queries.members import image_url
from plixa.kernel.settings import Plan, Settings
from plixa.kernel.uow import UnitOfWork
from plixa.workspace.domain import Day, Hours, state_at

SETTINGS: Final = "settings"
"""Under this a kernel remembers what automatic answers need to know of a workspace."""
SETTINGS_PARTS: Final = (0, 1)
"""For every message, and for those with which an episode begins."""
CURRENCIES: Final = frozenset(currency.alpha_3 for currency in pycountry.currencies)
LOCALES: Final = ("en", "pt-BR", "es")
WORKSPACE: Final = """SELECT name, slug, timezone, locale, currency, country_code, tax_id, logo_key, require_two_factor, agent_restricted,
    agents_can_delete_conversations, allow_support_access, onboarding_dismissed_at FROM tenant WHERE tenant_id = scope.tenant"""
UNPROTECTED: Final = """SELECT m.id, m.name, m.role = 'owner' AS is_owner FROM member m
WHERE m.tenant_id = scope.tenant AND m.two_factor_confirmed_at IS NULL ORDER BY m.id"""
CLOSED: Final = "(SELECT array_agg(date) FROM closure WHERE tenant_id = scope.tenant AND date >= $2::timestamptz::date - 400)"
"""The dates on which it does not open, as far back as anybody asks when it closed."""
CLOSED_THEN: Final = f"""CASE WHEN h.closed IS NOT NULL
    AND EXISTS (SELECT FROM business_hours n WHERE n.tenant_id = scope.tenant AND n.since > h.since) THEN h.closed ELSE {CLOSED} END"""
"""Those of a version of the week: as they were set then, once there is a newer one."""
HOURS: Final = f"""SELECT since, timezone, enabled, message, hours::text, pause_sla, {CLOSED_THEN} AS closed FROM business_hours h
WHERE tenant_id = scope.tenant AND since <= $2::timestamptz ORDER BY since DESC LIMIT 1"""  # noqa: S608 - constants
WEEKS: Final = f"""SELECT since, timezone, enabled, message, hours::text, pause_sla, {CLOSED_THEN} AS closed FROM business_hours h
WHERE tenant_id = scope.tenant AND since >= coalesce(
    (SELECT max(since) FROM business_hours WHERE tenant_id = scope.tenant AND since <= $2::timestamptz), '-infinity')
ORDER BY since"""  # noqa: S608 - constants
PROPOSED: Final = f"SELECT timezone, {CLOSED} AS closed FROM tenant WHERE tenant_id = scope.tenant"  # noqa: S608 - constants
WORKDAYS: Final = [Day(weekday, "09:00", "18:00", 1 <= weekday <= 5) for weekday in range(7)]
"""What is proposed before anybody said otherwise."""


class WorkspaceConfigView(Struct, frozen=True):
    """What binds every member; ``logo_url`` may be shown to anybody."""

    name: str
    slug: str
    timezone: str
    locale: str
    currency: str
    country_code: str
    tax_id: str | None
    logo_url: str | None


class SecurityConfigView(Struct, frozen=True):
    """Who must prove what, who sees what, and whether Plixa's staff may come in to help."""

    require_two_factor: bool
    agent_restricted_to_own_conversations: bool
    agents_can_delete_conversations: bool
    allow_support_access: bool
    owner_has_two_factor: bool
    members_without_two_factor: list[int]


class BusinessHoursView(Struct, frozen=True):
    """The week, and what it means now. ``enabled`` is the closed-hours reply's switch; the week holds for everything else, too."""

    enabled: bool
    message: str | None
    hours: list[Day]
    pause_sla: bool
    timezone: str
    open_now: bool
    next_change_at: datetime | None


class Named(Struct, frozen=True):
    """A code and what it is called in English."""

    code: str
    name: str


class MetaView(Struct, frozen=True):
    """What forms let people choose from."""

    timezones: list[str]
    locales: list[str]
    currencies: list[Named]
    countries: list[Named]
    plans: dict[str, Plan]


async def get_workspace_config(uow: UnitOfWork, settings: Settings) -> WorkspaceConfigView:
    """The workspace's settings."""
    row = await read_workspace(uow)
    return WorkspaceConfigView(
        name=row["name"],
        slug=row["slug"],
        timezone=row["timezone"],
        locale=row["locale"],
        currency=row["currency"],
        country_code=row["country_code"],
        tax_id=row["tax_id"],
        logo_url=image_url(settings, row["logo_key"]),
    )


async def get_security_config(uow: UnitOfWork) -> SecurityConfigView:
    """The security switches, and who has no second factor yet."""
    row = await read_workspace(uow)
    bare = await uow.fetch(UNPROTECTED)
    return SecurityConfigView(
        require_two_factor=row["require_two_factor"],
        agent_restricted_to_own_conversations=row["agent_restricted"],
        agents_can_delete_conversations=row["agents_can_delete_conversations"],
        allow_support_access=row["allow_support_access"],
        owner_has_two_factor=not any(one["is_owner"] for one in bare),
        members_without_two_factor=[one["id"] for one in bare],
    )


async def read_workspace(uow: UnitOfWork) -> Any:
    """The row of settings."""
    row = await uow.fetchrow(WORKSPACE)
    if row is None:
        raise LookupError("A workspace without a row.")
    return row


async def find_hours(uow: UnitOfWork, at: datetime | None = None) -> Hours | None:
    """The week in force now, or at a time in the past; None before one was ever set."""
    row = await uow.fetchrow(HOURS, at or uow.now)
    return None if row is None else hours_of(row)


async def list_weeks(uow: UnitOfWork, since: datetime) -> list[Hours]:
    """Every version of the week that has been in force since then, oldest first."""
    return [hours_of(row) for row in await uow.fetch(WEEKS, since)]


def hours_of(row: Any) -> Hours:
    """A row of ``business_hours``."""
    week = msgspec.json.decode(row["hours"], type=list[Day])
    closed = frozenset(row["closed"] or ())
    return Hours(row["since"], row["timezone"], row["enabled"], row["message"], week, row["pause_sla"], closed)


async def get_business_hours(uow: UnitOfWork) -> BusinessHoursView:
    """The week as the panel shows it: a proposal that is switched off before one was ever set."""
    week = await find_hours(uow) or await propose_hours(uow)
    return BusinessHoursView(week.enabled, week.message, week.hours, week.pause_sla, week.timezone, *state_at(week, uow.now))


async def propose_hours(uow: UnitOfWork) -> Hours:
    """The week before one was ever set."""
    row = await uow.fetchrow(PROPOSED, uow.now)
    if row is None:
        raise LookupError("A workspace without a row.")
    return Hours(uow.now, row["timezone"], False, None, WORKDAYS, False, frozenset(row["closed"] or ()))


def get_meta(settings: Settings) -> MetaView:
    """What forms let people choose from."""
    return MetaView(list_timezones(), list(LOCALES), *list_names(), settings.plans)


@cache
def list_timezones() -> list[str]:
    """Every zone of the IANA database, those with a place first."""
    ordered = (files("tzdata") / "zones").read_text().split()
    return sorted((zone for zone in ordered if zone in TIMEZONES), key=lambda zone: ("/" not in zone, zone))


@cache
def list_names() -> tuple[list[Named], list[Named]]:
    """Currencies and countries by name."""
    currencies = [Named(one.alpha_3, one.name) for one in pycountry.currencies]
    countries = [Named(one.alpha_2, getattr(one, "common_name", one.name)) for one in pycountry.countries if one.alpha_2 in COUNTRIES]
    return sorted(currencies, key=lambda one: one.name), sorted(countries, key=lambda one: one.name)
