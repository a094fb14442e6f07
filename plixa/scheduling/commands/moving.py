"""Commands that claim time for an appointment there is: moving it, approving it, and taking back that its customer did not come."""

from datetime import datetime, timedelta

from msgspec import Struct, structs

from plixa.kernel.clock import instant
from plixa.kernel.errors import Conflict, NotFound, StreamConflict
from plixa.kernel.uow import UnitOfWork
from plixa.scheduling.commands.appointments import edit_appointment
from plixa.scheduling.commands.claims import is_crowded, leave_units, lock_time, offer_again, take
from plixa.scheduling.commands.judging import Wanted, judge, placed, read_start, refuse_crowded, refuse_hard, remind, taking
from plixa.scheduling.domain.appointment import COMPLETED, NO_SHOW, Appointment
from plixa.scheduling.domain.events import Rescheduled
from plixa.scheduling.domain.slots import Offer, Provider, Timetable
from plixa.scheduling.queries.appointments import AppointmentView, get_appointment
from plixa.scheduling.queries.reminders import list_due
from plixa.scheduling.queries.slots import BookedService, Setup, list_booked, load_setup, load_times


class RescheduleAppointment(Struct, frozen=True):
    """``start`` without an offset is wall time of the provider; ``force`` moves it beside the grid and outside of hours."""

    start: datetime
    force: bool = False


class ServiceGone(Conflict):
    code = "SERVICE_GONE"
    default = "Its service is no more. Cancel the appointment, and book another service."


async def reschedule(uow: UnitOfWork, number: int, data: RescheduleAppointment) -> None:
    """Move it; it stays what it is. Raises SlotUnavailable and InvalidTransition."""
    view = await get_appointment(uow, number)
    start = instant(read_start(data.start, uow.now), view.timezone, "start")
    setup = await load_again(uow, view, start)
    await lock_again(uow, setup, view, start)
    async with edit_appointment(uow, number) as editor:
        state = editor.state
        state.refuse_moving()
        if start == state.start:
            return
        table = await look_again(uow, setup, state, start)
        (verdict,) = judge(table, [Wanted(start)], force=data.force)
        refuse_crowded(uow, setup, [verdict])
        resources = tuple(one.id for one in setup.resources)
        moved = Rescheduled(**placed(start, table.offer, state.timezone), was=state.start, resource_ids=resources, forced=verdict.forced)
        editor.record(moved)
        leave_units(uow, number, resources)
        await take(uow, [taking(editor.state, setup.resources)])
        offer_again(uow, editor)
        remind(uow, editor, setup.reminders)


async def approve(uow: UnitOfWork, number: int) -> None:
    """Accept a request: it is confirmed, and its reminders are scheduled. Raises SlotUnavailable and InvalidTransition."""
    view = await get_appointment(uow, number)
    setup = await load_standing(uow, view)
    await lock_again(uow, setup, view, view.start)
    async with edit_appointment(uow, number) as editor:
        editor.record(editor.state.approve())
        if editor.facts:
            refuse_hard(await look_again(uow, setup, editor.state, editor.state.start), editor.state.start)
            remind(uow, editor, setup.reminders)


async def correct(uow: UnitOfWork, number: int) -> None:
    """Take back, within a day, that it was completed or missed; a customer who did come gets their time back. Raises SlotUnavailable."""
    view = await get_appointment(uow, number)
    setup = await load_standing(uow, view) if view.status != COMPLETED else None
    if setup is not None:
        await lock_again(uow, setup, view, view.start)
    async with edit_appointment(uow, number) as editor:
        state = editor.state
        editor.record(state.correct(uow.now))
        if state.status is NO_SHOW:
            if setup is None:  # it was completed a moment ago
                raise StreamConflict
            refuse_hard(await look_again(uow, setup, state, state.start), state.start)
            await take(uow, [taking(editor.state, setup.resources)])


async def load_again(uow: UnitOfWork, view: AppointmentView, start: datetime) -> Setup:
    """How its service is offered now; raises ServiceGone. Who gives it no more has no hours for it."""
    try:
        setup = await load_setup(uow, view.service.id, start, start + (view.end - view.start), view.provider.id)
    except NotFound as error:
        raise ServiceGone from error
    own = {view.provider.id: Provider(view.provider.id, view.provider.name, view.timezone, [])}
    return structs.replace(setup, providers=own | setup.providers)


async def load_standing(uow: UnitOfWork, view: AppointmentView) -> Setup:
    """What it was booked with, whatever became of the service since."""
    service = BookedService(
        view.service.id,
        view.service.name,
        is_active=False,
        requires_approval=False,
        price=None,
        deposit_amount=None,
        prepayment=False,
        currency="",
        color=None,
    )
    provider = Provider(view.provider.id, view.provider.name, view.timezone, [])
    resources = await list_booked(uow, [one.id for one in view.resources])
    return Setup(service, Offer(view.service.duration), {provider.id: provider}, resources, [], await list_due(uow, service.id))


async def lock_again(uow: UnitOfWork, setup: Setup, view: AppointmentView, start: datetime) -> None:
    """Nobody else takes its provider's and its resources' time. Where it is crowded, whoever has no chance does not wait in line."""
    if is_crowded(uow, setup.providers):
        bare = Appointment(view.id, provider_id=view.provider.id, start=view.start, end=view.end)
        refuse_hard(await look_again(uow, setup, bare, start), start)
    await lock_time(uow, setup.providers, [one.id for one in setup.resources])


async def look_again(uow: UnitOfWork, setup: Setup, state: Appointment, start: datetime) -> Timetable:
    """What stands against a start, were it not for the appointment itself; it keeps the length and the buffers it was booked with."""
    minutes = round((state.end - state.start) / timedelta(minutes=1))
    offer = structs.replace(setup.offer, duration=minutes, buffer_before=state.buffer_before, buffer_after=state.buffer_after)
    span = start, start + timedelta(seconds=offer.length)
    times = await load_times(uow, setup, [state.provider_id], span, [state.number])
    return structs.replace(setup, offer=offer).timetable(state.provider_id, times, uow.now)
