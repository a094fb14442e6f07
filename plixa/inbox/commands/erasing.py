"""Erasing a contact: whatever they and the workspace said to each other becomes unreadable, and nothing leads to who they were.

The log keeps that it happened. The keys of its content are destroyed, so the chain still verifies.
"""

import re
from contextlib import suppress
from datetime import datetime
from hashlib import sha256
from typing import Any

import msgspec
from msgspec import Struct

from plixa.contacts.commands.identities import forget_contact, lock_identity
from plixa.contacts.queries.identities import Identity
from plixa.inbox.commands.keeping import keep_activity
from plixa.inbox.commands.surveys import keep_scores
from plixa.inbox.domain.conversation import Conversation
from plixa.inbox.domain.events import Erased, Opened
from plixa.inbox.queries.messages import list_blobs
from plixa.kernel.audit import record
from plixa.kernel.crypto import Unreadable
from plixa.kernel.editor import Editor
from plixa.kernel.errors import NotFound
from plixa.kernel.outbox import Effect
from plixa.kernel.uow import UnitOfWork
from plixa.whatsapp.domain import phone_variants

OWNED = """SELECT e.number FROM stream_key k JOIN event e ON e.tenant_id = k.tenant_id AND e.stream_id = k.stream_id
WHERE k.tenant_id = scope.tenant AND k.contact_id = ANY($2::bigint[]) AND e.version = 1 AND e.topic = $3 ORDER BY e.number"""
"""By the keys: also those that were taken in by another conversation."""
LAST_HASHES = """SELECT number, version, encode(hash, 'hex') AS hash FROM event
WHERE tenant_id = scope.tenant AND (stream_id, version) IN (SELECT * FROM unnest($2::uuid[], $3::int[])) ORDER BY number"""
CANCEL = "DELETE FROM outbox WHERE tenant_id = $1 AND (payload->>'conversation_id')::bigint = ANY($2::bigint[])"
LOOSE = """SELECT instance_id, key, payload FROM webhook_seen WHERE tenant_id = scope.tenant AND stream_id IS NULL
AND (instance_id, key) > ($2::bigint, $3::text) ORDER BY instance_id, key LIMIT $4::int"""
EMPTY = "UPDATE webhook_seen SET payload = '' WHERE tenant_id = $1 AND instance_id = $2 AND key = ANY($3::text[])"
UNPARK = "DELETE FROM parked_update WHERE tenant_id = $1 AND instance_id = $2 AND key = ANY($3::text[])"
BATCH = 200


class ErasureView(Struct, frozen=True):
    """The receipt. ``pseudonym`` stands where the phone stood; ``conversations`` are those that ended with it.

    ``hash`` is SHA-256, in hex, of lines joined by newlines. The first: contact id, ``erased_at`` as it stands here, pseudonym, joined by
    ``|``. Then for each conversation, by id: its id, and version and hash in the log of its last event before the erasure. Anybody who
    has the log can compute it again; the audit entry ``contact.erased`` holds it, and so the chain proves it.
    """

    contact_id: int
    erased_at: datetime
    conversations: list[int]
    pseudonym: str
    hash: str


async def erase_contact(uow: UnitOfWork, contact: int) -> ErasureView:
    """Forget somebody for good; raises NotFound, and ContactErased the second time."""
    identity = await lock_identity(uow, contact)
    numbers = [row["number"] for row in await uow.fetch(OWNED, identity.contacts, Opened.TOPIC)]
    await uow.execute(CANCEL, numbers)
    editors = await lock_conversations(uow, numbers)
    pseudonym = f"erased:{uow.kernel.vault.pseudonym(f'{uow.tenant}/{(*identity.aliases, contact)[0]}')}"
    receipt = await write_receipt(uow, contact, pseudonym, editors)
    await end_conversations(uow, contact, editors)
    await empty_deliveries(uow, identity)
    await forget_contact(uow, identity, pseudonym)
    uow.enqueue(Effect("scheduling.erase_contacts", str(contact), {"contacts": identity.contacts}))
    await record(uow, "contact.erased", ("contact", contact), None, {"conversations": receipt.conversations, "hash": receipt.hash})
    return receipt


async def lock_conversations(uow: UnitOfWork, numbers: list[int]) -> list[Editor[Conversation]]:
    """Those that are still there, each under its lock, taken in the order of their ids."""
    editors = []
    for number in numbers:
        with suppress(NotFound):  # deleted while we waited for it
            async with uow.edit(Conversation, number) as editor:
                editors.append(editor)
    return editors


async def write_receipt(uow: UnitOfWork, contact: int, pseudonym: str, editors: list[Editor[Conversation]]) -> ErasureView:
    """What is about to be erased, as the log has it."""
    streams, versions = [editor.stream for editor in editors], [editor.version for editor in editors]
    rows = await uow.fetch(LAST_HASHES, streams, versions)
    lines = [f"{contact}|{msgspec.to_builtins(uow.now)}|{pseudonym}", *(f"{row['number']}|{row['version']}|{row['hash']}" for row in rows)]
    digest = sha256("\n".join(lines).encode()).hexdigest()
    return ErasureView(contact, uow.now, [row["number"] for row in rows], pseudonym, digest)


async def end_conversations(uow: UnitOfWork, contact: int, editors: list[Editor[Conversation]]) -> None:
    """Destroy their keys, and have their files deleted."""
    numbers = [editor.state.number for editor in editors]
    blobs = [blob for number in numbers for blob in await list_blobs(uow, number)]
    for number in numbers:
        await keep_scores(uow, number)
        async with uow.edit(Conversation, number) as editor:
            editor.record(Erased())
            uow.erase(editor.stream)
        await keep_activity(uow, number)
    if blobs:
        uow.enqueue(Effect("inbox.delete_media", f"contact/{contact}", {"blobs": blobs}))


async def empty_deliveries(uow: UnitOfWork, identity: Identity) -> None:
    """Raw deliveries that belong to no conversation but tell of them are emptied, and what is parked of them goes.

    Their keys stay, so that a delivery that comes again is still known.
    """
    addresses, place = addresses_of(identity), (0, "")
    while rows := await uow.fetch(LOOSE, *place, BATCH):
        place = (rows[-1]["instance_id"], rows[-1]["key"])
        for instance in {row["instance_id"] for row in rows}:
            keys = [row["key"] for row in rows if row["instance_id"] == instance and tells_of(uow, row, addresses)]
            if keys:
                await uow.execute(EMPTY, instance, keys)
                await uow.execute(UNPARK, instance, keys)


def addresses_of(identity: Identity) -> re.Pattern[bytes]:
    """Finds the digits of every form of every address they have, standing alone; nothing where they have none."""
    aliases = [alias.partition(":")[2].partition("@")[0] for alias in identity.aliases]
    forms = {form.encode() for digits in (*identity.phones, *aliases) for form in phone_variants(digits)}
    return re.compile(rb"(?<!\d)(?:" + b"|".join(sorted(forms)) + rb")(?!\d)" if forms else rb"(?!)")


def tells_of(uow: UnitOfWork, delivery: Any, addresses: re.Pattern[bytes]) -> bool:
    """Does a delivery kept under the master key hold one of the addresses? What no key opens any more tells nobody."""
    with suppress(Unreadable):
        raw = uow.kernel.vault.open(delivery["payload"], f"webhook_seen/{uow.tenant}/{delivery['key']}")
        return addresses.search(raw) is not None
    return False
