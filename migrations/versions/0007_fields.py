"""Labels on contacts, custom fields and their values, saved replies; how many conversations carry a label, closed ones too."""

from alembic import op

revision = "0007"
down_revision = "0006"

LABELS = """
ALTER TABLE label RENAME CONSTRAINT label_tenant_id_name_key TO label_name_key

CREATE TABLE contact_label (
    tenant_id bigint NOT NULL,
    contact_id bigint NOT NULL,
    label_id bigint NOT NULL,
    PRIMARY KEY (tenant_id, contact_id, label_id),
    FOREIGN KEY (tenant_id, contact_id) REFERENCES contact (tenant_id, id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, label_id) REFERENCES label (tenant_id, id) ON DELETE CASCADE
)

CREATE INDEX contact_label_label ON contact_label (tenant_id, label_id, contact_id)

SET LOCAL ROLE plixa_system

INSERT INTO counter (tenant_id, projection, key, value)
SELECT c.tenant_id, 'inbox_conversation', 'labelled:' || l.id, count(*)
FROM inbox_conversation c CROSS JOIN LATERAL jsonb_array_elements_text(c.labels) AS l(id) GROUP BY c.tenant_id, l.id

RESET ROLE
"""

CUSTOM_FIELDS = """
CREATE SEQUENCE custom_field_number

CREATE TABLE custom_field (
    tenant_id bigint NOT NULL REFERENCES tenant,
    id bigint NOT NULL DEFAULT nextval('custom_field_number'),
    name text NOT NULL,
    key text NOT NULL,
    type text NOT NULL CHECK (type IN ('text', 'number', 'date', 'boolean', 'select')),
    options text[] NOT NULL,
    position int NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT custom_field_name_key UNIQUE (tenant_id, name),
    CONSTRAINT custom_field_key_key UNIQUE (tenant_id, key),
    CONSTRAINT custom_field_position_key UNIQUE (tenant_id, position) DEFERRABLE
)

CREATE TABLE custom_field_value (
    tenant_id bigint NOT NULL,
    contact_id bigint NOT NULL,
    field_id bigint NOT NULL,
    value text NOT NULL CHECK (char_length(value) BETWEEN 1 AND 1000),
    PRIMARY KEY (tenant_id, contact_id, field_id),
    FOREIGN KEY (tenant_id, contact_id) REFERENCES contact (tenant_id, id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, field_id) REFERENCES custom_field (tenant_id, id) ON DELETE CASCADE
)

CREATE INDEX custom_field_value_field ON custom_field_value (tenant_id, field_id)
"""

SAVED_REPLIES = """
CREATE SEQUENCE saved_reply_number

CREATE TABLE saved_reply (
    tenant_id bigint NOT NULL REFERENCES tenant,
    id bigint NOT NULL DEFAULT nextval('saved_reply_number'),
    label text NOT NULL,
    body text NOT NULL,
    position int NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT saved_reply_position_key UNIQUE (tenant_id, position) DEFERRABLE
)

SELECT protect('contact_label'), protect('custom_field'), protect('custom_field_value'), protect('saved_reply')

GRANT USAGE ON SEQUENCE custom_field_number, saved_reply_number TO plixa_app, plixa_system
"""


def upgrade() -> None:
    for part in (LABELS, CUSTOM_FIELDS, SAVED_REPLIES):
        for statement in part.strip().split("\n\n"):
            op.execute(statement)
