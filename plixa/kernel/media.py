"""Media: files encrypted under random names in a folder or a bucket, and the rules by which they are served.

A blob is sealed with its stream's data key for its own name: without the key, or under another name, it is noise.
A bucket's region, endpoint and credentials come from the usual ``AWS_*`` variables.
"""

import asyncio
import os
import re
import secrets
import unicodedata
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import obstore
import puremagic
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Struct
from obstore.exceptions import BaseError
from obstore.store import LocalStore, MemoryStore, S3Store

from plixa.kernel.errors import NotFound, PayloadTooLarge, Unavailable

LARGEST = 16 * 1024 * 1024
"""Bytes of a file, by the contract."""
MARGIN = 64 * 1024
"""What a gateway may add or round up."""
NONCE = 12
TAG = 16
BLOB = re.compile(r"[1-9]\d{0,18}/[0-9a-f]{2}/[0-9a-f]{32}")

OCTETS = "application/octet-stream"
INLINE = frozenset(
    {
        *("image/png", "image/jpeg", "image/webp", "image/gif", "application/pdf"),
        *("audio/ogg", "audio/mpeg", "audio/mp4", "audio/aac", "audio/amr", "audio/wav", "audio/webm"),
        *("video/mp4", "video/webm", "video/ogg", "video/3gpp", "video/quicktime"),
    }
)
"""Shown by a browser without running anything; everything else is a download of octets."""
SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"%PDF-", "application/pdf"),
    (b"ID3", "audio/mpeg"),
    *((bytes((0xFF, layer)), "audio/mpeg") for layer in (0xFB, 0xFA, 0xF3, 0xF2, 0xE3, 0xE2)),
    *((bytes((0xFF, layer)), "audio/aac") for layer in (0xF1, 0xF9)),
    (b"#!AMR", "audio/amr"),
)
RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav"}
BRANDS = {
    **dict.fromkeys((b"M4A ", b"M4B "), "audio/mp4"),
    **dict.fromkeys((b"heic", b"heix", b"mif1", b"msf1"), "image/heic"),
    b"avif": "image/avif",
    b"qt  ": "video/quicktime",
}
"""The major brand of an ISO media file; any other is video/mp4."""
OFFICE = {
    b"word/document.xml": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    b"xl/workbook.xml": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    b"ppt/presentation.xml": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
}
SURE = 0.4
"""Below this puremagic guesses from two or three bytes."""
CONTROL = bytes(set(range(32)) - set(b"\t\n\f\r\x1b"))

POLICY = "default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'; sandbox"
RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\.|$)")
LONGEST_NAME = 120
RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


class MediaStore:
    """Blobs behind ``file:///folder`` (the path as it is), ``s3://bucket/prefix`` or, for tests, ``memory:``."""

    def __init__(self, url: str) -> None:
        scheme, _, place = url.partition(":")
        self._folder = Path(place.removeprefix("//")) if scheme == "file" else None
        self._store: LocalStore | S3Store | MemoryStore
        if self._folder is not None:
            self._store = LocalStore(self._folder, mkdir=True)
        elif scheme == "s3":
            retry = {"max_retries": 2, "retry_timeout": timedelta(seconds=20)}
            limits = {"timeout": "30s", "connect_timeout": "5s"}
            self._store = S3Store.from_url(url, client_options=limits, retry_config=retry)  # type: ignore[arg-type]
        else:
            self._store = MemoryStore()

    async def put(self, tenant: int, data: bytes, key: bytes) -> str:
        """Seal and keep ``data``; answers the blob's name. Raises PayloadTooLarge, Unavailable."""
        if len(data) > LARGEST + MARGIN:
            raise PayloadTooLarge("The file is larger than 16 MB.")
        name = secrets.token_hex(16)
        blob = f"{tenant:d}/{name[:2]}/{name}"
        sealed = await asyncio.to_thread(seal, data, key, blob)
        async with answering():
            await obstore.put_async(self._store, blob, sealed)
            if self._folder is not None:
                await asyncio.to_thread(settle, self._folder / blob)
        return blob

    async def get(self, blob: str, key: bytes) -> bytes:
        """The content; raises NotFound when it is gone or does not open, Unavailable when the store is away."""
        if not BLOB.fullmatch(blob):
            raise NotFound
        async with answering():
            found = await obstore.get_async(self._store, blob)
            if not NONCE + TAG <= found.meta["size"] <= NONCE + LARGEST + MARGIN + TAG:
                raise NotFound
            sealed = await found.bytes_async()
        try:
            return await asyncio.to_thread(unseal, memoryview(sealed), key, blob)
        except InvalidTag as error:
            raise NotFound from error

    async def delete(self, blob: str) -> None:
        """Remove it; one that is gone already is no fault."""
        if not BLOB.fullmatch(blob):
            return
        try:
            async with answering():
                await obstore.delete_async(self._store, blob)
        except NotFound:
            return

    async def write(self, name: str, content: bytes) -> None:
        """Keep what is no tenant's, as it is, under a name of its own; it survives a power cut."""
        async with answering():
            await obstore.put_async(self._store, name, content)
            if self._folder is not None:
                await asyncio.to_thread(settle, self._folder / name)

    async def read(self, name: str) -> bytes:
        """What was written under a name; raises NotFound, Unavailable."""
        async with answering():
            found = await obstore.get_async(self._store, name)
            return bytes(await found.bytes_async())

    async def names(self, folder: str) -> list[str]:
        """Everything that was written into a folder."""
        async with answering():
            return [str(one["path"]) async for some in obstore.list(self._store, f"{folder}/") for one in some]

    async def remove(self, name: str) -> None:
        """Remove what was written under a name."""
        async with answering():
            await obstore.delete_async(self._store, name)

    async def clear(self, tenant: int) -> None:
        """Remove every file of a tenant."""
        async with answering():
            async for found in obstore.list(self._store, f"{tenant:d}/"):
                await obstore.delete_async(self._store, [one["path"] for one in found])


