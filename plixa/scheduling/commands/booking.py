"""Booking: an appointment, or a series of them, with a provider who was chosen or with the fairest of those who are free."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

from msgspec import Meta, Struct, structs

from plixa.kernel.audit import record
from plixa.kernel.clock import NonexistentLocalTime, first_instant, instant
from plixa.kernel.errors import Invalid
from plixa.kernel.uow import UnitOfWork
from plixa.scheduling.commands.appointments import Notes
from plixa.scheduling.commands.claims import is_crowded, lock_later, lock_time, take
from plixa.scheduling.commands.holds import find_hold, use_hold
from plixa.scheduling.commands.judging import (
    Choice,
    Verdict,
    Wanted,
    Wish,
    choose,
    placed,
    read_start,
    refuse_crowded,
    refuse_taken,
    refuse_unbookable,
    remind,
    taking,
)
from plixa.scheduling.commands.keeping import enrol
from plixa.scheduling.commands.offers import fulfil
from plixa.scheduling.domain.appointment import Appointment
from plixa.scheduling.domain.events import Booked
from plixa.scheduling.domain.repeats import Repeat, occurrences_of
from plixa.scheduling.domain.slots import Provider
from plixa.scheduling.queries.appointments import (
    AppointmentView,
    CustomerView,
    NamedView,
    Names,
    ServiceName,
    hold_customer,
    present_as,
)
from plixa.scheduling.queries.slots import Outdated, Setup, load_setup, recall_setup
from plixa.workspace.queries.settings import read_workspace

DAY: Final = timedelta(days=1)
WEEKS: Final = {"none": 0, "daily": 1 / 7, "weekly": 1, "biweekly": 2, "monthly": 4.5}
"""How far apart occurrences are at most."""


class BookAppointment(Struct, frozen=True):
    """``start`` without an offset is wall time of the provider, or else of the workspace. No provider: the fairest of those who are free.

    A series is all or nothing, unless ``skip_conflicts``. ``force`` books beside the grid, outside of hours and at short notice; what is
    taken stays taken.
    """

    service_id: int
    start: datetime
    provider_id: int | None = None
    contact_id: int | None = None
    notes: Notes | None = None
    repeat: Repeat = "none"
    occurrences: Annotated[int, Meta(ge=1, le=52)] | None = None
    skip_conflicts: bool = False
    force: bool = False
    hold_id: int | None = None

    def __post_init__(self) -> None:
        if self.repeat != "none" and self.occurrences is None:
            raise Invalid.field("occurrences", "Say how many there are to be, from 1 to 52.")
        if self.repeat == "none" and (self.occurrences or 1) > 1:
            raise Invalid.field("repeat", "Say how it repeats: daily, weekly, biweekly or monthly.")


class OccurrenceView(Struct, frozen=True):
    """One of a series that was booked."""

    id: int
    start: datetime


class SkippedView(Struct, frozen=True):
    """One of a series that was not booked, and why."""

    start: datetime
    reason: str


class BookedView(AppointmentView, frozen=True):
    """What was booked: the first of a series, and what became of the others."""

    occurrences: list[OccurrenceView]
    skipped: list[SkippedView]


async def book_appointment(uow: UnitOfWork, data: BookAppointment, source: str = "staff") -> BookedView:
    """Take the time and write it into the calendar; raises NotFound, ServiceInactive, SlotUnavailable with ``details.reason``."""
    try:
        return await book(uow, data, source)
    except Outdated:
        return await book(uow, data, source)


async def book(uow: UnitOfWork, data: BookAppointment, source: str) -> BookedView:
    """The same, by what may be remembered of the service; raises Outdated as well, before anything is written."""
    data = structs.replace(data, start=read_start(data.start, uow.now))
    held = await find_hold(uow, data.hold_id) if data.hold_id is not None else None
    if held is not None:
        data = structs.replace(data, provider_id=data.provider_id or held.provider_id)
    roughly = data.start if data.start.tzinfo else data.start.replace(tzinfo=UTC)
    last = roughly + timedelta(weeks=WEEKS[data.repeat] * (data.occurrences or 1))
    know = recall_setup if data.start.tzinfo else load_setup  # what wall time means depends on whose clocks they are now
    setup = await know(uow, data.service_id, roughly - DAY, last + DAY, data.provider_id)
    refuse_unbookable(setup, data.provider_id)
    zone = setup.providers[data.provider_id].zone if data.provider_id else str((await read_workspace(uow))["timezone"])
    wanted = list(list_wanted(data, zone))
    wish = Wish(wanted, data.provider_id, data.force, data.hold_id)
    if is_lone(uow, setup, data):
        customer, choice = None, await claim_later(uow, setup, wish)
    else:
        await wait_for_turn(uow, setup, wish, skip=data.skip_conflicts)
        customer = await hold_customer(uow, data.contact_id) if data.contact_id is not None else None
        choice = await choose(uow, setup, wish)
        if held is not None:
            await use_hold(uow, held, choice.provider.id, wanted[0].start)
        refuse_crowded(uow, setup, choice.verdicts, skip=data.skip_conflicts)
    states = await write(uow, setup, data, choice, source)
    return await present(uow, setup, choice, states, customer)


def is_lone(uow: UnitOfWork, setup: Setup, data: BookAppointment) -> bool:
    """Is a single time of one provider all that is taken, and nobody held meanwhile? Then the first attempt need not wait to look."""
    more = setup.resources or data.repeat != "none" or data.hold_id or data.contact_id
    return len(setup.providers) == 1 and not (more or uow.begun or uow.attempt)


async def claim_later(uow: UnitOfWork, setup: Setup, wish: Wish) -> Choice:
    """Look, and wait for one's turn only with what is saved: should somebody be faster, the command runs again."""
    choice = await choose(uow, setup, wish)
    refuse_taken(choice.verdicts)
    lock_later(uow, choice.provider.id)
    return choice


