"""The database's schema as this version was written for: where its migrations lie, and the newest one's name."""

from pathlib import Path

PACKAGED = Path(__file__).parent.parent / "migrations"
SOURCE = Path(__file__).parent.parent.parent / "migrations"
FOLDER = SOURCE if SOURCE.is_dir() else PACKAGED


def head() -> str:
    """The newest migration's name: what its file begins with, so that no process has to load Alembic to be ready."""
    newest = max(file.name for file in (FOLDER / "versions").glob("[0-9]*.py"))
    return newest.partition("_")[0]