def seal(data: bytes, key: bytes, blob: str) -> bytes:
    """12 bytes nonce, AES-256-GCM ciphertext, 16 bytes tag."""
    nonce = os.urandom(NONCE)
    return nonce + AESGCM(key).encrypt(nonce, data, blob.encode())


def unseal(sealed: memoryview, key: bytes, blob: str) -> bytes:
    """What was sealed for ``blob``; raises InvalidTag."""
    return AESGCM(key).decrypt(sealed[:NONCE], sealed[NONCE:], blob.encode())


def settle(file: Path) -> None:
    """Write the file and the names that lead to it down to the disk: what is acknowledged survives a power cut."""
    for place in (file, *file.parents[:3]):
        handle = os.open(place, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@asynccontextmanager
async def answering() -> AsyncIterator[None]:
    """The store's refusals as ours."""
    try:
        yield
    except FileNotFoundError as error:
        raise NotFound from error
    except (BaseError, OSError) as error:
        raise Unavailable("The media store does not answer. Try again in a moment.") from error


def sniff(data: bytes) -> str:
    """The MIME type by content, whatever the sender claims; text/plain or octets where nothing else is sure."""
    for magic, mime in SIGNATURES:
        if data.startswith(magic):
            return mime
    return container(data) or recognised(data) or (OCTETS if binary(data) else "text/plain")


def container(data: bytes) -> str | None:
    """The type of a file that says further in what it holds: RIFF, ISO media, Ogg, Matroska, ZIP."""
    if data.startswith(b"RIFF"):
        return RIFF.get(data[8:12])
    if data[4:8] == b"ftyp":
        brand = data[8:12]
        return "video/3gpp" if brand.startswith((b"3gp", b"3g2")) else BRANDS.get(brand, "video/mp4")
    if data.startswith(b"OggS"):
        return "video/ogg" if b"\x80theora" in data[:512] else "audio/ogg"
    if data.startswith(b"\x1a\x45\xdf\xa3"):
        return "video/webm" if b"webm" in data[:64] else "video/x-matroska"
    if data.startswith(b"PK\x03\x04"):
        return next((mime for entry, mime in OFFICE.items() if entry in data), "application/zip")
    return None


def recognised(data: bytes) -> str | None:
    """What puremagic is sure of."""
    try:
        guesses = puremagic.magic_string(data)
    except (puremagic.PureError, ValueError):
        return None
    return next((guess.mime_type for guess in guesses if guess.mime_type and guess.confidence >= SURE), None)


def binary(data: bytes) -> bool:
    """Is it no text in UTF-8?"""
    try:
        data.decode()
    except UnicodeDecodeError:
        return True
    return not data or len(data.translate(None, CONTROL)) < len(data)


def safe_headers(mime: str, filename: str | None) -> dict[str, str]:
    """Headers under which a file that anybody may have sent can do no harm."""
    plain = mime.partition(";")[0].strip().lower()
    inline = plain in INLINE
    name = safe_name(filename)
    ascii_name = re.sub(r"[^A-Za-z0-9._ -]", "_", name)
    place = "inline" if inline else "attachment"
    return {
        "Content-Type": plain if inline else OCTETS,
        "Content-Disposition": f"{place}; filename=\"{ascii_name}\"; filename*=UTF-8''{quote(name, safe='')}",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": POLICY,
        "Cache-Control": "private, max-age=300",
        "Vary": "Authorization",
    }


def safe_name(filename: str | None) -> str:
    """A name that stays in its folder and reads as it is: no path, no control or direction marks, no device."""
    last = re.split(r"[/\\]", filename or "")[-1]
    visible = "".join(" " if letter.isspace() else letter for letter in last if unicodedata.category(letter)[0] != "C")
    name = re.sub(r'[<>:"|?*]', "_", visible).strip(" .")
    stem, dot, ending = name.rpartition(".")
    if len(name) > LONGEST_NAME:
        name = f"{stem[: LONGEST_NAME - 12]}{dot}{ending[:10]}" if dot else name[:LONGEST_NAME]
    return f"_{name}" if RESERVED.match(name) else name or "file"


class Ranged(Struct, frozen=True):
    """The part of a file that was asked for."""

    status: int
    body: bytes
    headers: dict[str, str]


def ranged(data: bytes, header: str | None) -> Ranged:
    """Answer a ``Range`` header: one range of bytes (206, 416 beyond the end), anything else is the whole (200)."""
    size = len(data)
    headers = {"Accept-Ranges": "bytes"}
    bounds = requested(header, size)
    if bounds is None:
        return Ranged(200, data, headers)
    first, last = bounds
    if first >= size or last < first:
        return Ranged(416, b"", headers | {"Content-Range": f"bytes */{size}"})
    return Ranged(206, data[first : last + 1], headers | {"Content-Range": f"bytes {first}-{last}/{size}"})


def requested(header: str | None, size: int) -> tuple[int, int] | None:
    """First and last byte of a single range; None where the header asks for none, or in a way we do not know."""
    asked = RANGE.fullmatch(header.strip()) if header else None
    if asked is None or asked[0] == "bytes=-":
        return None
    first, last = asked[1], asked[2]
    if not first:
        return max(0, size - int(last)), size - 1
    if last and int(last) < int(first):
        return None
    return int(first), min(int(last), size - 1) if last else size - 1
