"""What the gateway tells becomes events: once, in any order, and nothing is dropped.

Every delivery that makes an event is stored raw under its key, in that event's transaction. What concerns a message that has not
arrived yet is parked and applied when it does, so that any order of deliveries ends in the same state.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import msgspec
from msgspec import Struct

from plixa.contacts.commands.identities import Met, resolve_contact
from plixa.contacts.queries.identities import ACQUAINTANCES, decode_acquaintances
from plixa.inbox.commands.arrivals import ENDS, GOES_ON, Handle, Incoming, echo, receive
from plixa.inbox.commands.editing import edit_live
from plixa.inbox.commands.merging import merge_conversations, recognise
from plixa.inbox.commands.people import adopt_conversation
from plixa.inbox.domain.conversation import Conversation
from plixa.inbox.domain.events import (
    Accepted,
    Acknowledged,
    Card,
    Content,
    Echoed,
    Edited,
    Location,
    Media,
    Opened,
    Reacted,
    Received,
    Revoked,
)
from plixa.inbox.queries.messages import find_message_row
from plixa.kernel.editor import Editor
from plixa.kernel.event_store import Actor, Event
from plixa.kernel.outbox import Effect
from plixa.kernel.tenancy import lock_of
from plixa.kernel.uow import UnitOfWork
from plixa.whatsapp import domain as gateway
from plixa.whatsapp.commands.webhook import Delivered, Entangled

CUSTOMER = "customer"
DEVICE = Actor("device")
GATEWAY = Actor("gateway")
PATIENCE = timedelta(minutes=5)
"""How long WhatsApp may take to acknowledge a message before it counts as stalled."""
SEEN = """INSERT INTO webhook_seen (tenant_id, instance_id, key, stream_id, payload)
SELECT $1, b.* FROM unnest($2::bigint[], $3::text[], $4::uuid[], $5::bytea[]) AS b
ON CONFLICT (tenant_id, instance_id, key) DO NOTHING"""
KNOWN = f"""SELECT EXISTS (SELECT FROM webhook_seen WHERE tenant_id = $1 AND instance_id = d.instance_id AND key = d.key) AS seen,
    m.id AS message_id, m.conversation_id, m.direction, nextval('message_number') AS number,
    (SELECT array_agg(fact ORDER BY received_at, key) FROM parked_update
     WHERE tenant_id = $1 AND instance_id = d.instance_id AND gateway_id = d.gateway_id) AS parked,
    (SELECT min(c.id) FROM contact_alias a JOIN inbox_conversation c ON c.tenant_id = a.tenant_id AND c.contact_id = a.contact_id
     WHERE a.tenant_id = $1 AND a.value = ANY(ARRAY[d.alias, d.other]) AND c.phone_instance_id = d.instance_id) AS live,
    {ACQUAINTANCES.format(aliases="ARRAY[d.alias, d.other]")} AS contacts
FROM unnest($2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[])
    WITH ORDINALITY AS d(instance_id, key, gateway_id, alias, other, place)
LEFT JOIN inbox_message m ON m.tenant_id = $1 AND m.phone_instance_id = d.instance_id AND m.gateway_id = d.gateway_id
ORDER BY d.place"""  # noqa: S608 - a constant
"""The new message's number is taken here, under its contact's lock: those of one second stand in the order of their arrival."""
ACQUAINTED = f"""SELECT {ACQUAINTANCES.format(aliases="$2")} AS contacts, min(c.id) AS live
FROM contact_alias a LEFT JOIN inbox_conversation c
    ON c.tenant_id = a.tenant_id AND c.contact_id = a.contact_id AND c.phone_instance_id = $3
