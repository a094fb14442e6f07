"""Conversations are found by their notes too; those written before are found once ``plixa rebuild inbox`` has spelled them."""

from alembic import op

revision = "0012"
down_revision = "0011"

NOTES = "ALTER TABLE inbox_name ADD COLUMN notes text"


def upgrade() -> None:
    op.execute(NOTES)
