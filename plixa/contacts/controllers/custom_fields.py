"""Custom fields: how the workspace defines them, and what stands in a contact's."""

from litestar import Controller
from litestar.params import FromPath, JSONBody

from plixa.contacts.commands.custom_fields import (
    DefineField,
    FillFields,
    UpdateField,
    define_field,
    delete_field,
    fill_fields,
    reorder_fields,
    update_field,
)
from plixa.contacts.queries.custom_fields import DefinitionView, ValuesView, get_values, list_definitions
from plixa.kernel.auth import Access
from plixa.kernel.envelope import Data
from plixa.kernel.http import Uow, delete, get, post, put
from plixa.kernel.ordering import Reorder

FEATURE = "custom_fields"
"""What the plan must include to change them; reading needs nothing."""


class CustomFieldController(Controller):
    path = "/custom-field-definitions"
    tags = ("Contacts (custom fields)",)

    @get("/", access=Access.MEMBER)
    async def index(self, uow: Uow) -> Data[list[DefinitionView]]:
        """List the custom fields, top to bottom."""
        return Data(await list_definitions(uow))

    @post("/", access=Access.OWNER, feature=FEATURE)
    async def create(self, uow: Uow, data: JSONBody[DefineField]) -> Data[DefinitionView]:
        """Define a custom field."""
        return Data(await define_field(uow, data))

    @post("/reorder", access=Access.OWNER, feature=FEATURE, status_code=200)
    async def reorder(self, uow: Uow, data: JSONBody[Reorder]) -> Data[list[DefinitionView]]:
        """Put custom fields in another order; those that are missing stay where they are."""
        return Data(await reorder_fields(uow, data))

    @put("/{definition:int}", access=Access.OWNER, feature=FEATURE)
    async def update(self, uow: Uow, definition: FromPath[int], data: JSONBody[UpdateField]) -> Data[DefinitionView]:
        """Rename a custom field or offer other options; its type stays."""
        return Data(await update_field(uow, definition, data))

    @delete("/{definition:int}", access=Access.OWNER, feature=FEATURE)
    async def remove(self, uow: Uow, definition: FromPath[int]) -> None:
        """Delete a custom field with everything that stands in it."""
        await delete_field(uow, definition)


class ContactFieldController(Controller):
    path = "/contacts/{contact:int}/custom-fields"
    tags = ("Contacts",)

    @get("/", access=Access.MEMBER, ability="read")
    async def show(self, uow: Uow, contact: FromPath[int]) -> Data[ValuesView]:
        """Show what stands in a contact's custom fields, by definition."""
        return Data(await get_values(uow, contact))

    @put("/", access=Access.OWNER, feature=FEATURE)
    async def update(self, uow: Uow, contact: FromPath[int], data: JSONBody[FillFields]) -> Data[ValuesView]:
        """Set or clear a contact's custom fields; fields that are missing stay as they are."""
        return Data(await fill_fields(uow, contact, data))
