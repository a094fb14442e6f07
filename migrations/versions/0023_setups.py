"""A number that moves on with whatever decides how services are offered, so that what was read of it is known to hold still."""

from alembic import op

revision = "0023"
down_revision = "0022"

WATCHED = (
    "INSERT OR UPDATE OR DELETE ON service",
    "INSERT OR UPDATE OR DELETE ON service_provider",
    "INSERT OR UPDATE OR DELETE ON service_resource",
    "UPDATE ON resource",
    "INSERT OR UPDATE OR DELETE ON provider_schedule",
    "INSERT OR UPDATE OR DELETE ON closure",
    "INSERT OR UPDATE OR DELETE ON reminder_config",
    "UPDATE OF name ON member",
    "UPDATE OF timezone ON tenant",
)

CHANGES = """
CREATE FUNCTION note_setup() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' AND TG_TABLE_NAME = 'service' THEN
        INSERT INTO counter (tenant_id, projection, key, value) VALUES (NEW.tenant_id, 'service', 'changes', 1)
        ON CONFLICT (tenant_id, projection, key) DO UPDATE SET value = counter.value + 1;
    ELSE
        UPDATE counter SET value = value + 1
        WHERE tenant_id = (CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END).tenant_id AND projection = 'service' AND key = 'changes';
    END IF;
    RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END $$

COMMENT ON FUNCTION note_setup() IS 'Moves counter (service, changes) on. Before the change, not after: a statement that appends to the log
locks its head last.'

INSERT INTO counter (tenant_id, projection, key, value) SELECT DISTINCT tenant_id, 'service', 'changes', 1 FROM service
"""


def upgrade() -> None:
    for statement in CHANGES.strip().split("\n\n"):
        op.execute(statement)
    for change in WATCHED:
        table = change.rpartition(" ")[2]
        op.execute(f"CREATE TRIGGER {table}_setup BEFORE {change} FOR EACH ROW EXECUTE FUNCTION note_setup()")
