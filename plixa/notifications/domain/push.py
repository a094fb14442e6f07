"""Notifications: what a browser is told, in so few words that a push service takes them."""

import base64
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final, Literal

import msgspec
from msgspec import Struct

LONGEST_TITLE: Final = 80
LONGEST_PREVIEW: Final = 120
"""Characters of a message that leave us."""
HOUR: Final = timedelta(hours=1)


class Notice(Struct, frozen=True, kw_only=True):
    """What one browser shows. A newer one with the same ``tag`` takes its place; after ``life`` it is of no use to anybody.

    ``kind`` says what happened and ``content`` what sort of message it was: the page has the words for them, in its reader's language.
    """

    kind: str
    title: str
    body: str = ""
    content: str | None = None
    url: str
    tag: str
    at: datetime
    urgency: Literal["normal", "high"] = "normal"
    life: timedelta = HOUR

    def encoded(self) -> bytes:
        """As the page's service worker reads it: below 1,000 bytes, of which 3,993 would be taken."""
        title, body = shortened(self.title, LONGEST_TITLE), shortened(self.body, LONGEST_PREVIEW)
        shown = {"v": 1, "kind": self.kind, "title": title, "body": body, "content": self.content, "url": self.url, "tag": self.tag}
        return msgspec.json.encode({**shown, "ts": int(self.at.timestamp())})

    def topic(self, tenant: int) -> str:
        """By which a push service knows what an undelivered notice is replaced by: 32 characters that tell it nothing."""
        digest = sha256(f"{tenant}/{self.tag}".encode()).digest()
        return base64.urlsafe_b64encode(digest[:24]).decode()


def shortened(text: str, longest: int) -> str:
    """On one line, and no longer than this."""
    line = " ".join(text.split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"
