"""What Resend tells of our mails: addresses that are at an end, and news of campaigns for whoever keeps those."""

from email.utils import parseaddr
from typing import Final

from plixa.kernel.outbox import Effect
from plixa.kernel.uow import UnitOfWork
from plixa.notifications.commands.suppressing import suppress
from plixa.notifications.domain.deliveries import News
from plixa.notifications.queries.suppressions import pseudonym_of

NOTE: Final = "campaign.note"
"""The effect that brings news to a campaign."""
RECIPIENT: Final = "recipient"
"""The tag that says to which recipient of a campaign a mail went."""


async def take_news(uow: UnitOfWork, number: str, news: News) -> None:
    """Act on a delivery; told again under the same ``number`` it changes nothing. ``uow`` is the platform's."""
    addresses = [parseaddr(one)[1] for one in news.data.to]
    for address in addresses if news.ends else ():
        await suppress(uow, address, news.state)
    recipient = news.tag(RECIPIENT)
    if recipient is not None and recipient.isdecimal() and len(recipient) < 19:
        told = {"recipient_id": int(recipient), "state": news.state, "at": news.created_at.isoformat(), "why": news.why}
        whom = [pseudonym_of(uow.kernel.vault, address) for address in addresses]
        uow.enqueue(Effect(NOTE, number, told | {"whom": whom}))
