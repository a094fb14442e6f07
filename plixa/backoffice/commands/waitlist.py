"""Joining the waitlist from the landing page."""

from datetime import datetime
from typing import Annotated, Final

from msgspec import Meta, Struct

from plixa.identity.domain import EMAIL
from plixa.kernel.audit import record
from plixa.kernel.errors import Conflict
from plixa.kernel.mail import Mail, send_mail
from plixa.kernel.uow import UnitOfWork

INSERT: Final = """
INSERT INTO waitlist_signup (tenant_id, email, locale, referrer, created_at) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (tenant_id, email) DO NOTHING RETURNING id
"""
LANGUAGE_TAG: Final = r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$(?!\s)"
"""A well-formed tag of BCP 47."""
WEB_ADDRESS: Final = r"^https?://[^\s/?#\x00-\x20\x7f]+([/?#][^\s\x00-\x20\x7f]*)?$(?!\s)"


class EmailAlreadyRegistered(Conflict):
    code = "WAITLIST_EMAIL_ALREADY_REGISTERED"
    default = "This email is already on the waitlist."


class JoinWaitlist(Struct, frozen=True):
    """Somebody who wants to hear of us; what their browser tells of language and origin."""

    email: Annotated[str, Meta(max_length=254, pattern=EMAIL)]
    locale: Annotated[str, Meta(max_length=35, pattern=LANGUAGE_TAG)] | None = None
    referrer: Annotated[str, Meta(max_length=2048, pattern=WEB_ADDRESS)] | None = None


class JoinedView(Struct, frozen=True):
    """A place on the waitlist."""

    id: int
    email: str
    created_at: datetime


async def join_waitlist(uow: UnitOfWork, data: JoinWaitlist) -> JoinedView:
    """Keep an address and thank for it; raises EmailAlreadyRegistered."""
    email = data.email.lower()
    await uow.begin()
    number = await uow.insert(INSERT, email, data.locale, data.referrer, uow.now)
    if number is None:
        raise EmailAlreadyRegistered
    send_mail(uow, f"waitlist_welcome/{number}", Mail("waitlist_welcome", email, data.locale or "en"))
    await record(uow, "waitlist.joined", ("waitlist_signup", number))
    return JoinedView(number, email, uow.now)
