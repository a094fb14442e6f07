"""Limits on how often something may be tried, counted in Redis before anything is verified."""

import asyncio
import hashlib
import logging
import math
import time
from functools import lru_cache
from typing import Final

import redis.asyncio
from limits import RateLimitItem, parse_many
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter
from limits.errors import StorageError
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from plixa.kernel import metrics
from plixa.kernel.errors import RateLimited
from plixa.kernel.settings import Throttle

log = logging.getLogger("plixa.throttle")

BLIND_SECONDS: Final = 2.0
"""How long Redis is left alone after it failed to answer."""

SHARE: Final = 100
"""Of a limit of hundreds a process takes the hundredth part at once, and asks Redis again when that is spent: what it has not
spent when the window ends is lost, so that each process admits at most a hundredth more than it should, and never less than it took."""
LARGEST_SHARE: Final = 50
"""Redis keeps one entry for each try."""
MOST_SHARES: Final = 10_000

_CONNECTIONS: Final = 16
"""Tries that ask Redis at once; more wait for their turn, for however long: a crowd must not pass for Redis being away."""


class Throttler:
    """Exact moving windows, shared by all processes.

    While Redis is away (``limits.errors.StorageError`` around any ``redis.RedisError``: refused, timed out, read-only,
    loading) every process counts for itself in memory, so that n processes admit at most n times the limit,
    ``plixa_throttle_blind`` is 1, and Redis is asked again every ``BLIND_SECONDS``.
    """

    def __init__(self, redis_url: str, prefix: str = "throttle") -> None:
        self._turns = asyncio.Semaphore(_CONNECTIONS)
        self._pool = redis.asyncio.BlockingConnectionPool.from_url(
            redis_url.replace("valkey", "redis", 1) if redis_url.startswith("valkey") else redis_url,
            max_connections=_CONNECTIONS,
            timeout=2,
            socket_timeout=1,
            socket_connect_timeout=0.5,
            retry=Retry(NoBackoff(), 1),
        )
        storage = RedisStorage(
            "async+redis://",
            wrap_exceptions=True,
            implementation="redispy",
            key_prefix=prefix,
            connection_pool=self._pool,  # type: ignore[arg-type]
        )
        self._shared = MovingWindowRateLimiter(storage)
        self._local = MovingWindowRateLimiter(MemoryStorage())
        self._blind_until = 0.0
        self._shares: dict[tuple[RateLimitItem, str], tuple[int, float]] = {}

    async def count(self, name: str, throttle: Throttle, who: str) -> None:
        """Counts one try of ``who`` against a throttle of the settings; raises ``RateLimited``."""
        await self.hit(f"{name}:{who}", throttle.limits)

    async def forget(self, name: str, throttle: Throttle, who: str) -> None:
        """Counts from nothing again: somebody proved that the tries were theirs."""
        key = key_of(f"{name}:{who}")
        for item in _items(throttle.limits):
            async with self._turns:
                limiter = self._local if time.monotonic() < self._blind_until else self._shared
                try:
                    await limiter.clear(item, key)
                except StorageError:
                    log.warning("throttle %s could not be forgotten: Redis is away", name)

    async def hit(self, key: str, limit: str) -> None:
        """Counts one try of ``key`` (``login:address:203.0.113.7``); raises ``RateLimited`` when it is one too many."""
        name = key_of(key)
        for item in _items(limit):
            if self._spend(item, name):
                continue
            async with self._turns:
                wait = None if self._spend(item, name) else await self._wait(item, name)
            if wait is not None and not self._spend(item, name):
                raise RateLimited(wait)

    async def close(self) -> None:
        """Gives the connections back."""
        await self._pool.aclose()

    def _spend(self, item: RateLimitItem, name: str) -> bool:
        """One try of a share that was taken earlier."""
        left, until = self._shares.get((item, name), (0, 0.0))
        if left == 0 or time.monotonic() >= until:
            return False
        self._shares[item, name] = (left - 1, until)
        return True

    async def _take_share(self, item: RateLimitItem, name: str) -> int | None:
        """A share where the limit is large and leaves room for one, else this one try."""
        share = min(item.amount // SHARE, LARGEST_SHARE)
        if share < 2 or not await self._shared.hit(item, name, cost=share):
            return await _take(self._shared, item, name)
        if len(self._shares) >= MOST_SHARES:
            self._shares.clear()
        left, _ = self._shares.get((item, name), (0, 0.0))
        self._shares[item, name] = (left + share - 1, time.monotonic() + item.get_expiry())
        return None

    async def _wait(self, item: RateLimitItem, name: str) -> int | None:
        """Seconds until the next try is admitted; None when this one is."""
        if time.monotonic() < self._blind_until:
            return await _take(self._local, item, name)
        try:
            wait = await self._take_share(item, name)
        except StorageError as error:
            self._blind_until = time.monotonic() + BLIND_SECONDS
            metrics.THROTTLE_BLIND.set(1)
            log.error("throttles count per process: Redis is away (%s)", type(error.storage_error).__name__)
            return await _take(self._local, item, name)
        if self._blind_until:
            self._blind_until = 0.0
            metrics.THROTTLE_BLIND.set(0)
        return wait


def key_of(key: str) -> str:
    """What Redis knows of a key: nothing that names anybody."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:32]


async def _take(limiter: MovingWindowRateLimiter, item: RateLimitItem, name: str) -> int | None:
    if await limiter.hit(item, name):
        return None
    window = await limiter.get_window_stats(item, name)
    return max(1, math.ceil(window.reset_time - time.time()))


@lru_cache(maxsize=256)
def _items(limit: str) -> tuple[RateLimitItem, ...]:
    """The windows of ``"5/minute;20/hour"``; a ValueError for anything else."""
    return tuple(parse_many(limit))
