"""When a contact was last asked how it was, which outlives the conversation; and contacts by their names."""

from alembic import op

revision = "0019"
down_revision = "0018"

ASKED = """
CREATE TABLE contact_asked (
    tenant_id bigint NOT NULL REFERENCES tenant,
    contact_id bigint NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, contact_id),
    FOREIGN KEY (tenant_id, contact_id) REFERENCES contact (tenant_id, id) ON DELETE CASCADE
)

SELECT protect('contact_asked')
"""

NAMES = r"""
ALTER TABLE contact ADD COLUMN sort_name text COLLATE "C" NOT NULL GENERATED ALWAYS AS (
    coalesce(nullif(left(regexp_replace(normalize(lower(name), NFKD), U&'[\0300-\036F]', '', 'g'), 120), ''), phone, '')
) STORED

CREATE INDEX contact_by_name ON contact (tenant_id, sort_name, id) WHERE merged_into IS NULL AND erased_at IS NULL
"""


def upgrade() -> None:
    for part in (ASKED, NAMES):
        for statement in part.strip().split("\n\n"):
            op.execute(statement)
