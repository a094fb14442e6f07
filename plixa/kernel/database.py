"""Connections to PostgreSQL, pooled role by role. None begins a transaction by itself: the unit of work does, where it names the tenant."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from plixa.kernel.errors import Unavailable

PATIENCE = 2.0
"""Seconds a request waits for a connection."""
APP_ROLE = "plixa_app"
"""Sees one tenant at a time; may neither change nor delete events. Its statements are few, on keys, and planned once: planning them anew
each time costs more than it finds, since the tenant is not known before they run."""
SYSTEM_ROLE = "plixa_system"
"""Looks across tenants: sign-in, sweeping, projecting, verifying."""


class Lease:
    """One connection, for as long as somebody works with it."""

    def __init__(self, raw: "asyncpg.Connection[Any]", give_back: "Callable[[Lease], None]") -> None:
        self.raw = raw
        self._give_back = give_back
        self.engaged = False
        """A transaction was begun and has not ended, whatever the server has said of it so far."""

    def release(self) -> None:
        """Give the connection back. One left inside a transaction, or in doubt, is closed, never reused."""
        self._give_back(self)


class Database:
    """The connections of one role."""

    def __init__(self, url: str, *, role: str, pool_size: int) -> None:
        self.role = role
        self._url, self._size = url, pool_size
        self._turns = asyncio.Semaphore(pool_size)
        self._idle: list[Lease] = []
        self._leased = 0

    async def lease(self) -> Lease:
        """A live connection within 2 s, in the order of asking; raises Unavailable when all are busy, or the database is away."""
        if self._turns.locked():
            await self._wait()
        else:
            await self._turns.acquire()
        try:
            lease = self._waiting() or Lease(await self._connect(), self._take_back)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            self._turns.release()
            raise Unavailable from error
        except BaseException:
            self._turns.release()
            raise
        self._leased += 1
        return lease

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                await self._turns.acquire()
        except TimeoutError as error:
            raise Unavailable from error

    def _waiting(self) -> Lease | None:
        """The connection that was given back last, if it lives."""
        while self._idle:
            lease = self._idle.pop()
            if not lease.raw.is_closed():
                return lease
        return None

    async def _connect(self) -> "asyncpg.Connection[Any]":
        settings = {
            "role": self.role,
            "application_name": "plixa",
            "timezone": "UTC",
            "jit": "off",
            "client_min_messages": "warning",
            "lock_timeout": "10s",
            "statement_timeout": "10s" if self.role == APP_ROLE else "0",
            "idle_in_transaction_session_timeout": "30s",
            "plan_cache_mode": "force_generic_plan" if self.role == APP_ROLE else "auto",
        }
        return await asyncpg.connect(self._url, timeout=5, command_timeout=60, statement_cache_size=512, server_settings=settings)

    def _take_back(self, lease: Lease) -> None:
        if lease.engaged or lease.raw.is_closed() or lease.raw.is_in_transaction():
            lease.raw.terminate()
        else:
            self._idle.append(lease)
        self._leased -= 1
        self._turns.release()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator["asyncpg.Connection[Any]"]:
        """An asyncpg connection for a block."""
        lease = await self.lease()
        try:
            yield lease.raw
        finally:
            lease.release()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["asyncpg.Connection[Any]"]:
        """An asyncpg connection inside a transaction that commits when the block ends well."""
        async with self.connection() as connection, connection.transaction():
            yield connection

    def usage(self) -> tuple[int, int]:
        """Connections in use, and how many there may be."""
        return self._leased, self._size

    async def close(self) -> None:
        """Close every connection that nobody works with."""
        while self._idle:
            self._idle.pop().raw.terminate()
