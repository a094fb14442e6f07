"""The effect behind every digest."""

from functools import partial

from plixa.kernel.delivery import Delivery, Handler
from plixa.kernel.uow import perform
from plixa.reports.commands.digest import DIGEST, run_digest


def handlers() -> dict[str, Handler]:
    """By the effect's kind."""
    return {DIGEST: send}


async def send(delivery: Delivery) -> None:
    """The time of a run has come."""
    async with delivery.unit() as uow:
        await perform(uow, partial(run_digest, uow, delivery))
