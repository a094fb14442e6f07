"""Files that come with what somebody writes in a ticket: judged by what they hold, kept under the ticket's key."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final
from weakref import WeakKeyDictionary

from msgspec import Struct

from plixa.kernel.errors import Invalid, PayloadTooLarge, Unavailable
from plixa.kernel.media import LARGEST, OFFICE, safe_name, sniff
from plixa.kernel.uow import UnitOfWork
from plixa.support.domain.events import Attachment

MOST: Final = 5
"""Files of one message."""
WORD, SHEET, SLIDES = OFFICE.values()
TAKEN: Final[dict[str, tuple[str, ...]]] = {
    "image/png": ("png",),
    "image/jpeg": ("jpg", "jpeg"),
    "image/webp": ("webp",),
    "image/gif": ("gif",),
    "application/pdf": ("pdf",),
    "text/plain": ("txt", "log", "csv", "json", "md"),
    "audio/ogg": ("ogg", "oga", "opus"),
    "audio/mpeg": ("mp3",),
    "audio/mp4": ("m4a", "mp4"),
    "audio/aac": ("aac",),
    "audio/amr": ("amr",),
    "audio/wav": ("wav",),
    "video/mp4": ("mp4",),
    "video/webm": ("webm",),
    "video/quicktime": ("mov",),
    WORD: ("docx",),
    SHEET: ("xlsx",),
    SLIDES: ("pptx",),
}
"""What is taken, and how such a file's name may end: nothing that runs, and no archives."""
KEPT: WeakKeyDictionary[UnitOfWork, tuple[bytes, list[Attachment]]] = WeakKeyDictionary()
"""The files a unit of work has put under a key: an attempt that repeats one which lost a race at its commit takes those."""


class Upload(Struct, frozen=True):
    """A file as it came."""

    filename: str | None
    content: bytes


@asynccontextmanager
async def keeping(uow: UnitOfWork, key: bytes, uploads: Sequence[Upload]) -> AsyncIterator[list[Attachment]]:
    """The files, kept for a block and deleted where that refuses; raises Invalid and PayloadTooLarge for what is not taken."""
    kinds = [judge(upload) for upload in uploads]
    if len(uploads) > MOST:
        raise Invalid.field("attachments", f"Must have at most {MOST} files.")
    if uploads and not uow.begun:
        uow.close()
    try:
        yield await keep(uow, key, list(zip(uploads, kinds, strict=True)))
    except Exception:
        await uow.rollback()
        await drop(uow)
        raise


def judge(upload: Upload) -> str:
    """What a file is by its content; raises Invalid for what is not taken, PayloadTooLarge beyond 16 MB."""
    if len(upload.content) > LARGEST:
        raise PayloadTooLarge("A file may be 16 MB at most.")
    if not upload.content:
        raise Invalid.field("attachments", "The file is empty.")
    mime = sniff(upload.content)
    if mime not in TAKEN:
        raise Invalid.field("attachments", "Must be a picture, a PDF, an office document, plain text, sound or a film.")
    return mime


async def keep(uow: UnitOfWork, key: bytes, uploads: list[tuple[Upload, str]]) -> list[Attachment]:
    """All files, unless an earlier attempt has kept them under the same key."""
    if uploads and KEPT.get(uow, (b"",))[0] != key:
        await drop(uow)
        KEPT[uow] = key, []
        for one in uploads:
            KEPT[uow][1].append(await put(uow, key, *one))
    return KEPT[uow][1] if uploads else []


async def put(uow: UnitOfWork, key: bytes, upload: Upload, mime: str) -> Attachment:
    """Keep one file, holding no connection meanwhile."""
    blob = await uow.kernel.media.put(uow.tenant, upload.content, key)
    return Attachment(await uow.number("ticket_attachment_number"), named(upload.filename, mime), mime, len(upload.content), blob)


def named(filename: str | None, mime: str) -> str:
    """A name that ends as such a file's does: nobody who saves it opens anything else than it is."""
    name, endings = safe_name(filename), TAKEN[mime]
    return name if name.rpartition(".")[2].lower() in endings else f"{name}.{endings[0]}"


async def drop(uow: UnitOfWork) -> None:
    """Delete what was put for a message that is refused. Where the store is away it stays, and nothing leads to it."""
    for file in KEPT.pop(uow, (b"", []))[1]:
        with suppress(Unavailable):
            await uow.kernel.media.delete(file.blob)
