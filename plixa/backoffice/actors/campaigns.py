"""The effects behind a campaign: spread it, bring one mail on its way, note what is heard of it."""

import asyncio
import logging
from datetime import UTC, datetime
from functools import partial

from msgspec import Struct

from plixa.backoffice.commands.campaigns import MAIL, SPREAD, Fared, note_fate, outbound, spread_campaign
from plixa.backoffice.queries.campaigns import find_outgoing, is_shut
from plixa.kernel.delivery import ATTEMPTS, Delivery, Handler, Retry
from plixa.kernel.settings import Settings
from plixa.kernel.uow import UnitOfWork, perform
from plixa.notifications.client import MailDelayed, Mailer, MailRefused, OutboundMail
from plixa.notifications.commands.deliveries import NOTE
from plixa.notifications.commands.mails import keep_mail, pause, without
from plixa.notifications.domain import BadAddress, check_address
from plixa.notifications.queries.suppressions import list_suppressed

log = logging.getLogger(__name__)


class Actors(Struct, frozen=True):
    """The handlers of this module's effects."""

    mailer: Mailer
    settings: Settings

    def handlers(self) -> dict[str, Handler]:
        """By the effect's kind."""
        return {SPREAD: self.spread, MAIL: self.send, NOTE: note}

    async def spread(self, delivery: Delivery) -> None:
        """Ask for the next mails of a campaign."""
        async with delivery.unit() as uow:

            async def ask() -> None:
                await spread_campaign(uow, self.settings, delivery.payload["campaign_id"], delivery.payload["after"])
                await delivery.done(uow)

            await perform(uow, ask)

    async def send(self, delivery: Delivery) -> None:
        """One mail to one address, unless that wants no more, or the campaign is gone."""
        mail = await self.find(delivery)
        fared = await self.hand_over(delivery, mail) if mail is not None else None
        async with delivery.unit() as uow:
            await perform(uow, partial(self.end, uow, delivery, mail, fared))

    async def find(self, delivery: Delivery) -> OutboundMail | None:
        """The mail, written beside the event loop as a long one takes a while; None where it went out already, or the campaign is gone."""
        async with delivery.unit() as uow:
            outgoing = await find_outgoing(uow, delivery.payload["recipient_id"])
        if outgoing is None:
            return None
        return await asyncio.to_thread(outbound, self.settings, "campaign", outgoing, delivery.payload["token"])

    async def hand_over(self, delivery: Delivery, mail: OutboundMail) -> Fared:
        """Give a mail to whoever sends it; raises Retry where that is to be tried again."""
        async with delivery.unit() as uow:
            if await list_suppressed(uow, [mail.to]):
                return Fared("suppressed", now())
        if await is_shut(delivery.kernel.system, delivery.payload["recipient_id"]):
            return Fared("suppressed", now(), why="The workspace was suspended, or is about to be deleted.")
        try:
            check_address(mail.to)
            return Fared("sent", now(), await self.mailer.send(mail))
        except (MailRefused, BadAddress) as error:
            return Fared("failed", now(), why=without(mail.to, error))
        except MailDelayed as error:
            reason = without(mail.to, error)
            log.log(error.LEVEL, "Campaign mail %s waits after attempt %s: %s", delivery.key, delivery.attempt, reason)
            if delivery.attempt < ATTEMPTS:
                raise Retry(pause(delivery.attempt, error), reason) from error
            return Fared("failed", now(), why=reason)

    async def end(self, uow: UnitOfWork, delivery: Delivery, mail: OutboundMail | None, fared: Fared | None) -> None:
        """Note how it ended, and that the effect is done."""
        if mail is not None and fared is not None:
            await note_fate(uow, delivery.payload["recipient_id"], fared)
            if self.mailer.keeps and fared.provider_id is not None:
                await keep_mail(uow, self.mailer, f"campaign/{delivery.key}", mail, fared.provider_id)
        await delivery.done(uow)


async def note(delivery: Delivery) -> None:
    """What the provider tells of a mail."""
    told = delivery.payload
    news = Fared(told["state"], datetime.fromisoformat(told["at"]), why=told["why"], whom=told["whom"])
    async with delivery.unit() as uow:

        async def keep() -> None:
            await note_fate(uow, told["recipient_id"], news)
            await delivery.done(uow)

        await perform(uow, keep)


def now() -> datetime:
    """The time at which something ended."""
    return datetime.now(UTC)
