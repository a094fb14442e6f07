"""Who may do what: two factors, kinds of tokens, staff, invitations, sectors, business hours, licences, deletion, the public waitlist."""

from alembic import op

revision = "0002"
down_revision = "0001"

TENANT = """
ALTER TABLE tenant
    ADD COLUMN currency text NOT NULL DEFAULT 'USD',
    ADD COLUMN logo_key text,
    ADD COLUMN require_two_factor boolean NOT NULL DEFAULT false,
    ADD COLUMN allow_support_access boolean NOT NULL DEFAULT false,
    ADD COLUMN onboarding_dismissed_at timestamptz,
    ADD COLUMN license_expires_at timestamptz,
    ADD COLUMN license_granted_at timestamptz,
    ADD COLUMN license_granted_by bigint,
    ADD COLUMN suspended_at timestamptz,
    ADD COLUMN suspended_reason text,
    ADD COLUMN deletion_requested_at timestamptz,
    ADD COLUMN deletion_requested_by bigint,
    ADD COLUMN purge_at timestamptz

CREATE INDEX tenant_purge ON tenant (purge_at) WHERE purge_at IS NOT NULL

CREATE INDEX tenant_created ON tenant (created_at DESC, tenant_id DESC)

INSERT INTO tenant (tenant_id, name, slug, country_code, timezone, locale, created_at)
VALUES (0, 'Plixa', 'plixa', 'BR', 'UTC', 'en', now())

INSERT INTO log_head (tenant_id) VALUES (0) ON CONFLICT DO NOTHING
"""

MEMBER = """
ALTER TABLE member
    ADD COLUMN is_available boolean,
    ADD COLUMN available_set_at timestamptz,
    ADD COLUMN last_heartbeat_at timestamptz,
    ADD COLUMN two_factor_secret bytea,
    ADD COLUMN two_factor_setup_at timestamptz,
    ADD COLUMN two_factor_confirmed_at timestamptz,
    ADD COLUMN two_factor_step bigint NOT NULL DEFAULT 0,
    ADD COLUMN failed_sign_ins int NOT NULL DEFAULT 0,
    DROP CONSTRAINT member_email_key,
    DROP CONSTRAINT member_role_check,
    ADD CONSTRAINT member_role_check CHECK (CASE WHEN tenant_id = 0 THEN role = 'staff' ELSE role IN ('owner', 'agent') END) NOT VALID

ALTER TABLE member VALIDATE CONSTRAINT member_role_check

CREATE UNIQUE INDEX member_email_key ON member (email) WHERE tenant_id > 0

CREATE UNIQUE INDEX member_staff_email_key ON member (email) WHERE tenant_id = 0

CREATE TABLE recovery_code (
    tenant_id bigint NOT NULL,
    member_id bigint NOT NULL,
    hash bytea NOT NULL,
    PRIMARY KEY (tenant_id, member_id, hash),
    FOREIGN KEY (tenant_id, member_id) REFERENCES member (tenant_id, id) ON DELETE CASCADE
)

CREATE TABLE password_reset (
    tenant_id bigint NOT NULL,
    hash bytea NOT NULL UNIQUE,
    member_id bigint NOT NULL,
    bound_to bytea NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, hash),
    FOREIGN KEY (tenant_id, member_id) REFERENCES member (tenant_id, id) ON DELETE CASCADE
)

CREATE INDEX password_reset_member ON password_reset (tenant_id, member_id)

SELECT protect('recovery_code'), protect('password_reset')
"""

TOKEN = """
ALTER TABLE access_token
    ADD COLUMN prefix text NOT NULL DEFAULT '',
    ADD COLUMN agent text,
    ADD COLUMN tries int NOT NULL DEFAULT 0,
    ADD COLUMN staff_id bigint,
    ADD COLUMN is_override boolean NOT NULL DEFAULT false,
    ADD COLUMN created_by bigint,
    DROP CONSTRAINT access_token_kind_check,
    ADD CONSTRAINT access_token_kind_check CHECK (kind IN ('panel', 'api', 'challenge', 'impersonation', 'staff')) NOT VALID

ALTER TABLE access_token VALIDATE CONSTRAINT access_token_kind_check

CREATE INDEX access_token_expiry ON access_token (expires_at) WHERE expires_at IS NOT NULL

CREATE INDEX access_token_staff ON access_token (staff_id) WHERE staff_id IS NOT NULL
"""

TEAM = """
CREATE SEQUENCE invitation_number

CREATE TABLE invitation (
    tenant_id bigint NOT NULL REFERENCES tenant,
    id bigint NOT NULL DEFAULT nextval('invitation_number'),
    email text NOT NULL,
    role text NOT NULL CHECK (role = 'agent'),
    token_hash bytea NOT NULL UNIQUE,
    sealed_token bytea NOT NULL,
    invited_by bigint,
    invited_by_name text NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    accepted_at timestamptz,
    cancelled_at timestamptz,
    PRIMARY KEY (tenant_id, id)
)

CREATE UNIQUE INDEX invitation_pending ON invitation (tenant_id, email) WHERE accepted_at IS NULL AND cancelled_at IS NULL

CREATE SEQUENCE sector_number

CREATE TABLE sector (
    tenant_id bigint NOT NULL REFERENCES tenant,
    id bigint NOT NULL DEFAULT nextval('sector_number'),
    name text NOT NULL,
    color text,
    description text,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT sector_name_key UNIQUE (tenant_id, name)
)

CREATE TABLE sector_member (
    tenant_id bigint NOT NULL,
    sector_id bigint NOT NULL,
    member_id bigint NOT NULL,
    PRIMARY KEY (tenant_id, sector_id, member_id),
    FOREIGN KEY (tenant_id, sector_id) REFERENCES sector (tenant_id, id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, member_id) REFERENCES member (tenant_id, id) ON DELETE CASCADE
)

CREATE INDEX sector_member_member ON sector_member (tenant_id, member_id)

CREATE TABLE business_hours (
    tenant_id bigint NOT NULL REFERENCES tenant,
    since timestamptz NOT NULL,
    timezone text NOT NULL,
    enabled boolean NOT NULL,
    message text,
    hours jsonb NOT NULL,
    pause_sla boolean NOT NULL,
    PRIMARY KEY (tenant_id, since)
)

CREATE TABLE public_image (
    tenant_id bigint NOT NULL REFERENCES tenant,
    key text NOT NULL UNIQUE,
    mime text NOT NULL,
    content bytea NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, key)
)

SELECT protect('invitation'), protect('sector'), protect('sector_member'), protect('business_hours'), protect('public_image')
"""

WAITLIST = """
CREATE SEQUENCE waitlist_signup_number

CREATE TABLE waitlist_signup (
    tenant_id bigint NOT NULL CHECK (tenant_id = 0) REFERENCES tenant,
    id bigint NOT NULL DEFAULT nextval('waitlist_signup_number'),
    email text NOT NULL,
    locale text,
    referrer text,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT waitlist_signup_email_key UNIQUE (tenant_id, email)
)

SELECT protect('waitlist_signup')

GRANT USAGE ON SEQUENCE invitation_number, sector_number, waitlist_signup_number TO plixa_app, plixa_system
"""


def upgrade() -> None:
    for part in (TENANT, MEMBER, TOKEN, TEAM, WAITLIST):
        for statement in part.strip().split("\n\n"):
            op.execute(statement)
