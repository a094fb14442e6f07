"""Whether a contact wants broadcasts, as members say it."""

from litestar import Controller
from litestar.params import FromPath, FromQuery, JSONBody

from plixa.contacts.commands.opt_out import OptOut, WhyIn, exclude_contact, include_contact
from plixa.contacts.queries.people import PersonDetailView, get_person
from plixa.kernel.auth import Access
from plixa.kernel.envelope import Data
from plixa.kernel.http import Uow, delete, post


class OptOutController(Controller):
    path = "/contacts/{contact:int}/opt-out"
    tags = ("Contacts",)

    @post("/", access=Access.MEMBER, status_code=200)
    async def exclude(self, uow: Uow, contact: FromPath[int], data: JSONBody[OptOut]) -> Data[PersonDetailView]:
        """Send a contact no more broadcasts."""
        await exclude_contact(uow, contact, data)
        return Data(await get_person(uow, contact))

    @delete("/", access=Access.OWNER)
    async def include(self, uow: Uow, contact: FromPath[int], reason: FromQuery[WhyIn]) -> None:
        """Send a contact broadcasts again, for a reason."""
        await include_contact(uow, contact, reason)
