"""Runs the migrations: one at a time on one database, and none that waits long for a lock."""

import asyncio

from alembic import context
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

config = context.config
MIGRATORS = 7_402_911
"""The advisory lock under which migrations run."""


def run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=None,
        version_table="schema_version",
        transaction_per_migration=True,
    )
    connection.execute(text(f"SELECT pg_advisory_lock({MIGRATORS})"))
    connection.execute(text("SET lock_timeout = '5s'"))
    connection.execute(text("SET statement_timeout = '15min'"))
    connection.commit()
    with context.begin_transaction():
        context.run_migrations()


async def run_online(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        await connection.run_sync(run)
    await engine.dispose()


asyncio.run(run_online(config.engine))  # type: ignore[attr-defined]
