"""Mails: whom we wrote what and how that ended. The content is kept, sealed, only where the local mailbox took it."""

from alembic import op

revision = "0003"
down_revision = "0002"

MAIL = """
CREATE SEQUENCE mail_number

CREATE TABLE mail (
    tenant_id bigint NOT NULL REFERENCES tenant,
    id bigint NOT NULL DEFAULT nextval('mail_number'),
    key text NOT NULL,
    template text NOT NULL,
    recipient text NOT NULL,
    state text NOT NULL CHECK (state IN ('sent', 'failed')),
    mailer text NOT NULL,
    provider_id text,
    error text,
    content bytea,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id)
)

CREATE INDEX mail_mailbox ON mail (id) WHERE content IS NOT NULL

CREATE INDEX mail_mailbox_recipient ON mail (recipient, id) WHERE content IS NOT NULL

CREATE INDEX mail_age ON mail USING brin (created_at)

SELECT protect('mail')

GRANT USAGE ON SEQUENCE mail_number TO plixa_app, plixa_system
"""


def upgrade() -> None:
    for statement in MAIL.strip().split("\n\n"):
        op.execute(statement)
