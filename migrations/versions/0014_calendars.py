"""Calendars outside: a member's Google Calendar, what we wrote into it, and the secret addresses of iCalendar feeds."""

from alembic import op

revision = "0014"
down_revision = "0013"

GOOGLE = """
CREATE SEQUENCE google_link_number

CREATE TABLE google_link (
    tenant_id bigint NOT NULL REFERENCES tenant,
    id bigint NOT NULL DEFAULT nextval('google_link_number'),
    member_id bigint NOT NULL,
    state text NOT NULL CHECK (state IN ('connected', 'needs_reauth', 'leaving')),
    email text,
    refresh_token bytea NOT NULL,
    access_token bytea NOT NULL,
    access_expires_at timestamptz NOT NULL,
    connected_at timestamptz NOT NULL,
    lost_at timestamptz,
    last_synced_at timestamptz,
    error text,
    sync_token text,
    full_sync_at timestamptz,
    channel_id text,
    channel_resource text,
    channel_secret bytea,
    watch_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id)
)

CREATE UNIQUE INDEX google_link_member ON google_link (tenant_id, member_id) WHERE state <> 'leaving'

CREATE UNIQUE INDEX google_link_channel ON google_link (channel_id) WHERE channel_id IS NOT NULL

CREATE TABLE google_event (
    tenant_id bigint NOT NULL,
    link_id bigint NOT NULL,
    appointment_id bigint NOT NULL,
    event_id text NOT NULL,
    written jsonb NOT NULL,
    updated_at timestamptz,
    written_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, link_id, appointment_id),
    UNIQUE (tenant_id, link_id, event_id),
    FOREIGN KEY (tenant_id, link_id) REFERENCES google_link (tenant_id, id) ON DELETE CASCADE
)

CREATE INDEX google_event_appointment ON google_event (tenant_id, appointment_id)

CREATE TABLE google_consent (
    tenant_id bigint NOT NULL REFERENCES tenant,
    nonce bytea NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, nonce)
)

SELECT protect('google_link'), protect('google_event'), protect('google_consent')

GRANT USAGE ON SEQUENCE google_link_number TO plixa_app, plixa_system
"""

FEEDS = """
CREATE TABLE calendar_feed (
    tenant_id bigint NOT NULL,
    provider_id bigint NOT NULL,
    token_hash bytea NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, provider_id),
    FOREIGN KEY (tenant_id, provider_id) REFERENCES member (tenant_id, id) ON DELETE CASCADE
)

CREATE UNIQUE INDEX calendar_feed_token ON calendar_feed (token_hash)

SELECT protect('calendar_feed')
"""


def upgrade() -> None:
    for part in (GOOGLE, FEEDS):
        for statement in part.strip().split("\n\n"):
            op.execute(statement)
