"""Bringing a database to the present schema. No process at work imports this: what it needs takes half a second and 50 MB."""

from functools import partial

import asyncpg
from advanced_alchemy.alembic.commands import AlembicCommands
from advanced_alchemy.config import AlembicAsyncConfig, SQLAlchemyAsyncConfig
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from plixa.kernel.schema import FOLDER


def migrate(database_url: str, to: str = "head") -> None:
    """Run every migration the database has not seen. Several processes may ask at once; one does it."""
    connect = partial(asyncpg.connect, database_url)
    engine = create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=NullPool)
    alembic = AlembicAsyncConfig(script_location=str(FOLDER), version_table_name="schema_version")
    AlembicCommands(SQLAlchemyAsyncConfig(engine_instance=engine, alembic_config=alembic)).upgrade(to)
