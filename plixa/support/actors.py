"""What follows from tickets outside of requests: the timer of a solved one, what staff are told, and tags that are no more."""

from datetime import datetime
from functools import partial

import msgspec
from msgspec import Struct

from plixa.kernel.delivery import Delivery, Handler
from plixa.kernel.errors import NotFound
from plixa.kernel.event_store import Actor
from plixa.kernel.settings import Settings
from plixa.kernel.uow import UnitOfWork, perform
from plixa.support.commands.desk import TELL_ASSIGNEE
from plixa.support.commands.tags import DROP_TAG, drop_tag
from plixa.support.commands.telling import tell_assignee, tell_colleagues
from plixa.support.commands.tickets import CLOSE_QUIET, TELL_STAFF, close_quiet
from plixa.support.queries.recipients import find_news


class Actors(Struct, frozen=True):
    """The handlers of this module's effects."""

    settings: Settings

    def handlers(self) -> dict[str, Handler]:
        """By the effect's kind."""
        return {CLOSE_QUIET: close, TELL_STAFF: self.tell_staff, TELL_ASSIGNEE: given, DROP_TAG: drop}

    async def tell_staff(self, delivery: Delivery) -> None:
        """A customer wrote."""
        message = delivery.payload["message_id"]
        async with delivery.unit() as uow:
            news = await find_news(uow, message)
        if news is not None:
            await tell_colleagues(delivery.kernel, self.settings, news)
        await finish(delivery)


async def close(delivery: Delivery) -> None:
    """A solved ticket's week is over."""
    async with delivery.unit() as uow:
        await perform(uow, partial(close_due, uow, delivery))


async def close_due(uow: UnitOfWork, delivery: Delivery) -> None:
    """Close it, unless it is gone or somebody has said something."""
    try:
        await close_quiet(uow, delivery.payload["ticket_id"], datetime.fromisoformat(delivery.payload["at"]))
    except NotFound:
        await uow.rollback()
    await delivery.done(uow)


async def given(delivery: Delivery) -> None:
    """A ticket was given to one of the staff."""
    told = delivery.payload
    place = {"workspace_id": delivery.tenant, "ticket_id": told["ticket_id"]}
    await tell_assignee(delivery.kernel, told["staff_id"], datetime.fromisoformat(told["at"]), place)
    await finish(delivery)


async def drop(delivery: Delivery) -> None:
    """The tickets that carried a deleted tag no longer do."""
    await drop_tag(delivery.kernel, delivery.payload["tag_id"], msgspec.convert(delivery.payload["by"], Actor))
    await finish(delivery)


async def finish(delivery: Delivery) -> None:
    """Note that it is done."""
    async with delivery.unit() as uow:
        await perform(uow, partial(delivery.done, uow))
