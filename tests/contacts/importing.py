"""A process of its own that works on one effect of a workspace's, to be killed while it does: ``python -m … <tenant> <row>``."""

import asyncio
import sys

from plixa.contacts.actors import handlers
from plixa.kernel.assembly import assemble, running
from plixa.kernel.delivery import deliver
from plixa.kernel.settings import load_settings
from projections.registry import INLINE


async def main(tenant: int, row: int) -> None:
    machinery = assemble(load_settings(), INLINE)
    async with running(machinery):
        await deliver(machinery.kernel, handlers(), tenant, row)


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:])))
