"""Lists of contacts brought in as CSV files."""

from typing import Annotated

from litestar import Controller
from litestar.datastructures import UploadFile
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromPath, FromQuery
from msgspec import Struct

from plixa.contacts.commands.imports import LARGEST, start_import
from plixa.contacts.queries.imports import ImportRowView, ImportView, Outcome, get_import, list_import_rows
from plixa.kernel.auth import Access
from plixa.kernel.envelope import Data
from plixa.kernel.http import Uow, get, post
from plixa.kernel.paging import PageWanted


class ContactList(Struct, frozen=True):
    """A CSV file, at most 5 MB and 50,000 rows; the first names the columns: phone, and any of name, notes and labels."""

    file: UploadFile


ListForm = Annotated[ContactList, Body(media_type=RequestEncodingType.MULTI_PART)]


class ContactImportController(Controller):
    path = "/contacts/imports"
    tags = ("Contacts",)

    @post("/", access=Access.OWNER, request_max_body_size=LARGEST + 64 * 1024)
    async def create(self, uow: Uow, data: ListForm) -> Data[ImportView]:
        """Bring in a list of contacts; its rows are worked on behind this."""
        await data.file.seek(0)
        return Data(await start_import(uow, await data.file.read()))

    @get("/{import_id:int}", access=Access.OWNER)
    async def show(self, uow: Uow, import_id: FromPath[int]) -> Data[ImportView]:
        """How far an import is."""
        return Data(await get_import(uow, import_id))

    @get("/{import_id:int}/rows", access=Access.OWNER)
    async def rows(
        self, uow: Uow, import_id: FromPath[int], paging: PageWanted, outcome: FromQuery[Outcome | None] = None
    ) -> Data[list[ImportRowView]]:
        """What became of every row."""
        return Data(*await list_import_rows(uow, import_id, outcome, paging))
