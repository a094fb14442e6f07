"""Hours: a provider's own, and the template they are taken from; always replaced as a whole."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from plixa.identity.domain import TIMEZONES
from plixa.kernel.audit import record_change
from plixa.kernel.errors import Invalid
from plixa.kernel.tenancy import lock_of
from plixa.kernel.uow import UnitOfWork
from plixa.scheduling.domain.rules import MOST_RULES, Rule, faults
from plixa.scheduling.queries.schedules import Window, get_base_schedule, get_schedule
from plixa.workspace.commands.settings import alone

Timezone = Annotated[str, Meta(max_length=64)]
KEEP: Final = """INSERT INTO provider_schedule (tenant_id, provider_id, timezone, rules) VALUES ($1, $2, $3, $4::text::jsonb)
ON CONFLICT (tenant_id, provider_id) DO UPDATE SET timezone = excluded.timezone, rules = excluded.rules"""
KEEP_BASE: Final = """INSERT INTO base_schedule (tenant_id, timezone, rules) VALUES ($1, $2, $3::text::jsonb)
ON CONFLICT (tenant_id) DO UPDATE SET timezone = excluded.timezone, rules = excluded.rules"""


class ReplaceSchedule(Struct, frozen=True):
    """``timezone`` is an IANA name; the rules replace all there were."""

    timezone: Timezone
    rules: Annotated[list[Rule], Meta(max_length=MOST_RULES)] = []


class ReplaceBaseSchedule(Struct, frozen=True):
    """``timezone`` is an IANA name; the windows replace all there were."""

    timezone: Timezone
    rules: Annotated[list[Window], Meta(max_length=MOST_RULES)]


async def replace_schedule(uow: UnitOfWork, provider: int, data: ReplaceSchedule) -> None:
    """Other hours, for what is booked from now on; raises Invalid for what makes no sense, NotFound for who is no member."""
    refuse(data.timezone, faults(data.rules))
    await uow.begin(lock_of(f"{uow.tenant}/schedule/{provider}"))
    before, after = (msgspec.to_builtins(one) for one in (await get_schedule(uow, provider), data))
    if after != before:
        await uow.execute(KEEP, provider, data.timezone, msgspec.json.encode(data.rules).decode())
        await record_change(uow, "provider_schedule.updated", ("member", provider), before, after)


async def replace_base_schedule(uow: UnitOfWork, data: ReplaceBaseSchedule) -> None:
    """Another template; providers keep the hours they have. Raises Invalid for what makes no sense."""
    refuse(data.timezone, faults([Rule("open", one.start_time, one.end_time, one.weekday) for one in data.rules]))
    await alone(uow)
    before, after = (msgspec.to_builtins(one) for one in (await get_base_schedule(uow), data))
    if after != before:
        await uow.execute(KEEP_BASE, data.timezone, msgspec.json.encode(data.rules).decode())
        await record_change(uow, "base_schedule.updated", ("tenant", uow.tenant), before, after)


def refuse(timezone: str, complaints: dict[str, list[str]]) -> None:
    """Raises Invalid for a zone that nobody knows, and for what else is wrong."""
    if timezone not in TIMEZONES:
        complaints = {"timezone": ["Must be an IANA timezone."]} | complaints
    if complaints:
        raise Invalid(details=complaints)
