"""Contacts, where their conversations follow: renamed, blocked, merged, deleted, forgotten."""

from litestar import Controller
from litestar.params import FromPath, JSONBody

from plixa.contacts.commands.people import UpdateContact
from plixa.contacts.queries.people import PersonDetailView, get_person
from plixa.inbox.commands.erasing import ErasureView, erase_contact
from plixa.inbox.commands.people import MergeContact, block_contact, change_contact, delete_contact, merge_contact, unmerge_contact
from plixa.kernel.auth import Access
from plixa.kernel.envelope import Data
from plixa.kernel.http import Uow, delete, patch, post


class ContactCareController(Controller):
    path = "/contacts/{contact:int}"
    tags = ("Contacts",)

    @patch("/", access=Access.OWNER)
    async def update(self, uow: Uow, contact: FromPath[int], data: JSONBody[UpdateContact]) -> Data[PersonDetailView]:
        """Update a contact's name and notes."""
        await change_contact(uow, contact, data)
        return Data(await get_person(uow, contact))

    @delete("/", access=Access.OWNER)
    async def remove(self, uow: Uow, contact: FromPath[int]) -> None:
        """Delete a contact; its conversations stay, by their phone."""
        await delete_contact(uow, contact)

    @post("/block", access=Access.OWNER, status_code=200)
    async def block(self, uow: Uow, contact: FromPath[int]) -> Data[PersonDetailView]:
        """Keep what a contact writes out of sight, and write to them no more."""
        await block_contact(uow, contact, blocked=True)
        return Data(await get_person(uow, contact))

    @delete("/block", access=Access.OWNER)
    async def unblock(self, uow: Uow, contact: FromPath[int]) -> None:
        """Let a contact through again."""
        await block_contact(uow, contact, blocked=False)

    @post("/merge", access=Access.OWNER, status_code=200)
    async def merge(self, uow: Uow, contact: FromPath[int], data: JSONBody[MergeContact]) -> Data[PersonDetailView]:
        """Merge a contact into another, which is answered."""
        await merge_contact(uow, contact, data)
        return Data(await get_person(uow, data.into))

    @post("/unmerge", access=Access.OWNER, status_code=200)
    async def unmerge(self, uow: Uow, contact: FromPath[int]) -> Data[PersonDetailView]:
        """Let a contact that was merged into another be one of its own again."""
        await unmerge_contact(uow, contact)
        return Data(await get_person(uow, contact))

    @post("/erase", access=Access.OWNER, status_code=200)
    async def erase(self, uow: Uow, contact: FromPath[int]) -> Data[ErasureView]:
        """Erase a contact and every conversation with it, for good; the receipt can be checked against the log."""
        return Data(await erase_contact(uow, contact))
