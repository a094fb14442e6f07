"""Connections, pooled by one engine a database role; what works with them is asyncpg's own.

The engine never begins transactions by itself (AUTOCOMMIT): the unit of work does, in the round trip that names the tenant.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import asyncpg
from sqlalchemy import make_url
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_dbapi
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, PoolProxiedConnection

from plixa.kernel.errors import Unavailable

PATIENCE = 2.0
"""Seconds a request waits for a connection."""
APP_ROLE = "plixa_app"
"""Sees one tenant at a time; may neither change nor delete events."""
SYSTEM_ROLE = "plixa_system"
"""Looks across tenants: sign-in, sweeping, projecting, verifying."""


class Lease:
    """One connection, for as long as somebody works with it."""

    def __init__(self, pooled: PoolProxiedConnection, idle: "list[Lease]", turns: asyncio.Semaphore) -> None:
        self._pooled, self._idle, self._turns = pooled, idle, turns
        self.raw = cast("asyncpg.Connection[Any]", pooled.driver_connection)
        self.engaged = False
        """A transaction was begun and has not ended, whatever the server has said of it so far."""

    def release(self) -> None:
        """Give the connection back. One left inside a transaction, or in doubt, is closed, never reused."""
        if self.engaged or self.raw.is_closed() or self.raw.is_in_transaction():
            self.discard()
        else:
            self._idle.append(self)
        self._turns.release()

    def discard(self) -> None:
        """Close it for good."""
        self._pooled.invalidate()
        self._pooled.close()


class Database:
    """The connections of one role."""

    def __init__(self, url: str, *, role: str, pool_size: int) -> None:
        self.role = role
        self._turns = asyncio.Semaphore(pool_size)
        self._idle: list[Lease] = []
        self.engine: AsyncEngine = create_async_engine(
            make_url(url).set(drivername="postgresql+asyncpg"),
            isolation_level="AUTOCOMMIT",
            pool_reset_on_return=None,
            pool_size=pool_size,
            max_overflow=0,
            hide_parameters=True,
            json_deserializer=str,
            connect_args={
                "timeout": 5,
                "command_timeout": 60,
                "statement_cache_size": 512,
                "server_settings": {
                    "role": role,
                    "application_name": "plixa",
                    "timezone": "UTC",
                    "jit": "off",
                    "client_min_messages": "warning",
                    "lock_timeout": "10s",
                    "statement_timeout": "10s" if role == APP_ROLE else "0",
                    "idle_in_transaction_session_timeout": "30s",
                },
            },
        )

    async def lease(self) -> Lease:
        """A live connection within 2 s, in the order of asking; raises Unavailable when all are busy, or the database is away."""
        try:
            async with asyncio.timeout(PATIENCE):
                await self._turns.acquire()
        except TimeoutError as error:
            raise Unavailable from error
        try:
            return await self._connect()
        except (AsyncAdapt_asyncpg_dbapi.Error, OSError) as error:
            self._turns.release()
            raise Unavailable from error
        except BaseException:
            self._turns.release()
            raise

    async def _connect(self) -> Lease:
        """The connection that was given back last, if it lives; else one more of the pool's."""
        while self._idle:
            lease = self._idle.pop()
            if not lease.raw.is_closed():
                return lease
            lease.discard()
        return Lease(await self.engine.raw_connection(), self._idle, self._turns)

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
        pool = cast("AsyncAdaptedQueuePool", self.engine.pool)
        return pool.checkedout() - len(self._idle), pool.size()

    async def close(self) -> None:
        """Close every connection."""
        while self._idle:
            self._idle.pop().discard()
        await self.engine.dispose()
