"""What a workspace uses, kept as it changes: members, numbers, messages by day, stored files, the last activity; staff who left.

What a worker of the version before folds after this is not counted by day; ``plixa rebuild usage`` counts it.
"""

from alembic import op

revision = "0018"
down_revision = "0017"

USAGE = """
CREATE TABLE last_activity (
    tenant_id bigint NOT NULL,
    id bigint NOT NULL,
    at timestamptz NOT NULL,
    CONSTRAINT last_activity_pkey PRIMARY KEY (tenant_id, id)
) WITH (fillfactor = 50)

CREATE INDEX last_activity_recent ON last_activity (at DESC, id DESC)

CREATE TABLE stored_file (
    tenant_id bigint NOT NULL,
    id bigint NOT NULL,
    conversation_id bigint NOT NULL,
    bytes bigint NOT NULL,
    CONSTRAINT stored_file_pkey PRIMARY KEY (tenant_id, id)
)

CREATE INDEX stored_file_conversation ON stored_file (tenant_id, conversation_id)

SELECT protect('last_activity'), protect('stored_file')

CREATE INDEX audit_entry_kind ON audit_entry (tenant_id, subject, at DESC, id DESC)

CREATE INDEX audit_entry_staff_tenant ON audit_entry (tenant_id, at DESC, id DESC) WHERE is_staff

INSERT INTO counter (tenant_id, projection, key, value)
SELECT tenant_id, 'inbox_activity', to_char(to_timestamp(quarter * 900) AT TIME ZONE 'UTC', 'YYYY-MM-DD'), sum(received + sent)
FROM inbox_activity GROUP BY 1, 3 HAVING sum(received + sent) > 0
"""

ROWS = """
CREATE FUNCTION count_rows() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    change int := 0;
BEGIN
    IF TG_OP <> 'INSERT' THEN
        change := change - (to_jsonb(OLD) ->> 'removed_at' IS NULL)::int;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        change := change + (to_jsonb(NEW) ->> 'removed_at' IS NULL)::int;
    END IF;
    IF change > 0 THEN
        INSERT INTO counter (tenant_id, projection, key, value) VALUES (NEW.tenant_id, TG_TABLE_NAME, 'rows', change)
        ON CONFLICT (tenant_id, projection, key) DO UPDATE SET value = counter.value + excluded.value;
    ELSIF change < 0 THEN
        UPDATE counter SET value = value + change WHERE tenant_id = OLD.tenant_id AND projection = TG_TABLE_NAME AND key = 'rows';
    END IF;
    RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END $$

COMMENT ON FUNCTION count_rows() IS
'Keeps counter (table, rows). Before the change, not after: a statement that appends to the log locks its head last.'

CREATE TRIGGER member_rows BEFORE INSERT OR DELETE ON member FOR EACH ROW EXECUTE FUNCTION count_rows()

CREATE TRIGGER phone_instance_rows BEFORE INSERT OR DELETE OR UPDATE OF removed_at ON phone_instance
FOR EACH ROW EXECUTE FUNCTION count_rows()

INSERT INTO counter (tenant_id, projection, key, value) SELECT tenant_id, 'member', 'rows', count(*) FROM member GROUP BY 1

INSERT INTO counter (tenant_id, projection, key, value)
SELECT tenant_id, 'phone_instance', 'rows', count(*) FROM phone_instance WHERE removed_at IS NULL GROUP BY 1
"""

STAFF = """
ALTER TABLE member ADD COLUMN deactivated_at timestamptz
"""


def upgrade() -> None:
    for part in (USAGE, ROWS, STAFF):
        for statement in part.strip().split("\n\n"):
            op.execute(statement)
