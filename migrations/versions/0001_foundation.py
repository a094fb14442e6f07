"""The foundation: roles and row-level security, the event store, the outbox, people, numbers, contacts, the inbox."""

from alembic import op

revision = "0001"
down_revision = None

ROLES = """
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['plixa_app', 'plixa_system'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', name);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL;
            END;
        END IF;
        IF NOT pg_has_role(current_user, name, 'USAGE') THEN
            EXECUTE format('GRANT %I TO %I', name, current_user);
        END IF;
    END LOOP;
END $$

CREATE FUNCTION present_tenant() RETURNS bigint LANGUAGE sql STABLE PARALLEL SAFE AS
$$ SELECT nullif(current_setting('plixa.tenant', true), '')::bigint $$

CREATE FUNCTION protect(target regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', target);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', target);
    EXECUTE format('CREATE POLICY own_tenant ON %s TO plixa_app USING (tenant_id = present_tenant())', target);
    EXECUTE format('CREATE POLICY every_tenant ON %s TO plixa_system USING (true)', target);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO plixa_app, plixa_system', target);
END $$
"""

EVENT_STORE = """
CREATE TABLE log_head (
    tenant_id bigint PRIMARY KEY,
    position bigint NOT NULL DEFAULT 0,
    hash bytea NOT NULL DEFAULT decode(repeat('00', 32), 'hex')
) WITH (fillfactor = 20)

CREATE TABLE event (
    tenant_id bigint NOT NULL,
    position bigint NOT NULL,
    stream_id uuid NOT NULL,
    number bigint NOT NULL,
    version int NOT NULL,
    topic text NOT NULL,
    payload bytea NOT NULL,
    recorded_at timestamptz NOT NULL,
    actor jsonb NOT NULL,
    request_id text NOT NULL,
    hash bytea NOT NULL,
    CONSTRAINT event_pkey PRIMARY KEY (tenant_id, stream_id, version),
    CONSTRAINT event_position UNIQUE (tenant_id, position)
)

CREATE TABLE stream_key (
    tenant_id bigint NOT NULL,
    stream_id uuid NOT NULL,
    contact_id bigint,
    wrapped_key bytea NOT NULL,
    CONSTRAINT stream_key_pkey PRIMARY KEY (tenant_id, stream_id)
)

CREATE INDEX stream_key_contact ON stream_key (tenant_id, contact_id) WHERE contact_id IS NOT NULL

CREATE TABLE snapshot (
    tenant_id bigint NOT NULL,
    stream_id uuid NOT NULL,
    version int NOT NULL,
    topic text NOT NULL,
    payload bytea NOT NULL,
    PRIMARY KEY (tenant_id, stream_id, version)
)

CREATE TABLE checkpoint (
    tenant_id bigint NOT NULL,
    projection text NOT NULL,
    position bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id, projection)
)

CREATE TABLE counter (
    tenant_id bigint NOT NULL,
    projection text NOT NULL,
    key text NOT NULL,
    value bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id, projection, key)
) WITH (fillfactor = 50)

CREATE FUNCTION drop_zero() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM counter WHERE tenant_id = NEW.tenant_id AND projection = NEW.projection AND key = NEW.key AND value = 0;
    RETURN NULL;
END $$

CREATE TRIGGER counter_zero AFTER UPDATE ON counter FOR EACH ROW WHEN (NEW.value = 0) EXECUTE FUNCTION drop_zero()

CREATE FUNCTION append_events(
    tenant bigint, streams uuid[], numbers bigint[], versions int[], topics text[], payloads bytea[], digests bytea[],
    at timestamptz, who jsonb, request text
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    last_position bigint;
    last_hash bytea;
BEGIN
    SELECT h.position, h.hash INTO STRICT last_position, last_hash FROM log_head h WHERE h.tenant_id = tenant FOR UPDATE;
    FOR i IN 1 .. cardinality(streams) LOOP
        last_position := last_position + 1;
        last_hash := sha256(last_hash || int8send(last_position) || digests[i]);
        INSERT INTO event (tenant_id, position, stream_id, number, version, topic, payload, recorded_at, actor, request_id, hash)
        VALUES (tenant, last_position, streams[i], numbers[i], versions[i], topics[i], payloads[i], at, who, request, last_hash);
    END LOOP;
    UPDATE log_head h SET position = last_position, hash = last_hash WHERE h.tenant_id = tenant;
    RAISE NOTICE 'plixa position %', last_position;
    RETURN last_position;
END $$

SELECT protect('log_head'), protect('event'), protect('stream_key'), protect('snapshot'), protect('checkpoint'), protect('counter')

REVOKE UPDATE, DELETE ON event FROM plixa_app, plixa_system

REVOKE DELETE ON log_head FROM plixa_app, plixa_system
"""

