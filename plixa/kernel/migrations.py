"""Bringing a database to the present schema. No process at work imports this: Alembic with SQLAlchemy takes half a second and 50 MB."""

from functools import partial

import asyncpg
from alembic import command
from alembic.config import Config
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from plixa.kernel.schema import FOLDER


def migrate(database_url: str, to: str = "head") -> None:
    """Run every migration the database has not seen. Several processes may ask at once; one does it."""
    connect = partial(asyncpg.connect, database_url)
    engine = create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=NullPool)
    config = Config(attributes={"engine": engine})
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    command.upgrade(config, to)