WHERE a.tenant_id = $1 AND a.value = ANY($2::text[])"""  # noqa: S608 - a constant
PARK = """INSERT INTO parked_update (tenant_id, instance_id, gateway_id, key, fact, received_at)
SELECT $1, b.* FROM unnest($2::bigint[], $3::text[], $4::text[], $5::bytea[], $6::timestamptz[]) AS b
ON CONFLICT DO NOTHING"""
COPIES = """SELECT s.key, s.payload FROM parked_update p JOIN webhook_seen s USING (tenant_id, instance_id, key)
WHERE tenant_id = $1 AND instance_id = $2 AND p.gateway_id = $3 AND s.stream_id IS NULL"""
RESEAL = "UPDATE webhook_seen SET stream_id = $4, payload = $5 WHERE tenant_id = $1 AND instance_id = $2 AND key = $3"
HEARD = "SELECT EXISTS (SELECT FROM webhook_seen WHERE tenant_id = $1 AND instance_id = $2 AND key = $3)"
"""A message that came and is not there was deleted or erased: what is told of it afterwards is not kept either."""
UNPARK = "DELETE FROM parked_update WHERE tenant_id = $1 AND instance_id = $2 AND gateway_id = $3"
IN_FLIGHT = """SELECT id FROM inbox_message WHERE tenant_id = $1 AND conversation_id = $2 AND direction = 'out' AND gateway_id IS NULL
AND status = 'queued' AND (client_id = $3 OR ($4 AND type = $5 AND coalesce(body, '') = $6)) ORDER BY id LIMIT 1"""


class Asked(Struct, frozen=True):
    """One delivery, by its ``key``, about the message ``gateway_id``, from or to somebody of these addresses (at most two)."""

    instance_id: int
    key: str
    gateway_id: str
    aliases: tuple[str, ...] = ()


async def accept(uow: UnitOfWork, *deliveries: Delivered, handle: Handle) -> None:
    """Apply facts of the gateway in one transaction; where there are several no two claim the same. Raises Entangled.

    Messages are taken into their conversations by ``handle``.
    """
    asked = {place: question for place, one in enumerate(deliveries) if (question := question_of(one)) is not None}
    known = dict(zip(asked, await look_up(uow, *asked.values()), strict=True)) if asked else {}
    if len(deliveries) == 1:
        await apply(uow, deliveries[0], known.get(0), handle)
        return
    refuse_entangled(known.values())
    fresh = [one for one in known.values() if not one["seen"]]
    numbers = {number for one in fresh for number in (one["conversation_id"], one["live"]) if number is not None}
    async with uow.together(Conversation, list(numbers)):
        for place, delivered in enumerate(deliveries):
            uow.request_id = delivered.request_id
            await apply(uow, delivered, known.get(place), handle)


async def apply(uow: UnitOfWork, delivered: Delivered, known: Any, handle: Handle) -> None:
    """Apply one fact, of which we know what ``look_up`` says."""
    fact = delivered.fact
    match fact:
        case gateway.MessageArrived():
            uow.actor = DEVICE if fact.from_me else Actor(CUSTOMER)
            await handle(Incoming(uow, delivered, fact, known))
        case gateway.PeerNamed():
            await name_peer(uow, delivered, fact.peer)
        case gateway.Acknowledged() | gateway.Reacted() | gateway.Edited() | gateway.Revoked():
            await change_message(uow, delivered, known)
        case _:
            store(uow, delivered, None)


def question_of(delivered: Delivered) -> Asked | None:
    """What there is to know before a fact is applied; nothing of one that is about no message."""
    message = gateway.message_of(delivered.fact)
    if message is None:
        return None
    aliases = gateway.aliases_of(delivered.fact.peer) if isinstance(delivered.fact, gateway.MessageArrived) else ()
    return Asked(delivered.instance_id, delivered.key, message, tuple(aliases))


async def look_up(uow: UnitOfWork, *asked: Asked) -> "list[asyncpg.Record]":
    """What we know of deliveries and of their messages, in their order, with the messages and contacts locked."""
    names = [f"{uow.tenant}/message/{one.instance_id}/{one.gateway_id}" for one in asked]
    names += [f"{uow.tenant}/contact/{alias}" for one in asked for alias in one.aliases]
    connection = await uow.begin(*map(lock_of, names))
    columns = zip(*((one.instance_id, one.key, one.gateway_id, *(*one.aliases, None, None)[:2]) for one in asked), strict=True)
    return await connection.fetch(KNOWN, uow.tenant, *map(list, columns))


def refuse_entangled(known: Iterable[Any]) -> None:
    """Raises Entangled where addresses lead to a contact that others of ``known`` lead to, or to more than one."""
    contacts = [{one.contact_id for one in decode_acquaintances(row["contacts"])} for row in known]
    if any(len(some) > 1 for some in contacts) or len(set().union(*contacts)) < sum(map(len, contacts)):
        raise Entangled


async def drop_repeated(incoming: Incoming) -> tuple[str, bool]:
    """A step: a delivery that came before, or a message that is here already, changes nothing."""
    known = incoming.known
    if known["seen"]:
        return "it came before", ENDS
    if known["message_id"] is not None:
        async with edit_live(incoming.uow, known["conversation_id"]) as editor:
            store(incoming.uow, incoming.delivered, editor)
        return "its message is here", ENDS
    return "new", GOES_ON


async def meet_contact(incoming: Incoming) -> tuple[str, bool]:
    """A step: whom the message is from, or to."""
    peer, found = incoming.fact.peer, decode_acquaintances(incoming.known["contacts"])
    contact = await resolve_contact(incoming.uow, Met(gateway.aliases_of(peer), peer.phone, peer.name), found)
    incoming.contact = contact
    if contact.absorbed:
        return "several who are one", GOES_ON
    return "known" if found else "new", GOES_ON


async def find_conversation(incoming: Incoming) -> tuple[str, bool]:
    """A step: their conversation on this number, also one that they left when they were deleted; else a new one."""
    uow, contact, instance = incoming.uow, incoming.contact, incoming.delivered.instance_id
    number = await merge_conversations(uow, contact, instance) if contact.several else incoming.known["live"]
    reason = "goes on"
    if number is None:
        number, reason = await adopt_conversation(uow, contact, gateway.aliases_of(incoming.fact.peer), instance), "taken up again"
    incoming.is_new = number is None
    incoming.number = await uow.number("conversation_number") if number is None else number
    return "new" if incoming.is_new else reason, GOES_ON


async def append_message(incoming: Incoming) -> tuple[str, bool]:
    """A step: the message stands in its conversation, which it may open."""
    uow, contact, number = incoming.uow, incoming.contact, incoming.number
    if incoming.is_new:
        opened = Opened(contact.id, incoming.delivered.instance_id, contact.phone, contact.name, incoming.fact.peer.jid)
        async with uow.create(Conversation(number=number), contact.id) as editor:
            editor.record(opened)
            await recognise(uow, editor, contact)
            await add_message(incoming, editor)
    else:
        async with uow.edit(Conversation, number, wait=False) as editor:
            await recognise(uow, editor, contact)
            await add_message(incoming, editor)
    has_begun = incoming.arrival is not None and incoming.arrival.began
    return f"{'begins' if has_begun else 'in'} episode {editor.state.episode}", GOES_ON


async def add_message(incoming: Incoming, editor: Editor[Conversation]) -> None:
    """The message's own event, or the acceptance of one of ours whose echo this is; then what was parked for it."""
    uow, delivered, fact, known = incoming.uow, incoming.delivered, incoming.fact, incoming.known
    sent_at = min(fact.sent_at or delivered.at, delivered.at)
    message_id = await our_own(uow, editor, fact) if fact.from_me else None
    if message_id is not None:
        editor.record(Accepted(message_id, fact.gateway_id, fact.peer.jid))
        expect_acknowledgement(uow, editor.state.number, message_id)
    else:
        message_id = int(known["number"])
        place = (message_id, delivered.instance_id, fact.gateway_id, content_of(fact), sent_at)
        if fact.from_me:
            await echo(uow, editor, Echoed(*place))
        else:
            incoming.arrival = await receive(uow, editor, Received(*place, fact.peer.jid, incoming.notes))
        if fact.media is not None:
            payload = {"conversation_id": editor.state.number, "message_id": message_id}
            uow.enqueue(Effect("inbox.fetch_media", str(message_id), payload))
    for raw in known["parked"] or ():
        late = msgspec.json.decode(open_parked(uow, raw), type=gateway.Fact)
        editor.record(changes(late, message_id, delivered.at, "out" if fact.from_me else "in"))
    if known["parked"]:
        await unpark(uow, editor, delivered.instance_id, fact.gateway_id)
    store(uow, delivered, editor)