OUTBOX = """
CREATE TABLE outbox (
    tenant_id bigint NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY,
    kind text NOT NULL,
    key text NOT NULL,
    payload jsonb NOT NULL,
    order_key text,
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'running', 'done', 'parked')),
    attempts int NOT NULL DEFAULT 0,
    due_at timestamptz NOT NULL,
    queued_until timestamptz,
    lease_until timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    done_at timestamptz,
    error text,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, kind, key)
)

CREATE INDEX outbox_due ON outbox (due_at) WHERE state IN ('waiting', 'running')

CREATE INDEX outbox_order ON outbox (tenant_id, order_key, id) WHERE state IN ('waiting', 'running') AND order_key IS NOT NULL

CREATE INDEX outbox_done ON outbox (done_at) WHERE state = 'done'

CREATE TABLE idempotency_key (
    tenant_id bigint NOT NULL,
    scope text NOT NULL,
    key_hash bytea NOT NULL,
    fingerprint bytea NOT NULL,
    status int NOT NULL,
    answer bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, scope, key_hash)
)

CREATE INDEX idempotency_key_age ON idempotency_key USING brin (created_at)

SELECT protect('outbox'), protect('idempotency_key')
"""

PEOPLE = """
CREATE SEQUENCE tenant_number

CREATE TABLE tenant (
    tenant_id bigint PRIMARY KEY,
    name text NOT NULL,
    slug text NOT NULL UNIQUE,
    country_code text NOT NULL,
    tax_id text,
    timezone text NOT NULL,
    locale text NOT NULL,
    status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended')),
    plan text,
    agents_can_delete_conversations boolean NOT NULL DEFAULT false,
    agent_restricted boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL
)

CREATE SEQUENCE member_number

CREATE TABLE member (
    tenant_id bigint NOT NULL REFERENCES tenant,
    id bigint NOT NULL DEFAULT nextval('member_number'),
    name text NOT NULL,
    email text NOT NULL UNIQUE,
    password_hash text NOT NULL,
    role text NOT NULL CHECK (role IN ('owner', 'agent')),
    locale text,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id)
)

CREATE UNIQUE INDEX member_one_owner ON member (tenant_id) WHERE role = 'owner'

CREATE SEQUENCE access_token_number

CREATE TABLE access_token (
    tenant_id bigint NOT NULL REFERENCES tenant,
    id bigint NOT NULL DEFAULT nextval('access_token_number') UNIQUE,
    member_id bigint NOT NULL,
    kind text NOT NULL CHECK (kind IN ('panel', 'api')),
    name text NOT NULL,
    hash bytea NOT NULL,
    abilities text[] NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL,
    last_used_at timestamptz,
    expires_at timestamptz,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, member_id) REFERENCES member (tenant_id, id) ON DELETE CASCADE
)

CREATE INDEX access_token_member ON access_token (tenant_id, member_id)

SELECT protect('tenant'), protect('member'), protect('access_token')
"""

NUMBERS_AND_CONTACTS = """
CREATE SEQUENCE phone_instance_number

CREATE TABLE phone_instance (
    tenant_id bigint NOT NULL REFERENCES tenant,
    id bigint NOT NULL DEFAULT nextval('phone_instance_number'),
    label text,
    gateway_name text NOT NULL UNIQUE,
    webhook_secret bytea NOT NULL,
    number text,
    profile_name text,
    status text NOT NULL CHECK (status IN ('pending_qr', 'connected', 'disconnected', 'restricted')),
    reason text,
    qr text,
    pairing_code text,
    qr_at timestamptz,
    connected_at timestamptz,
    disconnected_at timestamptz,
    last_webhook_at timestamptz,
    removed_at timestamptz,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id)
)

CREATE TABLE webhook_seen (
    tenant_id bigint NOT NULL,
    instance_id bigint NOT NULL,
    key text NOT NULL,
    stream_id uuid,
    payload bytea NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT webhook_seen_pkey PRIMARY KEY (tenant_id, instance_id, key),
    FOREIGN KEY (tenant_id, instance_id) REFERENCES phone_instance (tenant_id, id) ON DELETE CASCADE
)

CREATE INDEX webhook_seen_age ON webhook_seen USING brin (received_at)

CREATE TABLE parked_update (
    tenant_id bigint NOT NULL,
    instance_id bigint NOT NULL,
    gateway_id text NOT NULL,
    key text NOT NULL,
    fact bytea NOT NULL,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, instance_id, gateway_id, key),
    FOREIGN KEY (tenant_id, instance_id) REFERENCES phone_instance (tenant_id, id) ON DELETE CASCADE
)

CREATE INDEX parked_update_age ON parked_update (received_at)

CREATE SEQUENCE contact_number

CREATE TABLE contact (
    tenant_id bigint NOT NULL REFERENCES tenant,
    id bigint NOT NULL DEFAULT nextval('contact_number'),
    phone text,
    name text,
    merged_into bigint,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, merged_into) REFERENCES contact (tenant_id, id)
)

CREATE TABLE contact_alias (
    tenant_id bigint NOT NULL,
    value text NOT NULL,
    contact_id bigint NOT NULL,
    CONSTRAINT contact_alias_pkey PRIMARY KEY (tenant_id, value),
    FOREIGN KEY (tenant_id, contact_id) REFERENCES contact (tenant_id, id)
)

CREATE INDEX contact_alias_contact ON contact_alias (tenant_id, contact_id)

CREATE SEQUENCE label_number

CREATE TABLE label (
    tenant_id bigint NOT NULL REFERENCES tenant,
    id bigint NOT NULL DEFAULT nextval('label_number'),
    name text NOT NULL,
    color text NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, name)
)

SELECT protect('phone_instance'), protect('webhook_seen'), protect('parked_update'), protect('contact'), protect('contact_alias'),
    protect('label')
"""

