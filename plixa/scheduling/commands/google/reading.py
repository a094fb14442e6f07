"""What a calendar says: when somebody is busy elsewhere, and what became of our own events there."""

import secrets
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final
from uuid import uuid4

import msgspec
from msgspec import Struct

from plixa.kernel.auth import hashed
from plixa.kernel.event_store import Actor
from plixa.kernel.uow import UnitOfWork, perform, working
from plixa.scheduling.client import Changes, Channel, EventGone, GoogleRefused, SyncExpired
from plixa.scheduling.commands.google.linking import Access, ask
from plixa.scheduling.commands.google.writing import event_id_of, settle
from plixa.scheduling.domain.appointment import Appointment
from plixa.scheduling.domain.google import APPOINTMENT, TENANT, Difference, GoogleEvent, Ours, compare
from plixa.scheduling.queries.google import Link, list_ours

GOOGLE: Final = Actor("system", name="Google Calendar")
BEHIND, AHEAD = timedelta(days=1), timedelta(days=400)
"""What is read of a calendar: nothing can be booked further ahead."""
WHOLE_AGAIN: Final = timedelta(days=7)
"""What lies ahead moves on: after so long everything is read anew."""
DOUBT: Final = timedelta(minutes=1)
"""What we wrote so shortly before reading may not have been there yet."""
RENEW_CHANNEL: Final = timedelta(days=1)
TRY_AGAIN: Final = timedelta(hours=6)
READ: Final = """UPDATE google_link SET sync_token = $3, last_synced_at = $5, error = NULL,
    full_sync_at = CASE WHEN $6 THEN $5 ELSE full_sync_at END
WHERE tenant_id = $1 AND id = $2 AND state = 'connected' AND sync_token IS NOT DISTINCT FROM $4::text"""
FREE: Final = r"""DELETE FROM external_busy WHERE tenant_id = $1 AND provider_id = $2
AND (event_id = ANY($3::text[]) OR regexp_replace(event_id, '_[0-9]{8}(T[0-9]{6}Z)?$', '') = ANY($4::text[]))"""
"""``$4`` are deleted events: with a series go its occurrences, whose ids begin with its own."""
ALL_FREE: Final = "DELETE FROM external_busy WHERE tenant_id = $1 AND provider_id = $2"
BUSY: Final = """INSERT INTO external_busy (tenant_id, provider_id, event_id, starts_at, ends_at)
SELECT $1, $2, * FROM unnest($3::text[], $4::timestamptz[], $5::timestamptz[])"""
SAY: Final = """UPDATE google_event SET written = $4::text::jsonb, updated_at = coalesce($5, updated_at)
WHERE tenant_id = $1 AND link_id = $2 AND appointment_id = $3"""
UNAVAILABLE: Final = "UPDATE google_link SET error = 'unavailable' WHERE tenant_id = $1 AND id = $2 AND state = 'connected'"
WATCHING: Final = """UPDATE google_link SET channel_id = $3, channel_resource = $4, channel_secret = $5, watch_at = $6
WHERE tenant_id = $1 AND id = $2 AND state = 'connected'"""
NOT_WATCHING: Final = "UPDATE google_link SET watch_at = $3 WHERE tenant_id = $1 AND id = $2"


class Reading(Struct, frozen=True):
    """What was read of a calendar, begun at ``at``; ``within`` which times, where it was read whole."""

    changes: Changes
    at: datetime
    within: tuple[datetime, datetime] | None = None


async def read(access: Access, link: Link) -> Reading:
    """What changed since it was read last, or everything; raises GoogleError."""
    now = datetime.now(UTC)
    if link.sync_token and link.full_sync_at and link.full_sync_at > now - WHOLE_AGAIN:
        known = link.sync_token
        try:
            return Reading(await ask(access, lambda token: access.google.list_changed(token, known)), now)
        except SyncExpired:
            """Then everything."""
    since, until = now - BEHIND, now + AHEAD
    return Reading(await ask(access, lambda token: access.google.list_all(token, since, until)), now, (since, until))


