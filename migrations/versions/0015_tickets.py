"""Support tickets as both sides see them, the words that find them, who looks at them, and what staff keep for answering them."""

from alembic import op

revision = "0015"
down_revision = "0014"

TICKETS = """
CREATE SEQUENCE ticket_number

CREATE SEQUENCE ticket_message_number

CREATE SEQUENCE ticket_attachment_number

CREATE TABLE ticket (
    tenant_id bigint NOT NULL,
    id bigint NOT NULL,
    subject text NOT NULL,
    category text,
    status text NOT NULL,
    opener_id bigint,
    opener_name text,
    opened_at timestamptz NOT NULL,
    last_message_id bigint NOT NULL,
    last_message_at timestamptz NOT NULL,
    last_message_by text NOT NULL,
    unread_by_customer bigint NOT NULL,
    unread_by_staff bigint NOT NULL,
    first_responded_at timestamptz,
    resolved_at timestamptz,
    closed_at timestamptz,
    rating bigint,
    rating_comment text,
    rated_at timestamptz,
    ratings jsonb NOT NULL,
    priority text NOT NULL,
    assigned_to bigint,
    assigned_name text,
    tags jsonb NOT NULL,
    CONSTRAINT ticket_pkey PRIMARY KEY (tenant_id, id)
)

CREATE INDEX ticket_of_tenant ON ticket (tenant_id, last_message_at DESC, id DESC)

CREATE INDEX ticket_of_tenant_status ON ticket (tenant_id, status, last_message_at DESC, id DESC)

CREATE INDEX ticket_id ON ticket (id)

CREATE INDEX ticket_recent ON ticket (last_message_at DESC, id DESC)

CREATE INDEX ticket_status ON ticket (status, last_message_at DESC, id DESC)

CREATE INDEX ticket_priority ON ticket (priority, last_message_at DESC, id DESC)

CREATE INDEX ticket_assignee ON ticket (coalesce(assigned_to, 0), last_message_at DESC, id DESC)

CREATE INDEX ticket_tags ON ticket USING gin (tags jsonb_path_ops) WHERE tags <> '[]'

CREATE TABLE ticket_message (
    tenant_id bigint NOT NULL,
    id bigint NOT NULL,
    ticket_id bigint NOT NULL,
    author_type text NOT NULL,
    author_id bigint,
    author_name text,
    internal boolean NOT NULL,
    body text NOT NULL,
    attachments jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT ticket_message_pkey PRIMARY KEY (tenant_id, id)
)

CREATE INDEX ticket_message_thread ON ticket_message (tenant_id, ticket_id, id DESC)

CREATE INDEX ticket_message_public ON ticket_message (tenant_id, ticket_id, id DESC) WHERE NOT internal

CREATE TABLE ticket_text (
    tenant_id bigint NOT NULL,
    id bigint NOT NULL,
    words text NOT NULL,
    CONSTRAINT ticket_text_pkey PRIMARY KEY (tenant_id, id)
)

CREATE INDEX ticket_text_words ON ticket_text USING gin (array_to_tsvector(string_to_array(words, ' ')))

CREATE INDEX counter_ticket ON counter (key text_pattern_ops) WHERE projection = 'ticket'

SELECT protect('ticket'), protect('ticket_message'), protect('ticket_text')
"""

DESK = """
CREATE SEQUENCE ticket_tag_number

CREATE TABLE ticket_tag (
    tenant_id bigint NOT NULL REFERENCES tenant,
    id bigint NOT NULL,
    name text NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id)
)

CREATE UNIQUE INDEX ticket_tag_name ON ticket_tag (tenant_id, lower(name))

CREATE SEQUENCE canned_reply_number

CREATE TABLE canned_reply (
    tenant_id bigint NOT NULL REFERENCES tenant,
    id bigint NOT NULL,
    title text NOT NULL,
    body text NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id)
)

CREATE TABLE ticket_viewer (
    tenant_id bigint NOT NULL,
    ticket_id bigint NOT NULL,
    staff_id bigint NOT NULL,
    name text NOT NULL,
    replying boolean NOT NULL,
    since timestamptz NOT NULL,
    seen_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, ticket_id, staff_id)
)

SELECT protect('ticket_tag'), protect('canned_reply'), protect('ticket_viewer')

GRANT USAGE ON SEQUENCE ticket_number, ticket_message_number, ticket_attachment_number, ticket_tag_number, canned_reply_number
    TO plixa_app, plixa_system
"""


def upgrade() -> None:
    for part in (TICKETS, DESK):
        for statement in part.strip().split("\n\n"):
            op.execute(statement)
