"""The effect behind every notification: have the notice written as things stand now, and bring it to one browser."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from msgspec import Struct

from plixa.identity.queries.sending import find_sending_bar
from plixa.kernel.delivery import Delivery, Handler, Retry
from plixa.kernel.uow import UnitOfWork, perform
from plixa.notifications.client.push import Push, PushDelayed, Pusher, PushError, PushGone
from plixa.notifications.commands.push import PUSH, UNSUBSCRIBE, obtain_key
from plixa.notifications.domain.push import Notice
from plixa.notifications.queries.push import Device, Hearer, find_device

log = logging.getLogger(__name__)

WAITS: Final = (10.0, 60.0, 300.0)
"""Seconds after each attempt; a notice that then is not taken is of no use any more."""
ENOUGH, LONG_ENOUGH = 5, timedelta(days=1)
"""A browser that could not be told so often, for so long, is told no longer."""
USED: Final = """UPDATE push_subscription SET last_used_at = $3, failures = 0, failing_since = NULL WHERE tenant_id = $1 AND id = $2"""
FAILED: Final = """UPDATE push_subscription SET failures = failures + 1, failing_since = coalesce(failing_since, $3)
WHERE tenant_id = $1 AND id = $2"""

Writer = Callable[[UnitOfWork, Hearer, dict[str, Any]], Awaitable[Notice | None]]
"""Writes a notice for somebody, of what a payload names; None where there is nothing to tell them any more."""


class Actors(Struct, frozen=True):
    """The handlers of this module's effects; ``writers`` by what a notice is about."""

    pusher: Pusher
    writers: Mapping[str, Writer]

    def handlers(self) -> dict[str, Handler]:
        """By the effect's kind."""
        return {PUSH: self.send}

    async def send(self, delivery: Delivery) -> None:
        """Tell one browser, if there is still something to tell. One that is gone is forgotten."""
        async with delivery.unit() as uow:
            device = await find_device(uow, delivery.payload["device_id"])
            notice = await self.write(uow, delivery, device) if device is not None else None
        if device is None or notice is None:
            await finish(delivery)
            return
        try:
            await self.pusher.push(await obtain_key(delivery.kernel), device.browser, outbound(delivery, notice))
        except PushGone:
            await finish(delivery, UNSUBSCRIBE)
        except PushDelayed as error:
            await later(delivery, device, error)
        except PushError as error:
            await fail(delivery, device, error)
        else:
            await finish(delivery, USED, datetime.now(notice.at.tzinfo))

    async def write(self, uow: UnitOfWork, delivery: Delivery, device: Device) -> Notice | None:
        """The notice, unless its reader sits before an open panel, the workspace is barred, or it came too late."""
        if device.hearer.is_online or await find_sending_bar(uow) is not None:
            return None
        notice = await self.writers[delivery.payload["about"]](uow, device.hearer, delivery.payload)
        return notice if notice is not None and uow.now - notice.at < notice.life else None


def outbound(delivery: Delivery, notice: Notice) -> Push:
    """A notice as it goes out."""
    return Push(notice.encoded(), int(notice.life.total_seconds()), notice.urgency, notice.topic(delivery.tenant))


async def later(delivery: Delivery, device: Device, error: PushDelayed) -> None:
    """Another try, or none after the last one."""
    if delivery.attempt > len(WAITS):
        await fail(delivery, device, error)
        return
    raise Retry(error.seconds if error.seconds is not None else WAITS[delivery.attempt - 1], str(error)) from error


async def fail(delivery: Delivery, device: Device, error: PushError) -> None:
    """Leave this one; and the browser, where that goes on."""
    log.warning("Notification %s was not taken: %s", delivery.key, error)
    now, since = datetime.now().astimezone(), device.failing_since
    if since is not None and device.failures + 1 >= ENOUGH and now - since >= LONG_ENOUGH:
        await finish(delivery, UNSUBSCRIBE)
    else:
        await finish(delivery, FAILED, now)


async def finish(delivery: Delivery, statement: str | None = None, *arguments: Any) -> None:
    """Note how it ended for the browser, and that the effect is done."""
    async with delivery.unit() as uow:
        await perform(uow, partial(end, uow, delivery, statement, *arguments))


async def end(uow: UnitOfWork, delivery: Delivery, statement: str | None, *arguments: Any) -> None:
    if statement is not None:
        await uow.execute(statement, delivery.payload["device_id"], *arguments)
    await delivery.done(uow)