async def take(uow: UnitOfWork, link: Link, reading: Reading) -> None:
    """Apply what was read, unless somebody else was faster: then it is old by now."""
    changes, whole = reading.changes, reading.within is not None
    if await uow.execute(READ, link.id, changes.sync_token, link.sync_token, reading.at, whole) != "UPDATE 1":
        return
    uow.actor = GOOGLE
    events = {event.id: event for event in changes.events}
    ours = {one.event_id: one for one in await list_ours(uow, link, list(events), reading.within)}
    await take_busy(uow, link, reading, {number: event for number, event in events.items() if number not in ours})
    for number in sorted(events.keys() & ours.keys()):
        known, event = ours.pop(number), events[number]
        await apply(uow, link.id, known, compare(known, event, changes.zone), event.updated)
    for missing in ours.values() if whole else ():
        if missing.written and missing.written_at < reading.at - DOUBT:
            await apply(uow, link.id, missing, Difference("deleted"), None)


async def take_busy(uow: UnitOfWork, link: Link, reading: Reading, events: dict[str, GoogleEvent]) -> None:
    """Somebody's time that is taken elsewhere, by events that are not known for ours."""
    spans = {event.id: event.busy(reading.changes.zone) for event in events.values() if not is_own(uow, event)}
    taken = [(number, *span) for number, span in spans.items() if span is not None]
    if reading.within is not None:
        await uow.execute(ALL_FREE, link.member_id)
    else:
        await uow.execute(FREE, link.member_id, list(events), [event.id for event in events.values() if event.is_deleted])
    if taken:
        await uow.execute(BUSY, link.member_id, *map(list, zip(*taken, strict=True)))


def is_own(uow: UnitOfWork, event: GoogleEvent) -> bool:
    """Did we write it, also through a link that is no more? A copy that somebody made of it is theirs."""
    told = event.extended_properties.private
    number = told.get(APPOINTMENT, "")
    return told.get(TENANT) == str(uow.tenant) and number.isdecimal() and event.id == event_id_of(uow, int(number))


async def apply(uow: UnitOfWork, link: int, ours: Ours, difference: Difference | None, updated: datetime | None) -> None:
    """Note what became of one event of ours. The appointment stays as it is: its provider decides."""
    if difference is None:
        return
    await uow.execute(SAY, link, ours.appointment_id, msgspec.json.encode(said(ours, difference)).decode(), updated)
    if difference.change == "agrees":
        if ours.conflict is not None:
            await settle(uow, ours.appointment_id)
        return
    async with uow.edit(Appointment, ours.appointment_id) as editor:
        editor.record(editor.state.differ(difference.change, difference.start, difference.end))


def said(ours: Ours, difference: Difference) -> dict[str, Any]:
    """What stands in the calendar now, as far as we wrote it."""
    if difference.start is None or difference.end is None:
        return {}
    return {**ours.written, "start": {"dateTime": difference.start.isoformat()}, "end": {"dateTime": difference.end.isoformat()}}


async def watch(access: Access, link: Link) -> None:
    """Be told of changes from now on, in place of an older channel; raises GoogleError. Where Google will not, reading often has to do."""
    channel = Channel(str(uuid4()), secrets.token_urlsafe(32))
    try:
        resource, until = await ask(access, lambda token: access.google.watch(token, channel))
    except GoogleRefused:
        await note(access, NOT_WATCHING, datetime.now(UTC) + TRY_AGAIN)
        return
    await note(access, WATCHING, channel.id, resource, hashed(channel.secret), until - RENEW_CHANNEL)
    await stop(access, link)


async def stop(access: Access, link: Link) -> None:
    """Be told no longer; raises GoogleError."""
    channel, resource = link.channel_id, link.channel_resource
    if channel is None or resource is None:
        return
    try:
        await ask(access, lambda token: access.google.stop(token, channel, resource))
    except (EventGone, GoogleRefused):
        """It has ended, or will."""


async def note(access: Access, statement: str, *arguments: Any) -> None:
    """Remember how it stands with a link."""
    async with working(access.kernel, access.tenant) as uow:
        await perform(uow, partial(uow.execute, statement, access.link, *arguments))
