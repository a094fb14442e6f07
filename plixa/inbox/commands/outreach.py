"""Writing to somebody by phone number: what integrators' programs do. It creates the conversation, or reopens the one there is, at once."""

from typing import Annotated, Final

from msgspec import Meta, Struct

from plixa.contacts.commands.identities import Met, resolve_contact
from plixa.contacts.queries.identities import ACQUAINTANCES, decode_acquaintances
from plixa.inbox.commands.editing import edit_visible
from plixa.inbox.commands.messages import queue
from plixa.inbox.commands.people import adopt_conversation
from plixa.inbox.domain.conversation import ContactBlocked, Conversation
from plixa.inbox.domain.events import Content, Opened
from plixa.kernel.errors import Invalid
from plixa.kernel.tenancy import lock_of
from plixa.kernel.uow import UnitOfWork
from plixa.whatsapp import domain as gateway
from plixa.whatsapp.queries import PhoneNotConnected

KNOWN: Final = f"""SELECT {ACQUAINTANCES.format(aliases="$2")} AS contacts,
    (SELECT c.id FROM contact_alias a JOIN inbox_conversation c ON c.tenant_id = a.tenant_id AND c.contact_id = a.contact_id
     JOIN phone_instance p ON p.tenant_id = c.tenant_id AND p.id = c.phone_instance_id AND p.status = 'connected' AND p.removed_at IS NULL
     WHERE a.tenant_id = $1 AND a.value = ANY($2::text[]) ORDER BY c.last_message_at DESC, c.id DESC LIMIT 1) AS live,
    (SELECT id FROM phone_instance WHERE tenant_id = $1 AND status = 'connected' AND removed_at IS NULL ORDER BY id LIMIT 1) AS number"""  # noqa: S608


class SendToPhone(Struct, frozen=True):
    """``phone`` in digits with its country code, with or without a leading ``+``."""

    phone: Annotated[str, Meta(pattern=r"^\+?\d{8,18}$")]
    body: Annotated[str, Meta(max_length=4096)]


class Written(Struct, frozen=True):
    """What was made of it."""

    message_id: int
    conversation_id: int
    contact_id: int
    status: str


async def send_to_phone(uow: UnitOfWork, data: SendToPhone) -> Written:
    """The contact's latest conversation on a connected number goes on, else one begins on the first connected number.

    Raises PhoneNotConnected where there is none, NotFound where the conversation is hidden from the caller. Two that write to somebody
    new at once write into one conversation.
    """
    if not data.body.strip():
        raise Invalid.field("body", "Write something.")
    if not data.phone.isascii():
        raise Invalid.field("phone", "Use the digits 0 to 9.")
    phone = data.phone.removeprefix("+")
    peer = gateway.Peer(jid=f"{phone}@s.whatsapp.net", phone=phone)
    aliases = gateway.aliases_of(peer)
    connection = await uow.begin(*(lock_of(f"{uow.tenant}/contact/{alias}") for alias in aliases))
    known = await connection.fetchrow(KNOWN, uow.tenant, aliases)
    if known is None or known["number"] is None:
        raise PhoneNotConnected
    contact = await resolve_contact(uow, Met(aliases, phone, None), decode_acquaintances(known["contacts"]))
    if contact.blocked:
        raise ContactBlocked
    content = Content("text", data.body)
    live = known["live"] or await adopt_conversation(uow, contact, aliases, known["number"])
    if live is None:
        return await begin(uow, Opened(contact.id, known["number"], contact.phone, contact.name, peer.jid), content)
    async with edit_visible(uow, live) as editor:
        return Written(await queue(uow, editor, content), live, contact.id, "queued")


async def begin(uow: UnitOfWork, opened: Opened, content: Content) -> Written:
    """A conversation whose first word is ours."""
    number = await uow.number("conversation_number")
    async with uow.create(Conversation(number=number), opened.contact_id) as editor:
        editor.record(opened)
        return Written(await queue(uow, editor, content), number, opened.contact_id, "queued")
