"""E-mail campaigns: what staff write to many, whom it went to and how it fared, and who is never written to again."""

from alembic import op

revision = "0017"
down_revision = "0016"

CAMPAIGNS = """
CREATE SEQUENCE campaign_number

CREATE TABLE campaign (
    tenant_id bigint NOT NULL CHECK (tenant_id = 0) REFERENCES tenant,
    id bigint NOT NULL DEFAULT nextval('campaign_number'),
    subject text NOT NULL,
    preheader text,
    body text NOT NULL,
    cta_label text,
    cta_url text,
    audience text NOT NULL CHECK (audience IN ('all_owners', 'plan', 'trial', 'waitlist', 'emails')),
    plan text,
    status text NOT NULL CHECK (status IN ('queued', 'sending', 'sent', 'failed')),
    created_by bigint NOT NULL,
    created_by_name text NOT NULL,
    created_at timestamptz NOT NULL,
    sent_at timestamptz,
    recipients_count int NOT NULL,
    queued_count int NOT NULL,
    sent_count int NOT NULL DEFAULT 0,
    delivered_count int NOT NULL DEFAULT 0,
    opened_count int NOT NULL DEFAULT 0,
    suppressed_count int NOT NULL DEFAULT 0,
    failed_count int NOT NULL DEFAULT 0,
    bounced_count int NOT NULL DEFAULT 0,
    complained_count int NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id, id)
)

CREATE SEQUENCE campaign_recipient_number

CREATE TABLE campaign_recipient (
    tenant_id bigint NOT NULL,
    id bigint NOT NULL DEFAULT nextval('campaign_recipient_number'),
    campaign_id bigint NOT NULL,
    email text NOT NULL,
    locale text NOT NULL,
    workspace_id bigint REFERENCES tenant ON DELETE CASCADE,
    member_id bigint,
    status text NOT NULL DEFAULT 'queued'
        CHECK (status IN ('queued', 'sent', 'delivered', 'opened', 'suppressed', 'failed', 'bounced', 'complained')),
    provider_id text,
    error text,
    sent_at timestamptz,
    delivered_at timestamptz,
    opened_at timestamptz,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, campaign_id, email),
    FOREIGN KEY (tenant_id, campaign_id) REFERENCES campaign (tenant_id, id) ON DELETE CASCADE
)

CREATE INDEX campaign_recipient_list ON campaign_recipient (tenant_id, campaign_id, id)

CREATE INDEX campaign_recipient_status ON campaign_recipient (tenant_id, campaign_id, status, id)

CREATE INDEX campaign_recipient_workspace ON campaign_recipient (workspace_id) WHERE workspace_id IS NOT NULL

SELECT protect('campaign'), protect('campaign_recipient')

GRANT USAGE ON SEQUENCE campaign_number, campaign_recipient_number TO plixa_app, plixa_system
"""

SUPPRESSIONS = """
CREATE TABLE mail_suppression (
    tenant_id bigint NOT NULL CHECK (tenant_id = 0) REFERENCES tenant,
    pseudonym text NOT NULL,
    reason text NOT NULL CHECK (reason IN ('bounced', 'complained', 'suppressed', 'unsubscribed')),
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, pseudonym)
)

SELECT protect('mail_suppression')
"""


def upgrade() -> None:
    for part in (CAMPAIGNS, SUPPRESSIONS):
        for statement in part.strip().split("\n\n"):
            op.execute(statement)
