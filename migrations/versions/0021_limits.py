"""How many open conversations Plixa may give a member by itself."""

from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    op.execute("ALTER TABLE member ADD COLUMN max_open int CHECK (max_open BETWEEN 1 AND 1000)")
