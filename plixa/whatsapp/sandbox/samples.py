"""Small real files a simulated customer sends when nobody gives better ones: all made here, all valid."""

import base64
import struct
import zlib
from collections.abc import Iterator
from typing import Final

OPUS_SILENCE: Final = b"\xf8\xff\xfe"
"""One packet of 20 ms of silence (CELT, full band, mono), RFC 6716."""

OPUS_RATE: Final = 48_000
OGG_POLYNOMIAL: Final = 0x04C11DB7

STICKER: Final = base64.b64decode("UklGRiQAAABXRUJQVlA4IBgAAAAwAQCdASoBAAEAAwA0JaQAA3AA/vuUAAA=")
"""A WebP of one pixel."""

SIGNATURES: Final = (
    (b"\x89PNG", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"OggS", "audio/ogg; codecs=opus"),
    (b"ID3", "audio/mpeg"),
    (b"%PDF", "application/pdf"),
    (b"RIFF", "image/webp"),
)


def mime_of(content: bytes) -> str:
    """The type by the first bytes; anything else is a plain octet stream."""
    return next((mime for start, mime in SIGNATURES if content.startswith(start)), "application/octet-stream")


def picture(width: int = 64, height: int = 48) -> bytes:
    """A PNG with a colour gradient."""
    rows = b"".join(b"\x00" + b"".join(bytes((x * 255 // width, y * 255 // height, 160)) for x in range(width)) for y in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def voice(seconds: int = 2) -> bytes:
    """An OGG/Opus file of silence, RFC 7845: identification, comments, audio."""
    identification = b"OpusHead" + struct.pack("<BBHIhB", 1, 1, 312, OPUS_RATE, 0, 0)
    vendor = b"plixa sandbox"
    comments = b"OpusTags" + struct.pack("<I", len(vendor)) + vendor + struct.pack("<I", 0)
    pages = [_page([identification], 0, 0, 2), _page([comments], 1, 0, 0), *_audio_pages(seconds)]
    return b"".join(pages)


def _audio_pages(seconds: int) -> Iterator[bytes]:
    """One page for each second of 50 packets; the last carries the end mark."""
    for second in range(1, seconds + 1):
        yield _page([OPUS_SILENCE] * 50, second + 1, second * OPUS_RATE, 4 if second == seconds else 0)


def _page(packets: list[bytes], number: int, position: int, flags: int) -> bytes:
    lengths = bytes(len(packet) for packet in packets)
    head = struct.pack("<4sBBqIII", b"OggS", 0, flags, position, 0x504C5841, number, 0)
    page = head + bytes((len(packets),)) + lengths + b"".join(packets)
    return page[:22] + struct.pack("<I", _ogg_checksum(page)) + page[26:]


def _ogg_checksum(page: bytes) -> int:
    """CRC-32 as OGG wants it: not reflected, start 0, RFC 3533."""
    register = 0
    for byte in page:
        register ^= byte << 24
        for _ in range(8):
            register = ((register << 1) ^ (OGG_POLYNOMIAL if register & 0x80000000 else 0)) & 0xFFFFFFFF
    return register


def document(text: str = "Plixa sandbox") -> bytes:
    """A PDF of one page with a line of text."""
    stream = f"BT /F1 24 Tf 72 720 Td ({text}) Tj ET".encode("latin-1", "replace")
    objects = (
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    )
    body, offsets = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        offsets.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    return (
        body
        + b"xref\n0 6\n0000000000 65535 f \n"
        + table
        + b"trailer\n<< /Size 6 /Root 1 0 R >>\n"
        + (b"startxref\n%d\n%%%%EOF\n" % len(body))
    )
