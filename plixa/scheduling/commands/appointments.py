"""What happens to an appointment once it is booked, but for where its time has to be claimed anew."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Annotated, Final, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from plixa.contacts.queries.identities import hold_contact
from plixa.kernel.editor import Editor
from plixa.kernel.errors import Conflict, Invalid, NotFound
from plixa.kernel.event_store import stream_id
from plixa.kernel.uow import UnitOfWork
from plixa.scheduling.commands.claims import offer_again, release
from plixa.scheduling.domain.appointment import CANCELLED, LIVE, Appointment
from plixa.scheduling.domain.events import Erased
from plixa.scheduling.queries.appointments import get_appointment

OWN: Final = "UPDATE stream_key SET contact_id = $2 WHERE tenant_id = $1 AND stream_id = $3"
"""Whose erasure erases it."""
SERIES: Final = """SELECT id FROM appointment WHERE tenant_id = scope.tenant AND series_id = $2 AND occurrence >= $3
AND status = ANY($4::text[]) ORDER BY occurrence"""
THEIRS: Final = """SELECT a.id FROM appointment a WHERE a.tenant_id = scope.tenant AND a.contact_id = ANY($2::bigint[]) ORDER BY a.id"""

Notes = Annotated[str, Meta(max_length=2000)]
Scope = Literal["this", "following", "series"]


class NothingOwed(Invalid):
    code = "NOTHING_OWED"
    default = "Nothing is owed for this appointment."


class StripeNotConnected(Conflict):
    code = "STRIPE_NOT_CONNECTED"
    default = "Connect a Stripe account first; payments cannot be collected without one."


class UpdateAppointment(Struct, frozen=True):
    """Only what is sent is touched; null clears."""

    contact_id: int | UnsetType | None = UNSET
    notes: Notes | UnsetType | None = UNSET


class CancelAppointment(Struct, frozen=True):
    """``scope`` beyond ``this`` is for series: this one and those after it, or all that still lie ahead."""

    reason: Annotated[str, Meta(max_length=500)] | None = None
    scope: Scope = "this"


@asynccontextmanager
async def edit_appointment(uow: UnitOfWork, number: int) -> AsyncIterator[Editor[Appointment]]:
    """An appointment to be changed; raises NotFound."""
    async with AsyncExitStack() as stack:
        try:
            editor = await stack.enter_async_context(uow.edit(Appointment, number))
        except NotFound as error:
            raise NotFound("There is no such appointment.") from error
        yield editor


async def update_appointment(uow: UnitOfWork, number: int, data: UpdateAppointment) -> None:
    """Say whose it is, and what to know; raises NotFound, also for a contact who is not of this workspace."""
    if isinstance(data.contact_id, int):
        await hold_contact(uow, data.contact_id)
    async with edit_appointment(uow, number) as editor:
        if data.contact_id is not UNSET and data.contact_id != editor.state.contact_id:
            editor.record(editor.state.choose_contact(data.contact_id))
            uow.also(OWN, data.contact_id, editor.stream)
        if data.notes is not UNSET:
            editor.record(editor.state.note(data.notes))


async def decline(uow: UnitOfWork, number: int) -> None:
    """Refuse a request; its time is free again."""
    async with edit_appointment(uow, number) as editor:
        editor.record(editor.state.decline())
        if editor.facts:
            give_back(uow, editor)


async def cancel_appointment(uow: UnitOfWork, number: int, data: CancelAppointment) -> None:
    """Give its time back, and that of the others of its series where that is asked for."""
    if data.scope == "this":
        async with edit_appointment(uow, number) as editor:
            call_off(uow, editor, data)
        return
    view = await get_appointment(uow, number)
    if view.series_id is None or view.occurrence is None:
        raise Invalid.field("scope", "This appointment is not part of a series.")
    found = await uow.fetch(SERIES, view.series_id, view.occurrence if data.scope == "following" else 0, sorted(LIVE))
    numbers = [one["id"] for one in found]
    async with uow.together(Appointment, numbers):
        for one in numbers:
            async with uow.edit(Appointment, one) as editor:
                if editor.state.status in LIVE:
                    call_off(uow, editor, data)


def call_off(uow: UnitOfWork, editor: Editor[Appointment], data: CancelAppointment) -> None:
    """Cancel one of them."""
    editor.record(editor.state.cancel(data.reason, data.scope))
    if editor.facts:
        give_back(uow, editor)


def give_back(uow: UnitOfWork, editor: Editor[Appointment]) -> None:
    """Its time is free for others, the waitlist first."""
    release(uow, editor.state.number)
    offer_again(uow, editor)


async def arrive(uow: UnitOfWork, number: int) -> None:
    """The customer is there."""
    async with edit_appointment(uow, number) as editor:
        editor.record(editor.state.arrive(uow.now))


async def complete(uow: UnitOfWork, number: int) -> None:
    """The customer was served."""
    async with edit_appointment(uow, number) as editor:
        editor.record(editor.state.complete(uow.now))


async def miss(uow: UnitOfWork, number: int) -> None:
    """The customer did not come; what is left of its time is free."""
    async with edit_appointment(uow, number) as editor:
        editor.record(editor.state.miss(uow.now))
        if editor.facts:
            release(uow, number)


async def ask_payment(uow: UnitOfWork, number: int) -> None:
    """Raises NothingOwed where nothing is owed; else StripeNotConnected."""
    view = await get_appointment(uow, number)
    if view.payment.status not in {"due", "link_sent"} or view.status == CANCELLED:
        raise NothingOwed
    raise StripeNotConnected


async def erase_appointments(uow: UnitOfWork, contacts: list[int]) -> None:
    """Their customer was erased: the keys are destroyed, and what lay ahead is free again."""
    for number in [row["id"] for row in await uow.fetch(THEIRS, contacts)]:
        async with uow.edit(Appointment, number) as editor:
            live = editor.state.status in LIVE
            release(uow, number)
            editor.record(Erased())
            uow.erase(stream_id(Appointment.KIND, number))
        if live:
            offer_again(uow, editor)
