"""What people write in tickets, as forms with files or as JSON without, and the files as they are handed out."""

from typing import Annotated

from litestar import Response
from litestar.datastructures import UploadFile
from litestar.enums import RequestEncodingType
from litestar.params import Body
from msgspec import Meta, Struct

from plixa.kernel.media import ranged, safe_headers
from plixa.support.commands.files import MOST, Upload
from plixa.support.commands.tickets import Category, Subject, Text
from plixa.support.domain.ticket import Status
from plixa.support.queries.files import File

LARGEST_FORM = 17 * 1024 * 1024
"""Bytes of a form with its files."""
Files = Annotated[list[UploadFile], Meta(max_length=MOST)]


class TicketForm(Struct, frozen=True):
    """A question, with at most five files, 16 MB together."""

    subject: Subject
    body: Text
    category: Category | None = None
    attachments: Files = []


class MessageForm(Struct, frozen=True):
    """A message, with at most five files, 16 MB together."""

    body: Text
    attachments: Files = []


class AnswerForm(Struct, frozen=True):
    """An answer or, ``internal``, a note that the customer never sees; ``status`` is set with it."""

    body: Text
    internal: bool = False
    status: Status | None = None
    attachments: Files = []


NewTicket = Annotated[TicketForm, Body(media_type=RequestEncodingType.MULTI_PART)]
NewMessage = Annotated[MessageForm, Body(media_type=RequestEncodingType.MULTI_PART)]
NewAnswer = Annotated[AnswerForm, Body(media_type=RequestEncodingType.MULTI_PART)]


async def uploads_of(files: list[UploadFile]) -> list[Upload]:
    """The files as commands want them; read from their beginning, so that a repeated attempt has them too."""
    found = []
    for file in files:
        await file.seek(0)
        found.append(Upload(file.filename or None, await file.read()))
    return found


def file_answer(file: File, wanted: str | None) -> Response[bytes]:
    """The file, or a range of it, under headers that let it do no harm."""
    part = ranged(file.content, wanted)
    headers = {**safe_headers(file.mime, file.filename), **part.headers}
    return Response(part.body, status_code=part.status, headers=headers, media_type=headers["Content-Type"])
