"""Wake-ups: after a commit Redis tells every process that a tenant's log or outbox has grown. Nothing depends on it arriving."""

import asyncio
import logging
from collections import defaultdict

from redis.asyncio import Redis
from redis.exceptions import RedisError

CHANNEL = "plixa:wake"
RECONNECT = 1.0
GATHERING = 0.01
"""Seconds in which the news of many commits become one message."""
log = logging.getLogger(__name__)


class Waker:
    """Publishes which tenants have news, many in one message; a lost message only costs the reader its polling interval."""

    def __init__(self, redis: "Redis | None") -> None:
        self._redis = redis
        self._tenants: set[int] = set()
        self._news = asyncio.Event()

    def wake(self, tenant: int) -> None:
        """Say it soon."""
        self._tenants.add(tenant)
        self._news.set()

    async def run(self) -> None:
        """Publish until cancelled."""
        while self._redis is not None:
            await self._news.wait()
            await asyncio.sleep(GATHERING)
            self._news.clear()
            tenants, self._tenants = self._tenants, set()
            try:
                await self._redis.publish(CHANNEL, ",".join(map(str, tenants)))
            except RedisError as error:
                log.warning("Redis took no wake-up, readers will poll: %s", error)
                await asyncio.sleep(RECONNECT)


class Listener:
    """Hears the wake-ups of all processes and rouses whoever waits for a tenant here."""

    def __init__(self, redis: "Redis | None") -> None:
        self._redis = redis
        self._waiting: dict[int, set[asyncio.Event]] = defaultdict(set)

    async def run(self) -> None:
        """Listen until cancelled, through every loss of the connection."""
        while self._redis is not None:
            try:
                await self._listen(self._redis)
            except RedisError as error:
                log.warning("Wake-ups interrupted, polling meanwhile: %s", error)
                await asyncio.sleep(RECONNECT)

    async def wait(self, tenant: int, seconds: float) -> bool:
        """Until the tenant has news (True) or ``seconds`` have passed. Tenant 0 waits for anybody's."""
        event = asyncio.Event()
        self._waiting[tenant].add(event)
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            return False
        finally:
            self._waiting[tenant].discard(event)
            if not self._waiting[tenant]:
                del self._waiting[tenant]
        return True

    async def _listen(self, redis: "Redis") -> None:
        async with redis.pubsub(ignore_subscribe_messages=True) as channel:
            await channel.subscribe(CHANNEL)
            self._rouse(list(self._waiting))
            async for message in channel.listen():
                self._rouse([0, *(int(tenant) for tenant in message["data"].split(b",") if tenant)])

    def _rouse(self, tenants: list[int]) -> None:
        for tenant in tenants:
            for event in self._waiting.get(tenant, ()):
                event.set()
