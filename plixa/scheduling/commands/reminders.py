"""Timers of reminders, where it is decided anew when customers are reminded."""

from datetime import UTC, datetime
from functools import partial
from typing import Final

from plixa.kernel.outbox import Effect
from plixa.kernel.uow import Kernel, UnitOfWork, perform, working
from plixa.scheduling.commands.judging import set_timers
from plixa.scheduling.queries.reminders import AHEAD, Place, list_ahead, list_due

ANEW: Final = "scheduling.remind_anew"


def remind_anew(uow: UnitOfWork, service: int | None) -> None:
    """Offsets were changed, of a service or of the workspace: what is booked already gets the timers it lacks, behind this commit.

    A timer whose offset is no longer wanted says nothing when its time comes.
    """
    uow.enqueue(Effect(ANEW, f"{service or 'all'}/{uow.now.isoformat()}", {"service_id": service}))


async def set_timers_anew(kernel: Kernel, tenant: int, service: int | None) -> None:
    """Every confirmed appointment that lies ahead, a batch in a transaction."""
    place: Place | None = Place(datetime.now(UTC), 0)
    while place is not None:
        async with working(kernel, tenant) as uow:
            place = await perform(uow, partial(set_batch, uow, service, place))


async def set_batch(uow: UnitOfWork, service: int | None, after: Place) -> Place | None:
    """The next appointments by start; answers the last one, if there may be more."""
    ahead = await list_ahead(uow, service, after)
    offsets = {number: await list_due(uow, number) for number in {one.service_id for one in ahead}}
    for one in ahead:
        set_timers(uow, one.id, one.start, offsets[one.service_id])
    return Place(ahead[-1].start, ahead[-1].id) if len(ahead) == AHEAD else None
