"""A worker, as Plixa's own but for its effects, which go wrong in every way. What they do they write into a file."""

import asyncio
import os
from pathlib import Path

from plixa.kernel import logs
from plixa.kernel.delivery import LEASE_SECONDS, Delivery, Handler
from plixa.kernel.settings import load_settings
from plixa.kernel.uow import perform
from plixa.whatsapp.client import EvolutionGateway
from plixa.worker import work

TRACE = "PLIXA_TEST_TRACE"
"""Names the file."""
LONG = LEASE_SECONDS + 4
"""Seconds: longer than a lease."""


def trace(what: str, delivery: Delivery) -> None:
    """One line, whole or not at all, whoever else writes."""
    with Path(os.environ[TRACE]).open("a") as file:
        file.write(f"{what} {delivery.kind} {delivery.key} {delivery.attempt} {delivery.in_doubt} {os.getpid()}\n")


async def note(delivery: Delivery) -> None:
    """Goes well."""
    trace("began", delivery)
    await finish(delivery)


async def fail(delivery: Delivery) -> None:
    """Always raises what nobody expects."""
    trace("began", delivery)
    raise ValueError(delivery.key)


async def leave(delivery: Delivery) -> None:
    """Takes its worker with it."""
    trace("began", delivery)
    os._exit(9)


async def linger(delivery: Delivery) -> None:
    """Takes for ever the first time."""
    trace("began", delivery)
    if not delivery.in_doubt:
        try:
            await asyncio.sleep(600)
        finally:
            trace("left", delivery)
    await finish(delivery)


async def labour(delivery: Delivery) -> None:
    """Takes longer than a lease."""
    trace("began", delivery)
    await asyncio.sleep(LONG)
    await finish(delivery)


async def finish(delivery: Delivery) -> None:
    """Record the end."""
    async with delivery.unit() as uow:
        await perform(uow, lambda: delivery.done(uow))
    trace("done", delivery)


HANDLERS: dict[str, Handler] = {
    "chaos.note": note,
    "chaos.fail": fail,
    "chaos.leave": leave,
    "chaos.linger": linger,
    "chaos.labour": labour,
}

if __name__ == "__main__":
    logs.configure()
    settings = load_settings()
    work(settings, EvolutionGateway(settings.gateway_url, settings.gateway_api_key), HANDLERS)
