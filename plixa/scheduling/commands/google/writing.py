"""Appointments as events of their provider's calendar: written, changed and deleted until both say the same."""

from datetime import datetime
from functools import partial
from typing import Any, Final

import msgspec
from msgspec import Struct

from plixa.kernel.errors import NotFound
from plixa.kernel.uow import UnitOfWork, perform, working
from plixa.scheduling.client import EventExists, EventGone
from plixa.scheduling.commands.google.linking import Access, ask
from plixa.scheduling.domain.appointment import Appointment
from plixa.scheduling.domain.google import body_of, changed_fields
from plixa.scheduling.queries.google import WrittenEvent

KEEP: Final = """INSERT INTO google_event (tenant_id, link_id, appointment_id, event_id, written, updated_at, written_at)
VALUES ($1, $2, $3, $4, $5::text::jsonb, $6, $7) ON CONFLICT (tenant_id, link_id, appointment_id) DO UPDATE
SET written = excluded.written, updated_at = excluded.updated_at, written_at = excluded.written_at"""
DROP: Final = "DELETE FROM google_event WHERE tenant_id = $1 AND link_id = $2 AND appointment_id = $3"
PREFIX: Final = "pl"
"""Ids of events are made of a to v and 0 to 9."""


class Wanted(Struct, frozen=True):
    """An event as it should be: ``body`` None where there should be none."""

    appointment: int
    event_id: str
    body: dict[str, Any] | None


def event_id_of(uow: UnitOfWork, appointment: int) -> str:
    """What an appointment's event is called in any calendar: always the same, so that it is never written twice."""
    return PREFIX + uow.kernel.vault.pseudonym(f"google_event/{uow.tenant}/{appointment}")


def wanted(uow: UnitOfWork, appointment: int, known: WrittenEvent, public_url: str) -> Wanted:
    """What a calendar should show."""
    url = f"{public_url.rstrip('/')}/calendar/{appointment}"
    body = body_of(known.shown, uow.tenant, url) if known.shown is not None else None
    return Wanted(appointment, known.event_id or event_id_of(uow, appointment), body)


async def write(access: Access, known: WrittenEvent, event: Wanted) -> None:
    """Make one calendar show it so; raises GoogleError. Done twice it is as if it were done once."""
    if event.body is None:
        if known.written is not None:
            await delete(access, event)
        return
    changes = changed_fields(known.written or {}, event.body)
    if changes:
        updated = await (put(access, event) if not known.written else change(access, event, changes))
        settles = known.differs and "start" in changes
        async with working(access.kernel, access.tenant) as uow:
            await perform(uow, partial(keep, uow, access.link, event, updated, settles=settles))


async def put(access: Access, event: Wanted) -> datetime:
    """A new event, or the one that an earlier try left there, or somebody deleted."""
    body = event.body or {}
    try:
        return await ask(access, lambda token: access.google.insert(token, event.event_id, body))
    except EventExists:
        return await ask(access, lambda token: access.google.patch(token, event.event_id, body))


async def change(access: Access, event: Wanted, changes: dict[str, Any]) -> datetime:
    """Nothing but what is different now: the rest is its owner's."""
    try:
        return await ask(access, lambda token: access.google.patch(token, event.event_id, changes))
    except EventGone:
        return await put(access, event)


async def delete(access: Access, event: Wanted) -> None:
    """No event any more; one that is not there is fine."""
    try:
        await ask(access, lambda token: access.google.delete(token, event.event_id))
    except EventGone:
        """Somebody was faster."""
    async with working(access.kernel, access.tenant) as uow:
        await perform(uow, partial(uow.execute, DROP, access.link, event.appointment))


async def keep(uow: UnitOfWork, link: int, event: Wanted, updated: datetime, *, settles: bool) -> None:
    """Remember what was written; where that put an end to a difference, say so."""
    written = msgspec.json.encode(event.body).decode()
    await uow.execute(KEEP, link, event.appointment, event.event_id, written, updated, uow.now)
    if settles:
        await settle(uow, event.appointment)


async def settle(uow: UnitOfWork, appointment: int) -> None:
    """The calendar says the same as we do again."""
    try:
        async with uow.edit(Appointment, appointment) as editor:
            editor.record(editor.state.settle())
    except NotFound:
        """Erased meanwhile."""
