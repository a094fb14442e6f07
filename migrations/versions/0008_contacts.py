"""Contacts that are searched, blocked, opted out, merged and parted again; lists of them that are brought in as files."""

import re
from unicodedata import combining, normalize

from alembic import op
from sqlalchemy import text

revision = "0008"
down_revision = "0007"

PEOPLE = """
ALTER TABLE contact
    ADD COLUMN notes text,
    ADD COLUMN words text NOT NULL DEFAULT '',
    ADD COLUMN blocked_at timestamptz,
    ADD COLUMN opted_out_at timestamptz,
    ADD COLUMN opt_out_reason text

CREATE INDEX contact_words ON contact USING gin (array_to_tsvector(string_to_array(words, ' ')))

CREATE INDEX contact_blocked ON contact (tenant_id, id) WHERE blocked_at IS NOT NULL

CREATE INDEX contact_opted_out ON contact (tenant_id, id) WHERE opted_out_at IS NOT NULL

CREATE FUNCTION find_contacts(wanted tsquery) RETURNS SETOF bigint LANGUAGE sql STABLE ROWS 200
SECURITY DEFINER SET search_path = public AS $$
    SELECT id FROM contact
    WHERE array_to_tsvector(string_to_array(words, ' ')) @@ wanted AND tenant_id = present_tenant()
$$

GRANT CREATE ON SCHEMA public TO plixa_system

ALTER FUNCTION find_contacts(tsquery) OWNER TO plixa_system

REVOKE CREATE ON SCHEMA public FROM plixa_system

REVOKE ALL ON FUNCTION find_contacts(tsquery) FROM PUBLIC

GRANT EXECUTE ON FUNCTION find_contacts(tsquery) TO plixa_app
"""

MERGES = """
CREATE SEQUENCE contact_merge_number

CREATE TABLE contact_merge (
    tenant_id bigint NOT NULL,
    id bigint NOT NULL DEFAULT nextval('contact_merge_number'),
    kept_id bigint NOT NULL,
    absorbed_id bigint NOT NULL,
    by jsonb NOT NULL,
    merged_at timestamptz NOT NULL,
    undone_at timestamptz,
    undo jsonb,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, kept_id) REFERENCES contact (tenant_id, id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, absorbed_id) REFERENCES contact (tenant_id, id) ON DELETE CASCADE
)

CREATE UNIQUE INDEX contact_merge_absorbed ON contact_merge (tenant_id, absorbed_id) WHERE undone_at IS NULL

CREATE INDEX contact_merge_kept ON contact_merge (tenant_id, kept_id)

CREATE INDEX contact_merge_parted ON contact_merge (tenant_id, absorbed_id) WHERE undone_at IS NOT NULL
"""

IMPORTS = """
CREATE SEQUENCE contact_import_number

CREATE TABLE contact_import (
    tenant_id bigint NOT NULL REFERENCES tenant,
    id bigint NOT NULL DEFAULT nextval('contact_import_number'),
    state text NOT NULL CHECK (state IN ('waiting', 'running', 'done', 'failed')),
    file bytea,
    country text NOT NULL,
    by jsonb NOT NULL,
    total int NOT NULL,
    processed int NOT NULL DEFAULT 0,
    created int NOT NULL DEFAULT 0,
    updated int NOT NULL DEFAULT 0,
    skipped int NOT NULL DEFAULT 0,
    errors int NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL,
    finished_at timestamptz,
    PRIMARY KEY (tenant_id, id)
)

CREATE TABLE contact_import_row (
    tenant_id bigint NOT NULL,
    import_id bigint NOT NULL,
    line int NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('created', 'updated', 'skipped', 'error')),
    message text,
    PRIMARY KEY (tenant_id, import_id, line),
    FOREIGN KEY (tenant_id, import_id) REFERENCES contact_import (tenant_id, id) ON DELETE CASCADE
)

CREATE TABLE opt_out_kept (
    tenant_id bigint NOT NULL,
    pseudonym text NOT NULL,
    opted_out_at timestamptz NOT NULL,
    reason text,
    PRIMARY KEY (tenant_id, pseudonym)
)

SELECT protect('contact_merge'), protect('contact_import'), protect('contact_import_row'), protect('opt_out_kept')

GRANT USAGE ON SEQUENCE contact_merge_number, contact_import_number TO plixa_app, plixa_system
"""

CONVERSATIONS = """
ALTER TABLE inbox_conversation ALTER COLUMN contact_id DROP NOT NULL, ADD COLUMN blocked boolean NOT NULL DEFAULT false

CREATE INDEX inbox_conversation_left ON inbox_conversation (tenant_id, phone_instance_id, phone) WHERE contact_id IS NULL

CREATE INDEX inbox_conversation_left_address ON inbox_conversation (tenant_id, phone_instance_id, reply_to) WHERE contact_id IS NULL
"""
"""Those whose contact was deleted are found by its phone, or by the address it last wrote from, when somebody is there again."""

KNOWN = "SELECT tenant_id, id, name, phone FROM contact WHERE erased_at IS NULL AND merged_into IS NULL ORDER BY tenant_id, id"
SPELL = "UPDATE contact SET words = :words WHERE tenant_id = :tenant AND id = :id"


def upgrade() -> None:
    for part in (PEOPLE, MERGES, IMPORTS, CONVERSATIONS):
        for statement in part.strip().split("\n\n"):
            op.execute(statement)
    spell_names()


def spell_names() -> None:
    """The words by which the contacts there are will be found; SQL cannot fold what people call themselves."""
    connection = op.get_bind()
    connection.execute(text("SET LOCAL ROLE plixa_system"))
    for row in connection.execute(text(KNOWN)).all():
        connection.execute(text(SPELL), {"words": words_of(row.tenant_id, row.name, row.phone), "tenant": row.tenant_id, "id": row.id})
    connection.execute(text("RESET ROLE"))


def words_of(tenant: int, name: str | None, phone: str | None) -> str:
    """Words without accents and case, and every ending of the phone with and without the digit that Brazil, Mexico and Argentina add."""
    plain = "".join(sign for sign in normalize("NFKD", name or "") if not combining(sign))
    forms = [phone or ""]
    for short, long in ((r"(55\d\d)([6-9]\d{7})", r"\g<1>9\2"), (r"(52)(\d{10})", r"\g<1>1\2"), (r"(54)(\d{10})", r"\g<1>9\2")):
        if match := re.fullmatch(short, forms[0]):
            forms.append(match.expand(long))
    if match := re.fullmatch(r"(55\d\d)9([6-9]\d{7})|(52)1(\d{10})|(54)9(\d{10})", forms[0]):
        forms.append("".join(part for part in match.groups() if part))
    words = [word[:48] for word in re.findall(r"\w+", plain.casefold())][:400]
    endings = [form[start:] for form in forms for start in range(len(form) - 3)]
    return " ".join(f"{tenant}/{word}" for word in dict.fromkeys([*words, *endings]))
