"""What scheduling does by itself."""

import random
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

from msgspec import Struct

from plixa.identity.queries.sending import find_sending_bar
from plixa.kernel.delivery import Delivery, Handler
from plixa.kernel.errors import NotFound
from plixa.kernel.uow import UnitOfWork, perform
from plixa.scheduling.client import AccessLost, Google, GoogleAway, GoogleError, GoogleRefused
from plixa.scheduling.commands.appointments import erase_appointments
from plixa.scheduling.commands.google.linking import (
    FORGET,
    LEAVE,
    LEAVE_MEMBER,
    READ,
    WRITE,
    Access,
    drop_link,
    forget_busy,
    leave_member,
    lose_access,
    refresh_token,
)
from plixa.scheduling.commands.google.reading import UNAVAILABLE, Reading, read, stop, take, watch
from plixa.scheduling.commands.google.writing import wanted, write
from plixa.scheduling.commands.holds import expire_hold
from plixa.scheduling.commands.holidays import SYNC, sync_holidays
from plixa.scheduling.commands.keeping import FOLLOW_ZONES, KEEP, keep_calendar
from plixa.scheduling.commands.reminders import ANEW, set_timers_anew
from plixa.scheduling.commands.shifting import follow_zones
from plixa.scheduling.commands.waitlist import forget_waiting
from plixa.scheduling.queries.google import Link, find_leaving, find_link, list_written

EVERY: Final = timedelta(minutes=10)
"""How often a calendar is read where nobody tells us that it changed."""
SOONEST, LATEST = timedelta(seconds=1), timedelta(seconds=64)
"""The pause before another try doubles from the one to the other."""
GIVEN_UP: Final = timedelta(days=7)
"""Whoever cannot be told for so long that we left is not told."""


def handlers() -> dict[str, Handler]:
    """By the effect's kind."""
    return {
        SYNC: sync,
        KEEP: keep,
        FOLLOW_ZONES: shift_all,
        ANEW: remind_anew,
        "scheduling.expire_hold": expire,
        "scheduling.erase_contacts": erase,
    }


async def sync(delivery: Delivery) -> None:
    """Bring the closures on public holidays up to date."""
    async with delivery.unit() as uow:
        await perform(uow, partial(sync_holidays, uow, delivery))


async def keep(delivery: Delivery) -> None:
    """A day went by."""
    async with delivery.unit() as uow:
        await perform(uow, partial(keep_calendar, uow, delivery))


async def shift_all(delivery: Delivery) -> None:
    """The zone database is another one than that by which something was booked."""
    await follow_zones(delivery.kernel, delivery.tenant)
    await end(delivery)


async def remind_anew(delivery: Delivery) -> None:
    """Other reminders are wanted."""
    await set_timers_anew(delivery.kernel, delivery.tenant, delivery.payload["service_id"])
    await end(delivery)


async def expire(delivery: Delivery) -> None:
    """Nobody booked in time what was kept."""
    async with delivery.unit() as uow:

        async def finish() -> None:
            await delivery.done(uow)
            await expire_hold(uow, delivery.payload["hold_id"])

        try:
            await perform(uow, finish)
        except NotFound:  # it was booked in this moment
            await perform(uow, partial(delivery.done, uow))


async def erase(delivery: Delivery) -> None:
    """A customer, by all contacts that are them, was erased."""
    async with delivery.unit() as uow:

        async def finish() -> None:
            await delivery.done(uow)
            await erase_appointments(uow, delivery.payload["contacts"])
            await forget_waiting(uow, delivery.payload["contacts"])

        await perform(uow, finish)