INBOX = """
CREATE SEQUENCE conversation_number

CREATE SEQUENCE message_number

CREATE TABLE inbox_conversation (
    tenant_id bigint NOT NULL,
    id bigint NOT NULL,
    contact_id bigint NOT NULL,
    phone_instance_id bigint NOT NULL,
    phone text,
    contact_name text,
    custom_name text,
    reply_to text,
    replied_at timestamptz,
    status text NOT NULL,
    handler text NOT NULL,
    episode bigint NOT NULL,
    assigned_user_id bigint,
    assigned_user_name text,
    sector_id bigint,
    labels jsonb NOT NULL,
    notes text,
    unread_count bigint NOT NULL,
    snoozed_until timestamptz,
    last_message_id bigint,
    last_message_direction text,
    last_message_type text,
    last_message_body text,
    last_message_edited_at timestamptz,
    last_message_at timestamptz NOT NULL,
    opened_at timestamptz NOT NULL,
    closed_at timestamptz,
    first_responded_at timestamptz,
    updated_at timestamptz NOT NULL,
    CONSTRAINT inbox_conversation_pkey PRIMARY KEY (tenant_id, id)
) WITH (fillfactor = 80)

CREATE INDEX inbox_conversation_recent ON inbox_conversation (tenant_id, last_message_at DESC, id DESC)

CREATE INDEX inbox_conversation_status ON inbox_conversation (tenant_id, status, last_message_at DESC, id DESC)

CREATE INDEX inbox_conversation_assignee ON inbox_conversation (tenant_id, assigned_user_id, status, last_message_at DESC, id DESC)

CREATE INDEX inbox_conversation_sector ON inbox_conversation (tenant_id, sector_id, status, last_message_at DESC, id DESC)
    WHERE sector_id IS NOT NULL

CREATE INDEX inbox_conversation_snoozed ON inbox_conversation (tenant_id, last_message_at DESC, id DESC) WHERE snoozed_until IS NOT NULL

CREATE INDEX inbox_conversation_contact ON inbox_conversation (tenant_id, contact_id, phone_instance_id)

CREATE TABLE inbox_message (
    tenant_id bigint NOT NULL,
    id bigint NOT NULL,
    conversation_id bigint NOT NULL,
    stream_number bigint NOT NULL,
    phone_instance_id bigint NOT NULL,
    direction text NOT NULL,
    type text NOT NULL,
    body text,
    author_type text NOT NULL,
    author_id bigint,
    author_name text,
    quoted_id bigint,
    quoted_gateway_id text,
    gateway_id text,
    client_id text,
    status text NOT NULL,
    error text,
    media jsonb,
    location jsonb,
    contacts jsonb,
    reactions jsonb NOT NULL,
    unsupported_kind text,
    forwarded boolean NOT NULL,
    in_doubt boolean NOT NULL,
    stalled boolean NOT NULL,
    sent_at timestamptz NOT NULL,
    accepted_at timestamptz,
    delivered_at timestamptz,
    read_at timestamptz,
    edited_at timestamptz,
    revoked_at timestamptz,
    recorded_at timestamptz NOT NULL,
    CONSTRAINT inbox_message_pkey PRIMARY KEY (tenant_id, id)
) WITH (fillfactor = 85)

CREATE INDEX inbox_message_thread ON inbox_message (tenant_id, conversation_id, sent_at DESC, id DESC)

CREATE UNIQUE INDEX inbox_message_gateway ON inbox_message (tenant_id, phone_instance_id, gateway_id) WHERE gateway_id IS NOT NULL

CREATE TABLE inbox_name (
    tenant_id bigint NOT NULL,
    id bigint NOT NULL,
    phone text,
    contact_name text,
    custom_name text,
    labels jsonb NOT NULL,
    words text NOT NULL,
    CONSTRAINT inbox_name_pkey PRIMARY KEY (tenant_id, id)
)

CREATE INDEX inbox_name_words ON inbox_name USING gin (array_to_tsvector(string_to_array(words, ' ')))

CREATE INDEX inbox_name_labels ON inbox_name USING gin (labels)

CREATE TABLE inbox_text (
    tenant_id bigint NOT NULL,
    id bigint NOT NULL,
    conversation_id bigint NOT NULL,
    words text NOT NULL,
    edited_at timestamptz,
    revoked boolean NOT NULL,
    CONSTRAINT inbox_text_pkey PRIMARY KEY (tenant_id, id)
)

CREATE INDEX inbox_text_conversation ON inbox_text (tenant_id, conversation_id)

CREATE INDEX inbox_text_words ON inbox_text USING gin (array_to_tsvector(string_to_array(words, ' ')))
    WITH (gin_pending_list_limit = 512)

SELECT protect('inbox_conversation'), protect('inbox_message'), protect('inbox_name'), protect('inbox_text')
"""

