"""Messages of a conversation: reading, answering, files."""

from datetime import datetime
from typing import Annotated, Any

from litestar import Controller, Request, Response
from litestar.datastructures import UploadFile
from litestar.di import NamedDependency, Provide
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromPath, FromQuery, JSONBody, Parameter
from msgspec import Meta, Struct

from plixa.identity.queries.members import get_instant
from plixa.inbox.commands.messages import SendMessage, Upload, send_media, send_message
from plixa.inbox.queries.history import list_messages_as_of
from plixa.inbox.queries.media import File, get_media
from plixa.inbox.queries.messages import MessageView, Span, list_messages, present_message
from plixa.kernel.auth import Access
from plixa.kernel.envelope import Data
from plixa.kernel.http import Uow, get, post
from plixa.kernel.media import ranged, safe_headers
from plixa.kernel.paging import PageWanted

Byte = Annotated[float, Meta(ge=0, le=255), Parameter(ge=0, le=255)]


class SendMedia(Struct, frozen=True):
    """A file, at most 16 MB; ``voice`` sends it as a voice note, which ``duration_seconds`` and ``waveform`` describe."""

    file: UploadFile
    caption: Annotated[str, Meta(max_length=4096)] | None = None
    voice: bool = False
    duration_seconds: Annotated[int, Meta(ge=0, le=86_400)] | None = None
    waveform: Annotated[list[Byte], Meta(max_length=4096)] = []


MediaForm = Annotated[SendMedia, Body(media_type=RequestEncodingType.MULTI_PART)]


def provide_span(paging: PageWanted, before: FromQuery[int | None] = None, after: FromQuery[int | None] = None) -> Span:
    """Which part of the thread."""
    return Span(cursor=paging.cursor, before=before, after=after, limit=paging.limit)


class MessageController(Controller):
    path = "/conversations/{conversation:int}"
    tags = ("Conversations",)
    dependencies: Any = {"span": Provide(provide_span, sync_to_thread=False)}  # noqa: RUF012

    @get("/messages", access=Access.MEMBER, ability="read")
    async def index(
        self,
        uow: Uow,
        conversation: FromPath[int],
        span: NamedDependency[Span],
        as_of: FromQuery[datetime | None] = None,
    ) -> Data[list[MessageView]]:
        """List a conversation's messages, newest first, as they are or as they were at ``as_of``."""
        if as_of is not None:
            moment = await get_instant(uow, as_of, "as_of")
            return Data(*await list_messages_as_of(uow, conversation, moment, span))
        return Data(*await list_messages(uow, conversation, span))

    @post("/messages", access=Access.MEMBER, throttle="send_message")
    async def send(self, uow: Uow, conversation: FromPath[int], data: JSONBody[SendMessage]) -> Data[MessageView]:
        """Answer the customer, or add an internal note."""
        message = await send_message(uow, conversation, data)
        return Data(await present_message(uow, message))

    @post("/media-messages", access=Access.MEMBER, throttle="send_message", request_max_body_size=17 * 1024 * 1024)
    async def send_media(self, uow: Uow, conversation: FromPath[int], data: MediaForm) -> Data[MessageView]:
        """Send a file or a voice note."""
        message = await send_media(uow, conversation, await upload_of(data))
        return Data(await present_message(uow, message))

    @get("/messages/{message:int}/media", access=Access.MEMBER, ability="read", media_type="application/octet-stream")
    async def media(
        self, uow: Uow, request: Request[Any, Any, Any], conversation: FromPath[int], message: FromPath[int]
    ) -> Response[bytes]:
        """Get the file of a message, whole or a range of its bytes."""
        return file_answer(await get_media(uow, conversation, message), request.headers.get("range"))


def file_answer(file: File, wanted: str | None) -> Response[bytes]:
    """The file under headers that let it do no harm."""
    part = ranged(file.content, wanted)
    headers = {**safe_headers(file.mime, file.filename), **part.headers}
    return Response(part.body, status_code=part.status, headers=headers, media_type=headers["Content-Type"])


async def upload_of(data: SendMedia) -> Upload:
    """The form as the command wants it; read once, so that a repeated attempt has it too."""
    await data.file.seek(0)
    return Upload(
        content=await data.file.read(),
        filename=data.file.filename or None,
        caption=data.caption,
        voice=data.voice,
        seconds=data.duration_seconds,
        waveform=[round(level) for level in data.waveform] or None,
    )
