"""One pooled engine per database role; hot paths use its asyncpg connections as they are, plain tables SQLAlchemy over the same ones.

The engine never begins transactions by itself (AUTOCOMMIT): the unit of work does, in the round trip that names the tenant.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import asyncpg
from sqlalchemy import Connection, make_url
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_dbapi
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine
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

    def __init__(self, engine: AsyncEngine, pooled: PoolProxiedConnection, turns: asyncio.Semaphore) -> None:
        self._engine, self._turns = engine, turns
        self._pooled = pooled
        self.raw = cast("asyncpg.Connection[Any]", pooled.driver_connection)
        self.engaged = False
        """A transaction was begun and has not ended, whatever the server has said of it so far."""

    def session(self) -> AsyncSession:
        """An SQLAlchemy session inside whatever transaction this connection is in."""
        sync = Connection(self._engine.sync_engine, connection=self._pooled)
        return AsyncSession(AsyncConnection(self._engine, sync), expire_on_commit=False)

    def release(self) -> None:
        """Give the connection back. One left inside a transaction, or in doubt, is closed, never reused."""
        if self.engaged or self.raw.is_closed() or self.raw.is_in_transaction():
            self.discard()
        else:
            self._pooled.close()
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
                    "client_min_messages": "notice",
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
        """A connection of the pool that is alive."""
        lease = Lease(self.engine, await self.engine.raw_connection(), self._turns)
        while lease.raw.is_closed():
            lease.discard()
            lease = Lease(self.engine, await self.engine.raw_connection(), self._turns)
        return lease

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
        return pool.checkedout(), pool.size()

    async def close(self) -> None:
        """Close every connection."""
        await self.engine.dispose()