def expect_acknowledgement(uow: UnitOfWork, conversation: int, message: int) -> None:
    """The gateway took a message: see later whether WhatsApp did."""
    place = {"conversation_id": conversation, "message_id": message}
    uow.enqueue(Effect("inbox.check_stalled", str(message), place, uow.now + PATIENCE))


async def our_own(uow: UnitOfWork, editor: Editor[Conversation], fact: gateway.MessageArrived) -> int | None:
    """Our queued message whose echo this is: by the id we gave it or, sent through the gateway's API, by what it says."""
    connection = await uow.begin()
    found = await connection.fetchval(IN_FLIGHT, uow.tenant, editor.state.number, fact.gateway_id, fact.echo, fact.kind, fact.body or "")
    return None if found is None else int(found)


async def change_message(uow: UnitOfWork, delivered: Delivered, known: Any) -> None:
    """An acknowledgement, edit, revocation or reaction: applied to its message, or parked until that arrives."""
    uow.actor = GATEWAY
    if known["seen"]:
        return
    if known["message_id"] is None:
        target = gateway.message_of(delivered.fact)
        if await (await uow.begin()).fetchval(HEARD, uow.tenant, delivered.instance_id, f"message:{target}"):
            uow.also_row(SEEN, delivered.instance_id, delivered.key, None, b"")
            return
        sealed = uow.kernel.vault.seal(msgspec.json.encode(delivered.fact), f"parked/{uow.tenant}")
        uow.also_row(PARK, delivered.instance_id, target, delivered.key, sealed, delivered.at)
        store(uow, delivered, None)
        return
    async with edit_live(uow, known["conversation_id"]) as editor:
        if isinstance(delivered.fact, gateway.Revoked):
            await drop_file(uow, known["message_id"])
        editor.record(changes(delivered.fact, known["message_id"], delivered.at, known["direction"]))
        store(uow, delivered, editor)


