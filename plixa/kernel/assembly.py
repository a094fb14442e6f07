"""One process's machinery, put together from the settings and taken apart again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from msgspec import Struct
from redis.asyncio import Redis

from plixa.kernel.crypto import Vault
from plixa.kernel.database import APP_ROLE, SYSTEM_ROLE, Database
from plixa.kernel.media import MediaStore
from plixa.kernel.numbers import Numbers
from plixa.kernel.projection import Projection
from plixa.kernel.settings import Settings
from plixa.kernel.uow import Kernel
from plixa.kernel.wake import Listener, Waker


class Machinery(Struct, frozen=True):
    """The kernel, and who hears of what other processes did."""

    kernel: Kernel
    listener: Listener
    redis: "Redis"


def assemble(settings: Settings, inline: tuple[Projection[Any], ...]) -> Machinery:
    """Everything connected lazily: nothing here talks to a server."""
    url = str(settings.database_url)
    redis: Redis = Redis.from_url(str(settings.redis_url), socket_connect_timeout=2, health_check_interval=15)
    system = Database(url, role=SYSTEM_ROLE, pool_size=4)
    kernel = Kernel(
        Database(url, role=APP_ROLE, pool_size=settings.pool_size),
        system,
        Vault(settings.secret_keys),
        Numbers(system),
        Waker(redis),
        MediaStore(settings.media_url),
        inline,
    )
    return Machinery(kernel, Listener(redis), redis)


@asynccontextmanager
async def running(machinery: Machinery) -> AsyncIterator[None]:
    """Publish and hear wake-ups for a block; close every connection after it."""
    tasks = [asyncio.create_task(machinery.kernel.waker.run()), asyncio.create_task(machinery.listener.run())]
    try:
        yield
    finally:
        await cancelled(tasks)
        await machinery.kernel.database.close()
        await machinery.kernel.system.close()
        await machinery.redis.aclose()


async def cancelled(tasks: list["asyncio.Task[None]"]) -> None:
    """Cancel until they end: on Python 3.11 Redis' client can swallow a cancellation."""
    while left := [task for task in tasks if not task.done()]:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=0.2)
