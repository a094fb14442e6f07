"""What Resend tells of a mail after it took it, signed as Svix does, so that nobody else can tell it."""

import base64
import hmac
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from msgspec import Struct

from plixa.kernel.errors import Invalid, Unauthenticated

TOLERANCE: Final = timedelta(minutes=5)
"""How far its clock may be from ours, and how long ago something may have been signed."""
STATES: Final = {
    "email.sent": "sent",
    "email.delivered": "delivered",
    "email.opened": "opened",
    "email.clicked": "opened",
    "email.bounced": "bounced",
    "email.complained": "complained",
    "email.failed": "failed",
    "email.suppressed": "suppressed",
}
"""How a mail fared, by the kind of news; every other kind is of no concern to us."""
ENDING: Final = frozenset({"bounced", "complained", "suppressed"})
"""Nobody writes to an address again after these; but a bounce has to be permanent."""
LONGEST_WHY: Final = 200
LONGEST_MOMENT: Final = 12
"""Digits of a time in seconds."""


class Bounce(Struct, frozen=True):
    """Why a mail came back."""

    type: str = ""
    sub_type: str = msgspec.field(default="", name="subType")


class Mailed(Struct, frozen=True):
    """The mail it is about; ``tags`` are those it was sent with."""

    to: list[str]
    tags: dict[str, str] | list[Any] | None = None
    bounce: Bounce | None = None


class News(Struct, frozen=True):
    """One delivery of the webhook; where it and what opened a mail stand in it, we do not look."""

    type: str
    created_at: datetime
    data: Mailed

    @property
    def state(self) -> str:
        """How the mail fared."""
        return STATES[self.type]

    @property
    def ends(self) -> bool:
        """Is this the last mail to the address?"""
        bounce = self.data.bounce
        return self.state in ENDING and not (self.state == "bounced" and bounce is not None and bounce.type != "Permanent")

    @property
    def why(self) -> str | None:
        """Why it did not arrive, without anything of the address."""
        bounce = self.data.bounce
        return f"{bounce.type} {bounce.sub_type}".strip()[:LONGEST_WHY] or None if bounce is not None else None

    def tag(self, name: str) -> str | None:
        """One of the tags the mail was sent with."""
        tags = self.data.tags
        return tags.get(name) if isinstance(tags, dict) else None


class Kind(Struct, frozen=True):
    """As much as every delivery has."""

    type: str


def check_signature(secret: str, headers: Mapping[str, str], body: bytes, now: datetime) -> str:
    """The id of a delivery that was signed with the secret not long ago; raises Unauthenticated."""
    number, moment = headers.get("svix-id", ""), headers.get("svix-timestamp", "")
    seconds = int(moment) if moment.isascii() and moment.isdigit() and len(moment) <= LONGEST_MOMENT else 0
    if not number or abs(now.timestamp() - seconds) > TOLERANCE.total_seconds():
        raise Unauthenticated("This was not signed by Resend, or not lately.")
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = hmac.digest(key, f"{number}.{moment}.".encode("utf-8", "surrogatepass") + body, "sha256")
    expected = b"v1," + base64.b64encode(signed)
    given = headers.get("svix-signature", "").encode("utf-8", "surrogatepass").split(b" ")
    if not any(hmac.compare_digest(expected, one) for one in given):
        raise Unauthenticated("This was not signed by Resend.")
    return number


def read_news(body: bytes) -> News | None:
    """What it tells of a mail, None for anything else; raises Invalid for what is no delivery."""
    try:
        if msgspec.json.decode(body, type=Kind).type not in STATES:
            return None
        return msgspec.json.decode(body, type=News)
    except msgspec.DecodeError as error:
        raise Invalid.field("body", "Must be an event of Resend.") from error
