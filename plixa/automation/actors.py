"""The effects of automation: giving away what waited for somebody, greetings that wait, reminders, and offers from the waitlist."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

import msgspec
from msgspec import Struct

from plixa.automation.commands.assigning import drain
from plixa.automation.commands.offering import ANSWER, UNBOOKABLE, Answer, accept, let_pass, offer_freed
from plixa.automation.commands.reminding import Reminder, remind
from plixa.automation.commands.welcome import send_welcome
from plixa.kernel.delivery import Delivery, Handler
from plixa.kernel.errors import NotFound
from plixa.kernel.settings import Settings
from plixa.kernel.uow import UnitOfWork, perform
from plixa.scheduling.queries.waitlist import Freed

Command = Callable[[UnitOfWork], Awaitable[object]]


class Actors(Struct, frozen=True):
    """The handlers of this module's effects."""

    settings: Settings

    def handlers(self) -> dict[str, Handler]:
        """By the effect's kind."""
        return {
            "automation.drain": self.drain,
            "automation.welcome": self.welcome,
            "automation.remind": send_reminder,
            "automation.offer_time": offer_time,
            ANSWER: answer_offer,
        }

    async def welcome(self, delivery: Delivery) -> None:
        """A greeting has waited for long enough."""
        async with delivery.unit() as uow:

            async def end() -> None:
                await delivery.done(uow)
                with suppress(NotFound):
                    await send_welcome(uow, delivery.payload["conversation_id"], delivery.payload["episode"])

            await perform(uow, end)

    async def drain(self, delivery: Delivery) -> None:
        """Somebody became eligible."""
        await drain(delivery.kernel, delivery.tenant, self.settings)
        async with delivery.unit() as uow:
            await perform(uow, partial(delivery.done, uow))


async def send_reminder(delivery: Delivery) -> None:
    """A customer's appointment is near."""
    await finish(delivery, partial(remind, reminder=msgspec.convert(delivery.payload, Reminder)))


async def offer_time(delivery: Delivery) -> None:
    """A provider's time became free."""
    await offer_freed(delivery.kernel, delivery.tenant, msgspec.convert(delivery.payload, Freed))
    async with delivery.unit() as uow:
        await perform(uow, partial(delivery.done, uow))


async def answer_offer(delivery: Delivery) -> None:
    """A customer said yes or no to time that was offered to them."""
    answer = msgspec.convert(delivery.payload, Answer)
    async with delivery.unit() as uow:
        try:
            await perform(uow, partial(end, uow, delivery, partial(accept if answer.is_yes else let_pass, answer=answer)))
        except UNBOOKABLE:
            await finish(delivery, partial(let_pass, answer=answer))


async def finish(delivery: Delivery, command: Command) -> None:
    """Do it, and end the effect with it. What is about somebody who was erased meanwhile ends without."""
    async with delivery.unit() as uow:
        try:
            await perform(uow, partial(end, uow, delivery, command))
        except NotFound:
            await perform(uow, partial(delivery.done, uow))


async def end(uow: UnitOfWork, delivery: Delivery, command: Command) -> None:
    await delivery.done(uow)
    await command(uow)