SEARCH = """
CREATE FUNCTION find_named(wanted tsquery) RETURNS SETOF bigint LANGUAGE sql STABLE ROWS 200
SECURITY DEFINER SET search_path = public AS $$
    SELECT id FROM inbox_name
    WHERE array_to_tsvector(string_to_array(words, ' ')) @@ wanted AND tenant_id = present_tenant()
$$

CREATE FUNCTION find_labelled(label bigint) RETURNS SETOF bigint LANGUAGE sql STABLE ROWS 1000
SECURITY DEFINER SET search_path = public AS $$
    SELECT id FROM inbox_name WHERE labels @> to_jsonb(label) AND tenant_id = present_tenant()
$$

CREATE FUNCTION find_texts(wanted tsquery, before bigint, most int, member bigint) RETURNS SETOF bigint LANGUAGE plpgsql STABLE ROWS 50
SECURITY DEFINER SET search_path = public AS $$
DECLARE
    tenant bigint := present_tenant();
    near bigint[];
BEGIN
    SELECT array_agg(hit.id) INTO near FROM (
        SELECT newest.id FROM (
            SELECT t.id, t.conversation_id, t.words FROM inbox_text t
            WHERE t.tenant_id = tenant AND t.id < before ORDER BY t.id DESC LIMIT 4000
        ) newest
        WHERE array_to_tsvector(string_to_array(newest.words, ' ')) @@ wanted AND (member IS NULL OR EXISTS (
            SELECT FROM inbox_conversation c WHERE c.tenant_id = tenant AND c.id = newest.conversation_id
            AND (c.assigned_user_id IS NULL OR c.assigned_user_id = member)))
        LIMIT most
    ) hit;
    IF cardinality(near) >= most THEN
        RETURN QUERY SELECT unnest(near);
        RETURN;
    END IF;
    RETURN QUERY WITH hits AS MATERIALIZED (
        SELECT t.tenant_id, t.id, t.conversation_id FROM inbox_text t
        WHERE array_to_tsvector(string_to_array(t.words, ' ')) @@ wanted
    )
    SELECT hits.id FROM hits WHERE hits.tenant_id = tenant AND hits.id < before AND (member IS NULL OR EXISTS (
        SELECT FROM inbox_conversation c WHERE c.tenant_id = tenant AND c.id = hits.conversation_id
        AND (c.assigned_user_id IS NULL OR c.assigned_user_id = member)))
    ORDER BY hits.id DESC LIMIT most;
END $$

GRANT CREATE ON SCHEMA public TO plixa_system

ALTER FUNCTION find_named(tsquery) OWNER TO plixa_system

ALTER FUNCTION find_labelled(bigint) OWNER TO plixa_system

ALTER FUNCTION find_texts(tsquery, bigint, int, bigint) OWNER TO plixa_system

REVOKE CREATE ON SCHEMA public FROM plixa_system

REVOKE ALL ON FUNCTION find_named(tsquery), find_labelled(bigint), find_texts(tsquery, bigint, int, bigint) FROM PUBLIC

GRANT EXECUTE ON FUNCTION find_named(tsquery), find_labelled(bigint), find_texts(tsquery, bigint, int, bigint) TO plixa_app

GRANT SELECT ON schema_version TO plixa_app, plixa_system

GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO plixa_app, plixa_system
"""


def upgrade() -> None:
    for part in (ROLES, EVENT_STORE, OUTBOX, PEOPLE, NUMBERS_AND_CONTACTS, INBOX, SEARCH):
        for statement in part.strip().split("\n\n"):
            op.execute(statement)
