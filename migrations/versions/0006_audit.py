"""The read model of the audit trail: ``audit_entry``, one row an entry, keyed by its position in the tenant's log."""

from alembic import op

revision = "0006"
down_revision = "0005"

AUDIT = """
CREATE TABLE audit_entry (
    tenant_id bigint NOT NULL,
    id bigint NOT NULL,
    at timestamptz NOT NULL,
    actor_type text NOT NULL,
    actor_id bigint,
    actor_name text,
    behalf_id bigint,
    behalf_name text,
    is_staff boolean NOT NULL,
    action text NOT NULL,
    subject text NOT NULL,
    subject_id bigint NOT NULL,
    before jsonb,
    after jsonb,
    address text,
    agent text,
    request_id text NOT NULL,
    CONSTRAINT audit_entry_pkey PRIMARY KEY (tenant_id, id)
)

CREATE INDEX audit_entry_recent ON audit_entry (tenant_id, at DESC, id DESC)

CREATE INDEX audit_entry_actor ON audit_entry (tenant_id, actor_type, actor_id, at DESC, id DESC)

CREATE INDEX audit_entry_behalf ON audit_entry (tenant_id, behalf_id, at DESC, id DESC) WHERE behalf_id IS NOT NULL

CREATE INDEX audit_entry_subject ON audit_entry (tenant_id, subject, subject_id, at DESC, id DESC)

CREATE INDEX audit_entry_action ON audit_entry (tenant_id, action, at DESC, id DESC)

CREATE INDEX audit_entry_staff ON audit_entry (at DESC, tenant_id DESC, id DESC) WHERE is_staff

SELECT protect('audit_entry')
"""


def upgrade() -> None:
    for statement in AUDIT.strip().split("\n\n"):
        op.execute(statement)
