"""Appointments: the calendar, one appointment, and everything staff do with it."""

from datetime import datetime
from typing import Annotated, Any

from litestar import Controller
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from plixa.identity.queries.members import get_instant
from plixa.kernel.auth import Access
from plixa.kernel.envelope import Data
from plixa.kernel.history import EventView
from plixa.kernel.http import Uow, get, patch, post
from plixa.kernel.paging import PageWanted
from plixa.scheduling.commands.appointments import (
    CancelAppointment,
    UpdateAppointment,
    arrive,
    ask_payment,
    cancel_appointment,
    complete,
    decline,
    miss,
    update_appointment,
)
from plixa.scheduling.commands.booking import BookAppointment, BookedView, book_appointment
from plixa.scheduling.commands.moving import RescheduleAppointment, approve, correct, reschedule
from plixa.scheduling.queries.appointments import (
    AppointmentView,
    CalendarFilters,
    State,
    list_appointments,
    present_appointment,
)
from plixa.scheduling.queries.history import (
    AppointmentDetailView,
    get_detail,
    list_appointments_as_of,
    list_events,
)

Ids = Annotated[list[int] | None, QueryParameter(max_items=200)]
Start = Annotated[datetime | None, QueryParameter(name="from", description="What ends after it; without an offset the workspace's time.")]
End = Annotated[datetime | None, QueryParameter(name="to", description="What begins before it.")]


def provide_providers(
    provider_id: Ids = None, provider_list: Annotated[list[int] | None, QueryParameter(name="provider_id[]", max_items=200)] = None
) -> list[int] | None:
    """Whose appointments, however the list is written."""
    return provider_id or provider_list


def provide_services(
    service_id: Ids = None, service_list: Annotated[list[int] | None, QueryParameter(name="service_id[]", max_items=200)] = None
) -> list[int] | None:
    """Appointments for what, however the list is written."""
    return service_id or service_list


def provide_statuses(
    status: Annotated[list[State] | None, QueryParameter(max_items=6)] = None,
    status_list: Annotated[list[State] | None, QueryParameter(name="status[]", max_items=6)] = None,
) -> list[State] | None:
    """Appointments in which states, however the list is written."""
    return status or status_list


async def provide_span(uow: Uow, since: Start = None, until: End = None) -> tuple[datetime | None, datetime | None]:
    """Which part of the calendar."""
    try:
        begin = await get_instant(uow, since, "from") if since is not None else None
        return begin, await get_instant(uow, until, "to") if until is not None else None
    finally:
        uow.close()  # where another parameter is refused the operation never begins, and nobody else would


def provide_filters(
    span: NamedDependency[tuple[datetime | None, datetime | None]],
    providers: NamedDependency[list[int] | None],
    services: NamedDependency[list[int] | None],
    statuses: NamedDependency[list[State] | None],
    contact_id: FromQuery[int | None] = None,
) -> CalendarFilters:
    """Which appointments."""
    return CalendarFilters(*span, providers, services, statuses, contact_id)


