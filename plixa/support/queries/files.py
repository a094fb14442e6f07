"""Files of tickets, for whoever may read the message they came with."""

from typing import Final

import msgspec
from msgspec import Struct

from plixa.kernel.errors import NotFound
from plixa.kernel.event_store import stream_id
from plixa.kernel.uow import UnitOfWork
from plixa.support.domain.events import Attachment
from plixa.support.domain.ticket import Ticket

FOUND: Final = """SELECT attachments::text FROM ticket_message
WHERE tenant_id = scope.tenant AND ticket_id = $2 AND attachments @> jsonb_build_array(jsonb_build_object('id', $3::bigint))
  AND (NOT internal OR $4)"""


class File(Struct, frozen=True):
    """A file's content, what it is and how it was called."""

    content: bytes
    mime: str
    filename: str


async def get_file(uow: UnitOfWork, ticket: int, number: int, *, for_staff: bool = False) -> File:
    """A file of a ticket; raises NotFound, to customers for those of internal notes too."""
    row = await uow.fetchrow(FOUND, ticket, number, for_staff)
    if row is None:
        raise NotFound
    files = msgspec.json.decode(row["attachments"], type=list[Attachment])
    (wanted,) = (one for one in files if one.id == number)
    key = await uow.data_key(stream_id(Ticket.KIND, ticket))
    return File(await uow.kernel.media.get(wanted.blob, key), wanted.mime, wanted.filename)
