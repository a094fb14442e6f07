"""Each version of a week keeps the dates that were closed when it was set, so that clocks run by what held at each instant."""

from alembic import op

revision = "0020"
down_revision = "0019"

KEPT = """
ALTER TABLE business_hours ADD COLUMN closed date[]

UPDATE business_hours h SET closed = coalesce((SELECT array_agg(c.date) FROM closure c WHERE c.tenant_id = h.tenant_id), '{}')
"""


def upgrade() -> None:
    for statement in KEPT.strip().split("\n\n"):
        op.execute(statement)
