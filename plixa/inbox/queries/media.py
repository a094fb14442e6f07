"""The files of messages, out of our own store."""

from msgspec import Struct

from plixa.inbox.domain.conversation import Conversation
from plixa.inbox.queries.messages import get_message_row
from plixa.kernel.errors import NotFound
from plixa.kernel.event_store import stream_id
from plixa.kernel.uow import UnitOfWork


class MediaNotReady(NotFound):
    code = "MEDIA_NOT_READY"
    default = "The file is still on its way from WhatsApp. Try again in a moment."


class MediaGone(NotFound):
    code = "MEDIA_GONE"
    default = "WhatsApp no longer has this file."


class File(Struct, frozen=True):
    """A message's file."""

    content: bytes
    mime: str
    filename: str | None


async def get_media(uow: UnitOfWork, conversation: int, message: int) -> File:
    """The file of a message the caller may see; raises NotFound."""
    row = await get_message_row(uow, conversation, message)
    if row.media is None:
        raise NotFound
    if row.media.blob is None:
        raise MediaGone if row.media.state == "missing" else MediaNotReady
    key = await uow.data_key(stream_id(Conversation.KIND, row.stream_number))
    content = await uow.kernel.media.get(row.media.blob, key)
    return File(content, row.media.mime, row.media.filename)
