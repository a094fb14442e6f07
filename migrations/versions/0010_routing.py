"""Auto-assignment: rules, when members last got a conversation, and conversations for which nobody was there."""

from alembic import op

revision = "0010"
down_revision = "0009"

ROUTING = """
CREATE SEQUENCE assignment_rule_number

CREATE TABLE assignment_rule (
    tenant_id bigint NOT NULL REFERENCES tenant,
    id bigint NOT NULL DEFAULT nextval('assignment_rule_number'),
    priority int NOT NULL,
    condition_type text NOT NULL CHECK (condition_type IN ('always', 'keyword', 'label')),
    keyword text,
    label_id bigint,
    action_type text NOT NULL CHECK (action_type IN ('assign_user', 'round_robin', 'least_busy')),
    action_user_id bigint,
    is_active boolean NOT NULL,
    cursor_member_id bigint,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, label_id) REFERENCES label (tenant_id, id) ON DELETE SET NULL (label_id),
    FOREIGN KEY (tenant_id, action_user_id) REFERENCES member (tenant_id, id) ON DELETE SET NULL (action_user_id)
)

CREATE INDEX assignment_rule_active ON assignment_rule (tenant_id, priority, id) WHERE is_active

CREATE INDEX assignment_rule_label ON assignment_rule (tenant_id, label_id) WHERE label_id IS NOT NULL

CREATE INDEX assignment_rule_member ON assignment_rule (tenant_id, action_user_id) WHERE action_user_id IS NOT NULL

CREATE TABLE assignment_turn (
    tenant_id bigint NOT NULL,
    member_id bigint NOT NULL,
    assigned_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, member_id)
)

CREATE TABLE assignment_wait (
    tenant_id bigint NOT NULL,
    conversation_id bigint NOT NULL,
    episode bigint NOT NULL,
    since timestamptz NOT NULL,
    words bytea NOT NULL,
    PRIMARY KEY (tenant_id, conversation_id)
)

CREATE INDEX assignment_wait_oldest ON assignment_wait (tenant_id, since, conversation_id)

SELECT protect('assignment_rule'), protect('assignment_turn'), protect('assignment_wait')

GRANT USAGE ON SEQUENCE assignment_rule_number TO plixa_app, plixa_system
"""


def upgrade() -> None:
    for statement in ROUTING.strip().split("\n\n"):
        op.execute(statement)
