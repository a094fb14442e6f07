"""Reaching people: browsers that want notifications, the key they know us by, digests, and the activity those tell of."""

from alembic import op

revision = "0011"
down_revision = "0010"

PUSH = """
CREATE TABLE push_key (
    tenant_id bigint NOT NULL CHECK (tenant_id = 0) REFERENCES tenant,
    sealed bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id)
)

CREATE SEQUENCE push_subscription_number

CREATE TABLE push_subscription (
    tenant_id bigint NOT NULL,
    id bigint NOT NULL DEFAULT nextval('push_subscription_number'),
    member_id bigint NOT NULL,
    token_id bigint NOT NULL,
    endpoint_hash bytea NOT NULL,
    endpoint_host text NOT NULL,
    sealed bytea NOT NULL,
    created_at timestamptz NOT NULL,
    last_used_at timestamptz,
    failures int NOT NULL DEFAULT 0,
    failing_since timestamptz,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, endpoint_hash),
    FOREIGN KEY (tenant_id, member_id) REFERENCES member (tenant_id, id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, token_id) REFERENCES access_token (tenant_id, id) ON DELETE CASCADE
)

CREATE INDEX push_subscription_member ON push_subscription (tenant_id, member_id, id DESC)

CREATE INDEX push_subscription_token ON push_subscription (tenant_id, token_id)

CREATE INDEX push_subscription_browser ON push_subscription (endpoint_hash)

CREATE FUNCTION leave_other_tenants(browser bytea) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = public AS
$$ DELETE FROM push_subscription WHERE endpoint_hash = browser AND tenant_id <> present_tenant() $$

SELECT protect('push_key'), protect('push_subscription')

GRANT CREATE ON SCHEMA public TO plixa_system

ALTER FUNCTION leave_other_tenants(bytea) OWNER TO plixa_system

REVOKE CREATE ON SCHEMA public FROM plixa_system

REVOKE ALL ON FUNCTION leave_other_tenants(bytea) FROM PUBLIC

GRANT EXECUTE ON FUNCTION leave_other_tenants(bytea) TO plixa_app

GRANT USAGE ON SEQUENCE push_subscription_number TO plixa_app, plixa_system
"""

DIGEST = """
CREATE TABLE digest_config (
    tenant_id bigint NOT NULL REFERENCES tenant,
    enabled boolean NOT NULL,
    frequency text NOT NULL CHECK (frequency IN ('daily', 'weekly', 'monthly')),
    next_run_at timestamptz,
    last_sent_at timestamptz,
    PRIMARY KEY (tenant_id),
    CHECK (enabled = (next_run_at IS NOT NULL))
)

SELECT protect('digest_config')
"""

ACTIVITY = """
CREATE TABLE inbox_activity (
    tenant_id bigint NOT NULL,
    id bigint NOT NULL,
    conversation_id bigint NOT NULL,
    quarter bigint NOT NULL,
    opened bigint NOT NULL,
    reopened bigint NOT NULL,
    closed bigint NOT NULL,
    received bigint NOT NULL,
    sent bigint NOT NULL,
    CONSTRAINT inbox_activity_pkey PRIMARY KEY (tenant_id, id)
)

CREATE INDEX inbox_activity_quarter ON inbox_activity (tenant_id, quarter)

CREATE INDEX inbox_activity_conversation ON inbox_activity (tenant_id, conversation_id)

CREATE TABLE inbox_wait (
    tenant_id bigint NOT NULL,
    id bigint NOT NULL,
    asked_at timestamptz,
    is_over boolean NOT NULL,
    answers jsonb NOT NULL,
    CONSTRAINT inbox_wait_pkey PRIMARY KEY (tenant_id, id)
)

SELECT protect('inbox_activity'), protect('inbox_wait')
"""


def upgrade() -> None:
    for part in (PUSH, DIGEST, ACTIVITY):
        for statement in part.strip().split("\n\n"):
            op.execute(statement)