async def wait_for_turn(uow: UnitOfWork, setup: Setup, wish: Wish, *, skip: bool) -> None:
    """Nobody else takes any of this time; where somebody waited in vain, whoever has no chance does not."""
    if uow.attempt or is_crowded(uow, setup.providers):
        refuse_taken((await choose(uow, setup, wish)).verdicts, skip=skip)
    await lock_time(uow, setup.providers, [one.id for one in setup.resources])


def list_wanted(data: BookAppointment, zone: str) -> Iterator[Wanted]:
    """The starts that are asked for: the same wall time again. Raises NonexistentLocalTime for the first."""
    first = instant(data.start, zone, "start")
    yield Wanted(first)
    wall = first.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    for local in list(occurrences_of(wall, data.repeat, data.occurrences or 1))[1:]:
        try:
            yield Wanted(instant(local, zone, "start"))
        except NonexistentLocalTime:
            yield Wanted(first_instant(local, zone), exists=False)


async def write(uow: UnitOfWork, setup: Setup, data: BookAppointment, choice: Choice, source: str) -> list[Appointment]:
    """Write what was not refused into the calendar; its time is taken with the commit."""
    accepted = [verdict for verdict in choice.verdicts if verdict.reason is None]
    numbers = [await uow.number("appointment_number") for _ in accepted]
    states: list[Appointment] = []
    for number, verdict in zip(numbers, accepted, strict=True):
        async with uow.create(Appointment(number=number), data.contact_id) as editor:
            event = booked(setup, data, choice.provider, verdict)
            event = structs.replace(event, source=source, chosen=choice.reason)
            if data.repeat != "none":
                event = structs.replace(event, series_id=numbers[0], occurrence=len(states) + 1)
            editor.record(event)
            remind(uow, editor, setup.reminders)
            states.append(editor.state)
    await take(uow, [taking(state, setup.resources) for state in states])
    entry = await fulfil(uow, data.hold_id, numbers[0]) if data.hold_id is not None else None
    enrol(uow, uow.now.date())
    await tell(uow, states, entry)
    return states


async def present(uow: UnitOfWork, setup: Setup, choice: Choice, states: list[Appointment], customer: CustomerView | None) -> BookedView:
    """What was booked, without another look at what is called what."""
    first, resources = states[0], [NamedView(one.id, one.name) for one in setup.resources]
    names = Names(ServiceName(setup.service.name, setup.service.color), choice.provider.name, customer, resources)
    view = await present_as(uow, first.number, names)
    occurrences = [OccurrenceView(state.number, state.start) for state in states] if first.series_id is not None else []
    skipped = [SkippedView(verdict.wanted.start, verdict.reason) for verdict in choice.verdicts if verdict.reason is not None]
    return BookedView(**structs.asdict(view), occurrences=occurrences, skipped=skipped)


def booked(setup: Setup, data: BookAppointment, provider: Provider, verdict: Verdict) -> Booked:
    """The event of one appointment."""
    service, offer = setup.service, setup.offer
    return Booked(
        service_id=service.id,
        service_name=service.name,
        provider_id=provider.id,
        provider_name=provider.name,
        timezone=provider.zone,
        **placed(verdict.wanted.start, offer, provider.zone),
        buffer_before=offer.buffer_before,
        buffer_after=offer.buffer_after,
        resource_ids=tuple(one.id for one in setup.resources),
        pending=service.requires_approval,
        contact_id=data.contact_id,
        notes=data.notes or None,
        owed=(service.price if service.prepayment else service.deposit_amount) or 0,
        currency=service.currency,
        forced=verdict.forced,
        hold_id=data.hold_id,
    )


async def tell(uow: UnitOfWork, states: list[Appointment], waited: int | None) -> None:
    """The entry of the audit trail, which tells also whose waiting came to its end."""
    first, *others = states
    after: dict[str, Any] = {"service_id": first.service_id, "provider_id": first.provider_id, "start": first.start, "status": first.status}
    after |= {"others": [state.number for state in others]} if others else {}
    after |= {"waitlist_entry": waited} if waited is not None else {}
    await record(uow, "appointment.booked", (Appointment.KIND, first.number), after=after)
