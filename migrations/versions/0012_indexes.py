"""Conversations are found by their notes too, and what one of Plixa's staff did from an index.

Notes written before are found once ``plixa rebuild inbox`` has spelled them.
"""

from alembic import op

revision = "0012"
down_revision = "0011"

NOTES = "ALTER TABLE inbox_name ADD COLUMN notes text"
STAFF = "CREATE INDEX audit_entry_admin ON audit_entry (actor_id, at DESC, tenant_id DESC, id DESC) WHERE is_staff"


def upgrade() -> None:
    op.execute(NOTES)
    op.execute(STAFF)
