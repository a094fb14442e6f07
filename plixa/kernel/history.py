"""What happened to one thing: its stream, decoded, as the API shows it."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Struct

from plixa.kernel.cursor import decode, encode
from plixa.kernel.envelope import Page
from plixa.kernel.event_store import Actor, Recorded
from plixa.kernel.log import Log
from plixa.kernel.paging import Paging
from plixa.kernel.uow import UnitOfWork

NEWEST = 2**31 - 1
"""No stream has as many versions."""


class EventView(Struct, frozen=True):
    """One event: its place in the tenant's log and in its stream, what it says, who caused it and when."""

    position: int
    version: int
    type: str
    at: datetime
    actor: Actor
    request_id: str
    data: dict[str, Any]


def event_view(fact: Recorded) -> EventView:
    """An event as the API shows it."""
    data: dict[str, Any] = msgspec.to_builtins(fact.event)
    return EventView(fact.position, fact.version, fact.event.TOPIC, fact.at, fact.actor, fact.request_id, data)


async def open_log(uow: UnitOfWork) -> Log:
    """The tenant's log, on the unit of work's own connection."""
    return Log(await uow.connection(), uow.kernel.vault, uow.tenant)


async def list_history(uow: UnitOfWork, stream: UUID, paging: Paging) -> tuple[list[EventView], Page]:
    """A stream, newest first."""
    before = decode(paging.cursor, (int,))[0] if paging.cursor else NEWEST
    facts = await (await open_log(uow)).tail(stream, before, paging.limit + 1)
    shown = [event_view(fact) for fact in facts[: paging.limit]]
    return shown, Page(encode((shown[-1].version,)) if len(facts) > paging.limit else None, paging.limit)
