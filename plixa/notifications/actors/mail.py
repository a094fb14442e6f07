"""The effect behind every mail: open it, write the letter, hand it to whoever sends, note how that ended."""

import logging
from functools import partial
from hashlib import sha256
from typing import Final

from msgspec import Struct

from plixa.kernel.audit import PLATFORM
from plixa.kernel.delivery import Delivery, Handler, Retry
from plixa.kernel.mail import MAIL_EFFECT, Mail, open_mail
from plixa.kernel.uow import UnitOfWork, perform
from plixa.notifications.client import MailDelayed, Mailer, MailRefused, OutboundMail
from plixa.notifications.commands.mails import INSERT, pause, seal_content, without
from plixa.notifications.domain import LONGEST_ADDRESS, BadAddress, check_address, cleaned, render
from plixa.notifications.queries.suppressions import is_at_an_end

log = logging.getLogger(__name__)

NEWSLETTERS: Final = frozenset({"digest"})
"""What nobody needs for their account, and so does not go to an address that bounced or complained."""


class Outcome(Struct, frozen=True):
    """How the sending of a mail ended for good."""

    sent: OutboundMail | None = None
    provider_id: str | None = None
    error: str | None = None


class Actors(Struct, frozen=True):
    """The handlers of this module's effects."""

    mailer: Mailer

    def handlers(self) -> dict[str, Handler]:
        """By the effect's kind."""
        return {MAIL_EFFECT: self.send}

    async def send(self, delivery: Delivery) -> None:
        """Send a mail. What is refused for good is noted and left, what is only delayed is tried again and parked in the end."""
        mail = open_mail(delivery.kernel.vault, delivery.tenant, delivery.key, delivery.payload)
        try:
            outcome = await self.hand_over(delivery, mail)
        except (MailRefused, BadAddress) as error:
            outcome = Outcome(error=without(mail.to, error))
            log.warning("Mail %s is refused for good: %s", delivery.key, outcome.error)
        except MailDelayed as error:
            raise later(delivery, mail, error) from error
        async with delivery.unit() as uow:
            await perform(uow, partial(self.finish, uow, delivery, mail, outcome))

    async def hand_over(self, delivery: Delivery, mail: Mail) -> Outcome:
        """Give a mail to whoever sends it."""
        check_address(mail.to)
        if mail.template in NEWSLETTERS and await is_over(delivery, mail.to):
            return Outcome(error="Nobody writes to this address any more: it bounced or complained.")
        letter = render(mail)
        outbound = OutboundMail(identity(delivery), mail.to, mail.template, letter.subject, letter.text, letter.html, mail.pictures)
        return Outcome(outbound, await self.mailer.send(outbound))

    async def finish(self, uow: UnitOfWork, delivery: Delivery, mail: Mail, outcome: Outcome) -> None:
        """Note how it ended, and that the effect is done."""
        sent = outcome.sent
        content = seal_content(uow, delivery.key, sent) if sent is not None and self.mailer.keeps else None
        state = "sent" if sent is not None else "failed"
        about = (delivery.key, mail.template, cleaned(mail.to)[:LONGEST_ADDRESS].lower(), state, self.mailer.name)
        await uow.execute(INSERT, *about, outcome.provider_id, outcome.error, content)
        await delivery.done(uow)


async def is_over(delivery: Delivery, address: str) -> bool:
    """Is it one that the platform knows to be at an end?"""
    uow = delivery.kernel.unit(PLATFORM)
    try:
        return await is_at_an_end(uow, address)
    finally:
        uow.close()


def identity(delivery: Delivery) -> str:
    """The mail's name at the provider: the same at every attempt, another for every row of any Plixa's outbox."""
    return sha256(f"{delivery.tenant}/{delivery.key}/{delivery.payload['sealed']}".encode()).hexdigest()[:40]


def later(delivery: Delivery, mail: Mail, error: MailDelayed) -> Retry:
    """Another try when it is time."""
    reason = without(mail.to, error)
    log.log(error.LEVEL, "Mail %s waits after attempt %s: %s", delivery.key, delivery.attempt, reason)
    return Retry(pause(delivery.attempt, error), reason)
