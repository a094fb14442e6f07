"""The rules of a zone were changed: what is booked keeps its wall time, which may be another instant now."""

from contextlib import suppress
from datetime import datetime
from functools import partial

from plixa.kernel.clock import both, first_instant
from plixa.kernel.errors import NotFound
from plixa.kernel.uow import Kernel, UnitOfWork, perform, working
from plixa.scheduling.commands.appointments import edit_appointment
from plixa.scheduling.commands.claims import lock_time, take
from plixa.scheduling.commands.judging import ZONES, Wanted, judge, remind, taking
from plixa.scheduling.commands.moving import load_standing, look_again
from plixa.scheduling.domain.appointment import Appointment
from plixa.scheduling.queries.appointments import get_appointment
from plixa.scheduling.queries.keeping import list_outdated
from plixa.scheduling.queries.reminders import Place


async def follow_zones(kernel: Kernel, tenant: int) -> None:
    """Everything ahead that was booked by other rules, each in a transaction of its own.

    What is to be later goes from the last one on, what is to be earlier from the first one on: each makes room for its neighbour.
    """
    for latest_first in (True, False):
        last: Place | None = None
        while found := await list_next(kernel, tenant, last, latest_first=latest_first):
            for place in found:
                async with working(kernel, tenant) as uow:
                    with suppress(NotFound):  # erased meanwhile
                        await perform(uow, partial(shift, uow, place.id, is_last_try=not latest_first))
            last = found[-1]


async def list_next(kernel: Kernel, tenant: int, after: Place | None, *, latest_first: bool) -> list[Place]:
    """The next that were booked by other rules, as they are now."""
    async with working(kernel, tenant) as uow:
        return await list_outdated(uow, ZONES, after, latest_first=latest_first)


async def shift(uow: UnitOfWork, number: int, *, is_last_try: bool) -> None:
    """Let one keep its wall time. Where the provider has something else then it stays where it is, and in the end they are told that it
    differs."""
    view = await get_appointment(uow, number)
    async with edit_appointment(uow, number) as known:
        start = instant_of(known.state)
    if start == view.start:
        return
    setup = await load_standing(uow, view)
    await lock_time(uow, [view.provider.id], [one.id for one in setup.resources])
    async with edit_appointment(uow, number) as editor:
        state = editor.state
        if any(one.reason for one in judge(await look_again(uow, setup, state, start), [Wanted(start)], force=True)):
            editor.record(state.differ("moved", start, start + (state.end - state.start)) if is_last_try else ())
            return
        editor.record(state.shift(start, ZONES))
        if editor.facts:
            await take(uow, [taking(editor.state, setup.resources)])
            remind(uow, editor, setup.reminders)


def instant_of(state: Appointment) -> datetime:
    """The instant its wall time is by the rules of today; where it comes twice, the one that was booked."""
    wall = datetime.fromisoformat(state.wall)
    return state.start if state.start in both(wall, state.timezone) else first_instant(wall, state.timezone)
