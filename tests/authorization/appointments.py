"""What requests of scheduling name."""

import secrets
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from plixa.kernel.auth import hashed
from plixa.kernel.uow import UnitOfWork
from plixa.scheduling.commands.appointments import complete
from plixa.scheduling.commands.booking import BookAppointment, book_appointment
from plixa.scheduling.commands.closures import CloseDay, close_day
from plixa.scheduling.commands.filters import CreateFilter, create_filter
from plixa.scheduling.commands.holds import HoldSlot, create_hold
from plixa.scheduling.commands.resources import CreateResource, create_resource
from plixa.scheduling.commands.schedules import ReplaceSchedule, replace_schedule
from plixa.scheduling.commands.services import CreateService, create_service
from plixa.scheduling.commands.waitlist import JoinWaitlist, join_waitlist
from plixa.scheduling.domain.rules import Rule
from tests.authorization.making import Maker, doing, of_stage, thing
from tests.authorization.stage import Stage

LINK = """INSERT INTO google_link (tenant_id, member_id, state, refresh_token, access_token, access_expires_at, connected_at, watch_at,
    channel_id, channel_secret) VALUES ($1, $2, 'connected', $3, $3, now(), now(), now(), $4, $5) RETURNING id"""
FEED = "INSERT INTO calendar_feed (tenant_id, provider_id, token_hash, created_at) VALUES ($1, $2, $3, now()) ON CONFLICT DO NOTHING"

SERIAL = count()
"""No two appointments of a run are at one time."""


async def service(stage: Stage) -> int:
    """Given by the agent, with a resource."""
    wanted = CreateService(
        name=f"{stage.canary} {secrets.token_hex(4)}",
        description=stage.canary,
        duration_minutes=30,
        price=5000,
        provider_ids=[stage.agent.id],
        resource_ids=[await thing(stage, "resource")],
    )
    return (await doing(stage, lambda uow: create_service(uow, wanted))).id


async def resource(stage: Stage) -> int:
    wanted = CreateResource(f"{stage.canary} {secrets.token_hex(4)}")
    return (await doing(stage, lambda uow: create_resource(uow, wanted))).id


async def closure(stage: Stage) -> int:
    """A closed date, months from now."""
    wanted = CloseDay((datetime.now(UTC) + timedelta(days=100 + secrets.randbelow(300))).date(), stage.canary)
    return (await doing(stage, lambda uow: close_day(uow, wanted))).id


async def calendar_filter(stage: Stage) -> int:
    """The caller's own, where they are a member."""
    whose = stage.caller if stage.principal not in ("staff", "removed_member") else stage.workspace.owner.id
    wanted = CreateFilter(stage.canary, [stage.agent.id], [await thing(stage, "service")], is_default=True)
    return (await doing(stage, lambda uow: create_filter(uow, whose, wanted))).id


async def google_link(stage: Stage) -> int:
    """The caller's Google Calendar is connected."""
    return await linked(stage, None)


async def google_channel(stage: Stage) -> str:
    """Of a calendar that is connected; its secret is what the workspace is called."""
    await linked(stage, f"channel-{stage.tenant}")
    return f"channel-{stage.tenant}"


async def linked(stage: Stage, channel: str | None) -> int:
    return int(await stage.value(LINK, stage.caller, b"sealed", channel, hashed(stage.canary)))


async def feed_token(stage: Stage) -> str:
    """Of the agent's feed."""
    await stage.change(FEED, stage.agent.id, hashed(stage.canary))
    return f"{stage.canary}.ics"


def booking(ahead: timedelta | None = None, deed: Callable[[UnitOfWork, int], Awaitable[None]] | None = None, **service: Any) -> Maker:
    """An appointment of the agent's, so far ahead or at a time of its own, to which something has happened since."""

    async def make(stage: Stage) -> int:
        given = CreateService(name=secrets.token_hex(8), duration_minutes=5, provider_ids=[stage.agent.id], **service)
        is_plain = ahead is None and not service
        offered = await thing(stage, "service") if is_plain else (await doing(stage, lambda uow: create_service(uow, given))).id
        start = datetime.now(UTC) + (ahead or timedelta(days=100, minutes=40 * next(SERIAL)))
        asked = BookAppointment(offered, start, contact_id=await thing(stage, "contact"), notes=stage.canary, force=True)
        number = (await doing(stage, lambda uow: book_appointment(uow, asked))).id
        if deed is not None:
            await doing(stage, lambda uow: deed(uow, number))
        return number

    return make


async def hold(stage: Stage) -> int:
    """The agent works around the clock."""
    await thing(stage, "hours")
    wanted = HoldSlot(await thing(stage, "service"), free_start())
    return (await doing(stage, lambda uow: create_hold(uow, wanted))).id


async def waitlist_entry(stage: Stage) -> int:
    wanted = JoinWaitlist(await thing(stage, "contact"), await thing(stage, "service"), notes=stage.canary)
    return (await doing(stage, lambda uow: join_waitlist(uow, wanted))).id


async def hours(stage: Stage) -> int:
    rules = [Rule("open", "00:00", "24:00", weekday) for weekday in range(7)]
    await doing(stage, lambda uow: replace_schedule(uow, stage.agent.id, ReplaceSchedule("UTC", rules)))
    return stage.agent.id


async def new_start(_stage: Stage) -> str:
    return free_start().isoformat()


def free_start() -> datetime:
    """A half hour that nobody else has, and nothing to do with that of anybody else either."""
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + timedelta(days=5, minutes=30 * (next(SERIAL) * 1237 % 3989))


THINGS: dict[str, Maker] = {
    "appointment": booking(),
    "doomed": booking(),
    "request": booking(requires_approval=True),
    "other_request": booking(requires_approval=True),
    "arriving": booking(timedelta(minutes=50)),
    "begun": booking(timedelta(hours=-2)),
    "begun_too": booking(timedelta(hours=-5)),
    "ended": booking(timedelta(hours=-8), complete),
    "paid_for": booking(price=5000, prepayment=True),
    "date": of_stage(lambda _stage: (datetime.now(UTC) + timedelta(days=40)).date().isoformat()),
    **{
        make.__name__: make
        for make in (
            service,
            resource,
            closure,
            calendar_filter,
            google_link,
            google_channel,
            feed_token,
            hold,
            waitlist_entry,
            hours,
            new_start,
        )
    },
}
