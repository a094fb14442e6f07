"""Labels, and what is labelled with them."""

from litestar import Controller
from litestar.params import FromPath, JSONBody

from plixa.contacts.commands.labels import (
    CreateLabel,
    UpdateLabel,
    create_label,
    delete_label,
    label_contact,
    unlabel_contact,
    update_label,
)
from plixa.contacts.queries.labels import CountedLabelView, LabelView, list_labels
from plixa.kernel.auth import Access
from plixa.kernel.envelope import Data
from plixa.kernel.http import Uow, delete, get, post, put


class LabelController(Controller):
    path = "/labels"
    tags = ("Labels",)

    @get("/", access=Access.MEMBER, ability="read")
    async def index(self, uow: Uow) -> Data[list[CountedLabelView]]:
        """List the labels, and how many conversations and contacts carry each."""
        return Data(await list_labels(uow))

    @post("/", access=Access.OWNER)
    async def create(self, uow: Uow, data: JSONBody[CreateLabel]) -> Data[CountedLabelView]:
        """Create a label."""
        return Data(await create_label(uow, data))

    @put("/{label:int}", access=Access.OWNER)
    async def update(self, uow: Uow, label: FromPath[int], data: JSONBody[UpdateLabel]) -> Data[CountedLabelView]:
        """Rename or recolour a label."""
        return Data(await update_label(uow, label, data))

    @delete("/{label:int}", access=Access.OWNER)
    async def remove(self, uow: Uow, label: FromPath[int]) -> None:
        """Delete a label and take it off everything that carries it."""
        await delete_label(uow, label)


class ContactLabelController(Controller):
    path = "/contacts/{contact:int}/labels"
    tags = ("Contacts",)

    @post("/{label:int}", access=Access.MEMBER, ability="write", status_code=200)
    async def attach(self, uow: Uow, contact: FromPath[int], label: FromPath[int]) -> Data[list[LabelView]]:
        """Put a label on a contact, once; answers all it carries."""
        return Data(await label_contact(uow, contact, label))

    @delete("/{label:int}", access=Access.MEMBER, ability="write")
    async def detach(self, uow: Uow, contact: FromPath[int], label: FromPath[int]) -> None:
        """Take a label off a contact."""
        await unlabel_contact(uow, contact, label)
