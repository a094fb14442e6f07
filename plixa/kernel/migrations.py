"""Bringing a database to the present schema."""

from pathlib import Path

from advanced_alchemy.alembic.commands import AlembicCommands
from advanced_alchemy.config import AlembicAsyncConfig, SQLAlchemyAsyncConfig
from alembic.script import ScriptDirectory
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

PACKAGED = Path(__file__).parent.parent / "migrations"
SOURCE = Path(__file__).parent.parent.parent / "migrations"
FOLDER = SOURCE if SOURCE.is_dir() else PACKAGED


def migrate(database_url: str) -> None:
    """Run every migration the database has not seen. Several processes may ask at once; one does it."""
    commands(database_url).upgrade("head")


def head() -> str:
    """The newest migration's name."""
    return ScriptDirectory(str(FOLDER)).get_current_head() or ""


def commands(database_url: str) -> AlembicCommands:
    """Alembic through advanced-alchemy, for one database."""
    engine = create_async_engine(make_url(database_url).set(drivername="postgresql+asyncpg"), poolclass=NullPool)
    alembic = AlembicAsyncConfig(script_location=str(FOLDER), version_table_name="schema_version")
    return AlembicCommands(SQLAlchemyAsyncConfig(engine_instance=engine, alembic_config=alembic))
