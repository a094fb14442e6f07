"""What members write: text, notes, files and voice notes."""

from contextlib import suppress
from typing import Annotated, Literal
from weakref import WeakKeyDictionary

from msgspec import Meta, Struct

from plixa.inbox.commands.arrivals import began
from plixa.inbox.commands.editing import edit_visible
from plixa.inbox.commands.targets import find_missed, set_targets
from plixa.inbox.domain.conversation import ContactBlocked, Conversation
from plixa.inbox.domain.events import Author, Content, Media, NoteAdded, Queued
from plixa.inbox.queries.conversations import get_conversation
from plixa.inbox.queries.messages import find_message_row
from plixa.kernel.editor import Editor
from plixa.kernel.errors import Invalid, NotFound, PayloadTooLarge, Unavailable
from plixa.kernel.event_store import stream_id
from plixa.kernel.media import LARGEST, sniff
from plixa.kernel.outbox import Effect
from plixa.kernel.uow import UnitOfWork
from plixa.whatsapp.client import message_id as new_message_id
from plixa.whatsapp.queries import refuse_disconnected

KINDS = {"image": "image", "video": "video", "audio": "audio"}
"""What a MIME type's first half makes a message; everything else is a document."""
BOT = Author("bot")
PUT: WeakKeyDictionary[UnitOfWork, str] = WeakKeyDictionary()
"""The blob a unit of work has put: an attempt that repeats one which lost a race at its commit takes that."""


class SendMessage(Struct, frozen=True):
    """``text`` goes to the customer, ``note`` never does; the quoted message is of the same conversation."""

    body: Annotated[str, Meta(max_length=4096)]
    type: Literal["text", "note"] = "text"
    quoted_message_id: int | None = None


class Upload(Struct, frozen=True, kw_only=True):
    """A file to send; ``seconds`` and ``waveform`` (0–255) describe a voice note."""

    content: bytes
    filename: str | None
    caption: str | None
    voice: bool
    seconds: int | None
    waveform: list[int] | None


async def send_message(uow: UnitOfWork, number: int, data: SendMessage) -> int:
    """Answer, or keep a note; answers the message's id."""
    if not data.body.strip():
        raise Invalid.field("body", "Write something.")
    async with edit_visible(uow, number) as editor:
        if data.quoted_message_id is not None:
            await refuse_foreign_quote(uow, number, data.quoted_message_id)
        content = Content(data.type, data.body, quoted_id=data.quoted_message_id)
        if data.type == "text":
            return await queue(uow, editor, content)
        message_id = await uow.number("message_number")
        editor.record(NoteAdded(message_id, content, author_of(uow)))
        return message_id


async def send_media(uow: UnitOfWork, number: int, upload: Upload) -> int:
    """Send a file; what it is, its content tells. Answers the message's id."""
    if len(upload.content) > LARGEST:
        raise PayloadTooLarge("A file may be 16 MB at most.")
    if not upload.content:
        raise Invalid.field("file", "The file is empty.")
    mime = sniff(upload.content)
    kind = KINDS.get(mime.partition("/")[0], "document")
    if upload.voice and kind not in ("audio", "video"):
        raise Invalid.field("voice", "A voice note needs an audio file.")
    blob = await put_file(uow, number, upload.content)
    media = Media(mime, upload.filename, len(upload.content), upload.seconds, upload.waveform, state="stored", blob=blob)
    try:
        async with edit_visible(uow, number) as editor:
            return await queue(uow, editor, Content("voice" if upload.voice else kind, upload.caption or None, media))
    except Exception:
        await uow.rollback()
        await drop_file(uow)
        raise


async def put_file(uow: UnitOfWork, number: int, content: bytes) -> str:
    """Keep a file before the conversation is locked, holding no connection meanwhile; answers the blob's name."""
    conversation = await get_conversation(uow, number)
    await refuse_disconnected(uow, conversation.phone_instance_id)
    key = await uow.data_key(stream_id(Conversation.KIND, number))
    if not uow.begun:
        uow.close()
    if uow not in PUT:
        PUT[uow] = await uow.kernel.media.put(uow.tenant, content, key)
    return PUT[uow]


async def drop_file(uow: UnitOfWork) -> None:
    """Delete what was put for a message that is refused. Where the store is away it stays, and nothing leads to it."""
    with suppress(Unavailable):
        await uow.kernel.media.delete(PUT.pop(uow))


async def queue(uow: UnitOfWork, editor: Editor[Conversation], content: Content) -> int:
    """Put an outgoing message into the conversation and the outbox, reopening what was closed."""
    state = editor.state
    if state.blocked:
        raise ContactBlocked
    await refuse_disconnected(uow, state.instance_id)
    missed = await find_missed(uow, editor, uow.now) if author_of(uow).type == "user" else []
    editor.record(state.reopen(now=uow.now))
    message_id = await write(uow, editor, content, author_of(uow))
    editor.record(missed)
    if began(editor, state):
        await set_targets(uow, editor)
    return message_id


async def say(uow: UnitOfWork, editor: Editor[Conversation], text: str) -> int:
    """Let the bot say something: it opens nothing and counts as nobody's answer."""
    return await write(uow, editor, Content("text", text), BOT)


async def write(uow: UnitOfWork, editor: Editor[Conversation], content: Content, author: Author) -> int:
    """Put an outgoing message into the conversation and the outbox; answers its id."""
    message_id, state = await uow.number("message_number"), editor.state
    editor.record(Queued(message_id, state.instance_id, content, author, new_message_id()))
    payload = {"conversation_id": state.number, "message_id": message_id}
    uow.enqueue(Effect("inbox.send", str(message_id), payload, order=f"conversation/{state.number}"))
    return message_id


async def refuse_foreign_quote(uow: UnitOfWork, number: int, message: int) -> None:
    """Raises NotFound unless the message is of this conversation."""
    row = await find_message_row(uow, message)
    if row is None or row.conversation_id != number:
        raise NotFound("There is no such message in this conversation.")


def author_of(uow: UnitOfWork) -> Author:
    """The acting member as an author."""
    return Author("user" if uow.actor.type == "member" else "api", uow.actor.id, uow.actor.name)