class AppointmentController(Controller):
    path = "/scheduling/appointments"
    tags = ("Scheduling — appointments",)
    dependencies: Any = {  # noqa: RUF012
        "span": Provide(provide_span),
        "providers": Provide(provide_providers, sync_to_thread=False),
        "services": Provide(provide_services, sync_to_thread=False),
        "statuses": Provide(provide_statuses, sync_to_thread=False),
        "filters": Provide(provide_filters, sync_to_thread=False),
    }

    @get("/", access=Access.MEMBER, ability="read")
    async def index(
        self, uow: Uow, filters: NamedDependency[CalendarFilters], paging: PageWanted, as_of: FromQuery[datetime | None] = None
    ) -> Data[list[AppointmentView]]:
        """The calendar by start, as it is or as it was at `as_of`; `meta` tells what else closes the time asked for."""
        if as_of is not None:
            return Data(*await list_appointments_as_of(uow, filters, await get_instant(uow, as_of, "as_of"), paging))
        return Data(*await list_appointments(uow, filters, paging))

    @post("/", access=Access.MEMBER, ability="write")
    async def book(self, uow: Uow, data: JSONBody[BookAppointment]) -> Data[BookedView]:
        """Book an appointment manually (staff), or a series of them; all or nothing, unless conflicts are to be skipped."""
        return Data(await book_appointment(uow, data))

    @get("/pending", access=Access.MEMBER, ability="read")
    async def pending(self, uow: Uow, paging: PageWanted) -> Data[list[AppointmentView]]:
        """Requests that wait for the owner's word, by start."""
        return Data(*await list_appointments(uow, CalendarFilters(statuses=["pending"]), paging))

    @get("/{appointment:int}", access=Access.MEMBER, ability="read")
    async def show(self, uow: Uow, appointment: FromPath[int], as_of: FromQuery[datetime | None] = None) -> Data[AppointmentDetailView]:
        """Get an appointment with its history and reminders, as it is or as it was at `as_of`."""
        moment = await get_instant(uow, as_of, "as_of") if as_of is not None else None
        return Data(await get_detail(uow, appointment, moment))

    @patch("/{appointment:int}", access=Access.MEMBER, ability="write")
    async def update(self, uow: Uow, appointment: FromPath[int], data: JSONBody[UpdateAppointment]) -> Data[AppointmentView]:
        """Edit an appointment's basic fields; only what is sent is touched."""
        await update_appointment(uow, appointment, data)
        return Data(await present_appointment(uow, appointment))

    @get("/{appointment:int}/events", access=Access.MEMBER, ability="read")
    async def events(self, uow: Uow, appointment: FromPath[int], paging: PageWanted) -> Data[list[EventView]]:
        """What happened to an appointment, who did it and why, newest first."""
        return Data(*await list_events(uow, appointment, paging))

    @post("/{appointment:int}/approve", access=Access.OWNER, status_code=200)
    async def approve(self, uow: Uow, appointment: FromPath[int]) -> Data[AppointmentView]:
        """Approve a pending (requested) booking: it is confirmed, and its reminders are scheduled. Owner only."""
        await approve(uow, appointment)
        return Data(await present_appointment(uow, appointment))

    @post("/{appointment:int}/decline", access=Access.OWNER, status_code=200)
    async def decline(self, uow: Uow, appointment: FromPath[int]) -> Data[AppointmentView]:
        """Decline a pending (requested) booking: it is cancelled. Owner only."""
        await decline(uow, appointment)
        return Data(await present_appointment(uow, appointment))

    @post("/{appointment:int}/reschedule", access=Access.MEMBER, ability="write", status_code=200)
    async def reschedule(self, uow: Uow, appointment: FromPath[int], data: JSONBody[RescheduleAppointment]) -> Data[AppointmentView]:
        """Reschedule an appointment; it stays what it is, and its reminders move along."""
        await reschedule(uow, appointment, data)
        return Data(await present_appointment(uow, appointment))

    @post("/{appointment:int}/cancel", access=Access.MEMBER, ability="write", status_code=200)
    async def cancel(self, uow: Uow, appointment: FromPath[int], data: JSONBody[CancelAppointment | None] = None) -> Data[AppointmentView]:
        """Cancel an appointment; of a series this one, this and the following, or all of it."""
        await cancel_appointment(uow, appointment, data or CancelAppointment())
        return Data(await present_appointment(uow, appointment))

    @post("/{appointment:int}/arrive", access=Access.MEMBER, ability="write", status_code=200)
    async def arrive(self, uow: Uow, appointment: FromPath[int]) -> Data[AppointmentView]:
        """Mark that the customer has arrived and waits."""
        await arrive(uow, appointment)
        return Data(await present_appointment(uow, appointment))

    @post("/{appointment:int}/complete", access=Access.MEMBER, ability="write", status_code=200)
    async def complete(self, uow: Uow, appointment: FromPath[int]) -> Data[AppointmentView]:
        """Mark an appointment as completed: the customer was served."""
        await complete(uow, appointment)
        return Data(await present_appointment(uow, appointment))

    @post("/{appointment:int}/no-show", access=Access.MEMBER, ability="write", status_code=200)
    async def miss(self, uow: Uow, appointment: FromPath[int]) -> Data[AppointmentView]:
        """Mark an appointment as a no-show."""
        await miss(uow, appointment)
        return Data(await present_appointment(uow, appointment))

    @post("/{appointment:int}/correct", access=Access.MEMBER, ability="write", status_code=200)
    async def correct(self, uow: Uow, appointment: FromPath[int]) -> Data[AppointmentView]:
        """Take back, within 24 hours, that it was completed or missed."""
        await correct(uow, appointment)
        return Data(await present_appointment(uow, appointment))

    @post("/{appointment:int}/payment-link", access=Access.MEMBER, ability="write", status_code=200)
    async def payment_link(self, uow: Uow, appointment: FromPath[int]) -> None:
        """Create a Stripe Checkout link to collect the deposit or prepayment; 422 when nothing is owed."""
        await ask_payment(uow, appointment)
