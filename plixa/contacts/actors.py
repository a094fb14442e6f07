"""Lists of contacts, brought in behind the request that gave them."""

import asyncio
from functools import partial

from plixa.contacts.commands.imports import IMPORT, fail_import, import_batch, place_of
from plixa.contacts.domain.imports import Line, read_lines
from plixa.contacts.queries.imports import find_file
from plixa.kernel.delivery import ATTEMPTS, Delivery, Handler
from plixa.kernel.uow import UnitOfWork, perform


def handlers() -> dict[str, Handler]:
    """By the effect's kind."""
    return {IMPORT: import_contacts}


async def import_contacts(delivery: Delivery) -> None:
    """Do what is left of an import; what no attempt can do ends it as failed."""
    number = delivery.payload["import_id"]
    try:
        lines = await read_file(delivery, number)
        while not await do_batch(delivery, number, lines):
            continue
    except Exception:
        if delivery.attempt >= ATTEMPTS:
            async with delivery.unit() as uow:
                await perform(uow, partial(fail_import, uow, number))
        raise


async def read_file(delivery: Delivery, number: int) -> list[Line]:
    """The rows of the file, none once it is done with."""
    async with delivery.unit() as uow:
        found = await find_file(uow, number)
    if found is None:
        return []
    content = delivery.kernel.vault.open(found[0], place_of(delivery.tenant, number))
    return await asyncio.to_thread(read_lines, content, found[1])


async def do_batch(delivery: Delivery, number: int, lines: list[Line]) -> bool:
    """The next rows; with the last of them the effect is done."""
    async with delivery.unit() as uow:
        return await perform(uow, partial(next_batch, uow, delivery, number, lines))


async def next_batch(uow: UnitOfWork, delivery: Delivery, number: int, lines: list[Line]) -> bool:
    """One transaction."""
    ended = await import_batch(uow, number, lines)
    if ended:
        await delivery.done(uow)
    return ended
