"""How customers are cared for: surveys and targets, the welcome message, and who has ever written."""

from alembic import op

revision = "0009"
down_revision = "0008"

SETTINGS = """
CREATE TABLE csat_config (
    tenant_id bigint NOT NULL REFERENCES tenant,
    enabled boolean NOT NULL,
    question text,
    follow_up_enabled boolean NOT NULL,
    follow_up_question text,
    thank_you text,
    visible_to_agents boolean NOT NULL,
    PRIMARY KEY (tenant_id)
)

CREATE TABLE sla_config (
    tenant_id bigint NOT NULL REFERENCES tenant,
    first_response_seconds int,
    resolution_seconds int,
    PRIMARY KEY (tenant_id)
)

CREATE TABLE welcome_config (
    tenant_id bigint NOT NULL REFERENCES tenant,
    enabled boolean NOT NULL,
    message text,
    delay_seconds int NOT NULL,
    PRIMARY KEY (tenant_id)
)

SELECT protect('csat_config'), protect('sla_config'), protect('welcome_config')
"""

SURVEYS = """
CREATE SEQUENCE survey_number

CREATE TABLE csat_response (
    tenant_id bigint NOT NULL,
    id bigint NOT NULL,
    conversation_id bigint NOT NULL,
    episode bigint NOT NULL,
    day text COLLATE "C" NOT NULL,
    asked_at timestamptz NOT NULL,
    agent_id bigint,
    agent_name text,
    rating bigint,
    rated_at timestamptz,
    comment_message_id bigint,
    CONSTRAINT csat_response_pkey PRIMARY KEY (tenant_id, id)
)

CREATE INDEX csat_response_recent ON csat_response (tenant_id, day DESC, id DESC) WHERE rating IS NOT NULL

CREATE INDEX csat_response_agent ON csat_response (tenant_id, agent_id, day DESC, id DESC) WHERE rating IS NOT NULL

CREATE INDEX csat_response_rating ON csat_response (tenant_id, rating, day DESC, id DESC) WHERE rating IS NOT NULL

CREATE INDEX csat_response_conversation ON csat_response (tenant_id, conversation_id, asked_at)

GRANT USAGE ON SEQUENCE survey_number TO plixa_app, plixa_system

SELECT protect('csat_response')
"""

INBOX = """
ALTER TABLE inbox_conversation
    ADD COLUMN has_targets boolean NOT NULL DEFAULT false,
    ADD COLUMN first_response_due_at timestamptz,
    ADD COLUMN resolution_due_at timestamptz,
    ADD COLUMN is_first_response_missed boolean NOT NULL DEFAULT false,
    ADD COLUMN is_resolution_missed boolean NOT NULL DEFAULT false,
    ADD COLUMN csat_rating bigint,
    ADD COLUMN csat_agent_id bigint

CREATE INDEX inbox_conversation_targets ON inbox_conversation (tenant_id, id)
    WHERE status = 'open' AND has_targets

CREATE TABLE contact_heard (
    tenant_id bigint NOT NULL REFERENCES tenant,
    contact_id bigint NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, contact_id),
    FOREIGN KEY (tenant_id, contact_id) REFERENCES contact (tenant_id, id) ON DELETE CASCADE
)

INSERT INTO contact_heard (tenant_id, contact_id, at)
SELECT c.tenant_id, c.contact_id, min(m.sent_at) FROM inbox_conversation c
JOIN inbox_message m ON m.tenant_id = c.tenant_id AND m.conversation_id = c.id AND m.direction = 'in'
JOIN contact k ON k.tenant_id = c.tenant_id AND k.id = c.contact_id GROUP BY c.tenant_id, c.contact_id

SELECT protect('contact_heard')
"""


def upgrade() -> None:
    for part in (SETTINGS, SURVEYS, INBOX):
        for statement in part.strip().split("\n\n"):
            op.execute(statement)