class Calendars(Struct, frozen=True):
    """The handlers behind members' Google Calendars; ``google`` is None where the deployment has no keys any more."""

    google: Google | None
    public_url: str

    def handlers(self) -> dict[str, Handler]:
        """By the effect's kind."""
        return {
            READ: self.read_calendar,
            WRITE: self.write_event,
            LEAVE: self.leave_calendar,
            LEAVE_MEMBER: self.leave_member,
            FORGET: self.forget_busy,
        }

    async def read_calendar(self, delivery: Delivery) -> None:
        """Read a calendar, now and every ten minutes for as long as it is connected; only now where we were told of a change."""
        async with delivery.unit() as uow:
            link = await find_link(uow, delivery.payload["link_id"])
            is_barred = await find_sending_bar(uow) is not None
        if link is None:
            await end(delivery)
        elif self.google is None or is_barred:
            await self.rest(delivery)
        else:
            await self.follow(Access(self.google, delivery.kernel, delivery.tenant, link.id), delivery, link)

    async def follow(self, access: Access, delivery: Delivery, link: Link) -> None:
        """Read, apply, and see to it that we are told of the next change."""
        try:
            reading = await read(access, link)
            await apply(delivery, link, reading)
            if access.google.can_be_told and link.watch_at <= datetime.now(UTC):
                await watch(access, link)
        except AccessLost:
            await lose(delivery, link)
            await end(delivery)
        except GoogleError:
            await note_away(delivery, link)
            await self.rest(delivery)
        else:
            await self.rest(delivery)

    async def rest(self, delivery: Delivery) -> None:
        """Until the next time, where there is one."""
        if delivery.payload.get("once"):
            await end(delivery)
        else:
            await resume(delivery, EVERY)

    async def write_event(self, delivery: Delivery) -> None:
        """Have every calendar that shows an appointment show it as it is now."""
        async with delivery.unit() as uow:
            is_barred = await find_sending_bar(uow) is not None
        if self.google is None or is_barred:
            await resume(delivery, EVERY)
            return
        try:
            await self.write_all(self.google, delivery)
        except GoogleAway as error:
            await resume(delivery, pause(delivery, error))
        else:
            await end(delivery)

    async def write_all(self, google: Google, delivery: Delivery) -> None:
        """One calendar after the other: there is more than one only while somebody else takes an appointment over."""
        number = delivery.payload["appointment_id"]
        async with delivery.unit() as uow:
            events = [(known, wanted(uow, number, known, self.public_url)) for known in await list_written(uow, number)]
        for known, event in events:
            access = Access(google, delivery.kernel, delivery.tenant, known.link)
            try:
                await write(access, known, event)
            except AccessLost:
                async with delivery.unit() as uow:
                    link = await find_link(uow, known.link)
                if link is not None:
                    await lose(delivery, link)

    async def leave_calendar(self, delivery: Delivery) -> None:
        """Have Google tell us nothing more, give back what was allowed, in this order, and forget the tokens."""
        async with delivery.unit() as uow:
            link = await find_leaving(uow, delivery.payload["link_id"])
        if link is not None and self.google is not None:
            try:
                await farewell(Access(self.google, delivery.kernel, delivery.tenant, link.id), link, delivery)
            except GoogleAway as error:
                if age(delivery) < GIVEN_UP:
                    await resume(delivery, pause(delivery, error))
                    return
        async with delivery.unit() as uow:
            await perform(uow, partial(drop_link, uow, delivery))

    async def leave_member(self, delivery: Delivery) -> None:
        """Somebody is no longer a member."""
        async with delivery.unit() as uow:
            await perform(uow, partial(leave_member, uow, delivery))

    async def forget_busy(self, delivery: Delivery) -> None:
        """What was known of somebody's time is too old."""
        async with delivery.unit() as uow:
            await perform(uow, partial(forget_busy, uow, delivery))


async def farewell(access: Access, link: Link, delivery: Delivery) -> None:
    """Raises GoogleAway; what we are no longer allowed to do need not be undone."""
    try:
        await stop(access, link)
    except AccessLost:
        """Then nothing is told to us either."""
    token = await refresh_token(access) if delivery.payload.get("revoke", True) else None
    if token is not None:
        try:
            await access.google.revoke(token)
        except GoogleRefused:
            """It was no longer ours."""


async def apply(delivery: Delivery, link: Link, reading: Reading) -> None:
    async with delivery.unit() as uow:
        await perform(uow, partial(take, uow, link, reading))


async def lose(delivery: Delivery, link: Link) -> None:
    async with delivery.unit() as uow:
        await perform(uow, partial(lose_access, uow, link.id, link.member_id))


async def note_away(delivery: Delivery, link: Link) -> None:
    async with delivery.unit() as uow:
        await perform(uow, partial(uow.execute, UNAVAILABLE, link.id))


async def resume(delivery: Delivery, after: timedelta) -> None:
    """Once more, later."""

    async def note(uow: UnitOfWork) -> None:
        await delivery.resume(uow, datetime.now(UTC) + after)

    async with delivery.unit() as uow:
        await perform(uow, partial(note, uow))


async def end(delivery: Delivery) -> None:
    async with delivery.unit() as uow:
        await perform(uow, partial(delivery.done, uow))


def pause(delivery: Delivery, error: GoogleAway) -> timedelta:
    """As long as Google asks for, else about as long as it has been going on, so that it doubles."""
    asked = timedelta(seconds=error.seconds) if error.seconds is not None else min(age(delivery), LATEST)
    return max(SOONEST, asked) * random.uniform(1.0, 1.3)  # noqa: S311


def age(delivery: Delivery) -> timedelta:
    """How long ago it was asked for."""
    return datetime.now(UTC) - datetime.fromisoformat(delivery.payload["at"])
