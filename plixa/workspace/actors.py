"""What happens when a workspace's last day has come."""

from functools import partial

from plixa.kernel.delivery import Delivery, Handler
from plixa.kernel.uow import perform
from plixa.workspace.commands.deletion import DESTROY, PURGE, destroy_workspace, say_farewell


def handlers() -> dict[str, Handler]:
    """By the effect's kind."""
    return {PURGE: purge, DESTROY: destroy}


async def purge(delivery: Delivery) -> None:
    """Begin with the end, unless it was cancelled."""
    async with delivery.unit() as uow:
        await perform(uow, partial(say_farewell, uow, delivery))


async def destroy(delivery: Delivery) -> None:
    """Destroy keys and rows; the effect's own row is among the last."""
    await destroy_workspace(delivery)
    async with delivery.unit() as uow:
        await perform(uow, partial(delivery.done, uow))
