"""Erasing contacts: when it happened, who was merged into them, and the deliveries that belong to no stream."""

from alembic import op

revision = "0005"
down_revision = "0004"

ERASURE = """
ALTER TABLE contact ADD COLUMN erased_at timestamptz

CREATE INDEX contact_merged ON contact (tenant_id, merged_into) WHERE merged_into IS NOT NULL

CREATE INDEX webhook_seen_loose ON webhook_seen (tenant_id, instance_id, key) WHERE stream_id IS NULL
"""


def upgrade() -> None:
    for statement in ERASURE.strip().split("\n\n"):
        op.execute(statement)
