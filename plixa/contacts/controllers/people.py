"""The directory of contacts: the list, one contact, somebody by their phone, the list as a file."""

from typing import Annotated, Any

from litestar import Controller
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from litestar.response import Stream

from plixa.contacts.commands.people import CreateContact, create_contact
from plixa.contacts.queries.people import (
    CSV_HEADER,
    PeopleFilters,
    PersonDetailView,
    PersonView,
    Sort,
    csv_cells,
    fetch_people,
    find_person,
    get_person,
    list_people,
)
from plixa.kernel.audit import note_export
from plixa.kernel.auth import Access
from plixa.kernel.envelope import Data, Page
from plixa.kernel.export import PAGE, csv_file
from plixa.kernel.http import Caller, Machinery, Uow, get, post
from plixa.kernel.paging import PageWanted, Paging

Sorted = FromQuery[Sort]
Phone = Annotated[str, QueryParameter(pattern=r"^[+ ]?[0-9]{8,18}$", description="Digits with the country code.")]


def provide_filters(
    q: Annotated[str | None, QueryParameter(max_length=100, description="Part of a name or phone number.")] = None,
    label_id: FromQuery[int | None] = None,
    has_conversation: FromQuery[bool | None] = None,
    opted_out: FromQuery[bool | None] = None,
    blocked: FromQuery[bool | None] = None,
) -> PeopleFilters:
    """Which contacts."""
    return PeopleFilters(q, label_id, has_conversation, opted_out, blocked)


class ContactController(Controller):
    path = "/contacts"
    tags = ("Contacts",)
    dependencies: Any = {"filters": Provide(provide_filters, sync_to_thread=False)}  # noqa: RUF012 - as Litestar has it

    @get("/", access=Access.MEMBER, ability="read")
    async def index(
        self, uow: Uow, filters: NamedDependency[PeopleFilters], paging: PageWanted, sort: Sorted = "-created_at"
    ) -> Data[list[PersonView]]:
        """List contacts, newest first unless told otherwise."""
        return Data(*await list_people(uow, filters, sort, paging))

    @get("/lookup", access=Access.MEMBER, ability="read")
    async def lookup(self, uow: Uow, phone: Phone) -> Data[PersonView]:
        """Find whoever has a phone, with or without its ninth digit."""
        return Data(await find_person(uow, phone))

    @get("/export", access=Access.OWNER, media_type="text/csv")
    async def export(
        self, caller: Caller, kernel: Machinery, filters: NamedDependency[PeopleFilters], sort: Sorted = "-created_at"
    ) -> Stream:
        """The directory as a CSV file; that it was taken is an entry of the audit trail."""

        async def page(cursor: str | None) -> tuple[list[Any], Page]:
            uow = kernel.unit(caller.tenant)
            try:
                return await fetch_people(uow, filters, sort, Paging(cursor, PAGE))
            finally:
                uow.close()

        file = await csv_file("contacts", CSV_HEADER, page, csv_cells)
        await note_export(kernel, caller, "contacts")
        return file

    @get("/{contact:int}", access=Access.MEMBER, ability="read")
    async def show(self, uow: Uow, contact: FromPath[int]) -> Data[PersonDetailView]:
        """Get a contact with notes, fields, addresses and conversations."""
        return Data(await get_person(uow, contact))

    @post("/", access=Access.MEMBER, ability="write")
    async def create(self, uow: Uow, data: JSONBody[CreateContact]) -> Data[PersonView]:
        """Create a contact, or return the existing one for the phone."""
        return Data(await create_contact(uow, data))