async def drop_file(uow: UnitOfWork, message_id: int) -> None:
    """Of a message that is deleted for everyone the file goes too."""
    row = await find_message_row(uow, message_id)
    if row is not None and row.media is not None and row.media.blob is not None:
        uow.enqueue(Effect("inbox.delete_media", f"message/{message_id}", {"blobs": [row.media.blob]}))


def changes(fact: gateway.Fact, message_id: int, at: datetime, direction: str) -> Iterator[Event]:
    """What a fact about a message means for it. The customer's own messages have no acknowledgements."""
    match fact:
        case gateway.Acknowledged() if direction != "in" and fact.from_me is not False:
            yield Acknowledged(message_id, fact.status, fact.error)
        case gateway.Edited():
            yield Edited(message_id, fact.body, fact.at or at)
        case gateway.Revoked():
            yield Revoked(message_id)
        case gateway.Reacted():
            yield Reacted(message_id, "device" if fact.from_me else CUSTOMER, fact.at or at, fact.emoji)


async def name_peer(uow: UnitOfWork, delivered: Delivered, peer: gateway.Peer) -> None:
    """The gateway's address book: names what is unnamed and binds a LID to its phone, of contacts we already have."""
    aliases = gateway.aliases_of(peer)
    uow.actor = GATEWAY
    connection = await uow.begin(*(lock_of(f"{uow.tenant}/contact/{alias}") for alias in aliases))
    acquainted = await connection.fetchrow(ACQUAINTED, uow.tenant, aliases, delivered.instance_id)
    if acquainted is None or not acquainted["contacts"]:
        return
    contact = await resolve_contact(uow, Met(aliases, peer.phone, peer.name), decode_acquaintances(acquainted["contacts"]))
    number = await merge_conversations(uow, contact, delivered.instance_id) if contact.several else acquainted["live"]
    if number is not None and contact.learned:
        async with uow.edit(Conversation, number) as editor:
            await recognise(uow, editor, contact)
            store(uow, delivered, editor)


def content_of(fact: gateway.MessageArrived) -> Content:
    """What the message says, in the inbox's words."""
    media, location = fact.media, fact.location
    return Content(
        fact.kind,
        fact.body or None,
        msgspec.convert(msgspec.structs.asdict(media), Media) if media is not None else None,
        Location(location.latitude, location.longitude, location.name, location.address) if location is not None else None,
        [Card(card.name or card.phone or "", card.phone) for card in fact.contacts] or None,
        quoted_gateway_id=fact.quoted_gateway_id,
        forwarded=fact.forwarded,
        unsupported_kind=fact.unsupported_kind,
    )


def store(uow: UnitOfWork, delivered: Delivered, editor: Editor[Conversation] | None) -> None:
    """Keep the delivery with this commit: under its stream's key, so that it is erased with it, or under the master key."""
    if editor is not None:
        uow.also_row(SEEN, delivered.instance_id, delivered.key, editor.stream, editor.encrypt(delivered.raw))
    else:
        sealed = uow.kernel.vault.seal(delivered.raw, f"webhook_seen/{uow.tenant}/{delivered.key}")
        uow.also_row(SEEN, delivered.instance_id, delivered.key, None, sealed)


async def unpark(uow: UnitOfWork, editor: Editor[Conversation], instance_id: int, gateway_id: str) -> None:
    """What was parked for a message has been applied; its raw copies go under the stream's key, to be erased with it."""
    connection = await uow.begin()
    for row in await connection.fetch(COPIES, uow.tenant, instance_id, gateway_id):
        raw = uow.kernel.vault.open(row["payload"], f"webhook_seen/{uow.tenant}/{row['key']}")
        uow.also(RESEAL, instance_id, row["key"], editor.stream, editor.encrypt(raw))
    uow.also(UNPARK, instance_id, gateway_id)


def open_parked(uow: UnitOfWork, sealed: bytes) -> bytes:
    """A parked fact as JSON."""
    return uow.kernel.vault.open(sealed, f"parked/{uow.tenant}")
