"""What a message tells about its file."""

import base64
import re

from plixa.whatsapp.domain.facts import Media, MessageKind
from plixa.whatsapp.domain.values import BASE64_LIMIT, flag, octets, text, whole, word

_MIME = re.compile(r"[\w.+-]+/[\w.+-]+(; ?[\w.+-]+=[\w.+\"-]+)*")
_MIME_OF_KIND = {
    "image": "image/jpeg",
    "video": "video/mp4",
    "audio": "audio/mpeg",
    "voice": "audio/ogg; codecs=opus",
    "sticker": "image/webp",
}
_NOT_IN_NAMES = re.compile(r"[\x00-\x1f\x7f\u202a-\u202e\u2066-\u2069]")
_WAVEFORM_LENGTH = 256
_LOUDEST = 100
_LARGEST_FIGURE = (1 << 63) - 1


def media_of(kind: MessageKind, part: dict[str, object]) -> Media:
    """The file of a message part such as ``imageMessage``; a missing or odd MIME type becomes the kind's usual one."""
    return Media(
        mime=_mime(part.get("mimetype")) or _MIME_OF_KIND.get(kind, "application/octet-stream"),
        size=_figure(part.get("fileLength")),
        filename=_filename(part.get("fileName")) or _filename(part.get("title")),
        seconds=_figure(part.get("seconds")),
        waveform=_waveform(part.get("waveform")),
        thumbnail=_thumbnail(part.get("jpegThumbnail")) or _thumbnail(part.get("pngThumbnail")),
        pages=_figure(part.get("pageCount")),
        animated=flag(part.get("isAnimated")) or flag(part.get("gifPlayback")),
    )


def _mime(value: object) -> str | None:
    mime = word(value)
    return mime if mime and mime.isascii() and _MIME.fullmatch(mime) else None


def _filename(value: object) -> str | None:
    name = _NOT_IN_NAMES.sub("", text(value, 1000)).replace("\\", "/").rpartition("/")[2].strip()
    return None if name in ("", ".", "..") else name[-255:]


def _waveform(value: object) -> list[int] | None:
    loudness = octets(value)
    return [min(level, _LOUDEST) for level in loudness[:_WAVEFORM_LENGTH]] if loudness else None


def _thumbnail(value: object) -> str | None:
    picture = octets(value)
    encoded = base64.b64encode(picture).decode() if picture else ""
    return encoded if 0 < len(encoded) <= BASE64_LIMIT else None


def _figure(value: object) -> int | None:
    """A number that fits a bigint column."""
    figure = whole(value)
    return figure if figure is not None and figure <= _LARGEST_FIGURE else None
