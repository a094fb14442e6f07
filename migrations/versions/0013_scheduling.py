"""Scheduling: what can be booked with whom and when, the calendar, and the time that is taken."""

from alembic import op

revision = "0013"
down_revision = "0012"

CATALOG = """
CREATE SEQUENCE service_number

CREATE TABLE service (
    tenant_id bigint NOT NULL REFERENCES tenant,
    id bigint NOT NULL DEFAULT nextval('service_number'),
    name text NOT NULL,
    place text NOT NULL GENERATED ALWAYS AS (lower(name)) STORED,
    description text,
    color text,
    duration_minutes int NOT NULL CHECK (duration_minutes BETWEEN 5 AND 1440),
    buffer_before_minutes int NOT NULL,
    buffer_after_minutes int NOT NULL,
    slot_interval_minutes int,
    min_notice_minutes int NOT NULL,
    max_advance_days int NOT NULL,
    price bigint,
    currency text NOT NULL,
    deposit_amount bigint,
    prepayment boolean NOT NULL,
    requires_approval boolean NOT NULL,
    reminder_offsets int[],
    is_active boolean NOT NULL,
    bookable_by_ai boolean NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id)
)

CREATE UNIQUE INDEX service_name_key ON service (tenant_id, place)

CREATE SEQUENCE resource_number

CREATE TABLE resource (
    tenant_id bigint NOT NULL REFERENCES tenant,
    id bigint NOT NULL DEFAULT nextval('resource_number'),
    name text NOT NULL,
    place text NOT NULL GENERATED ALWAYS AS (lower(name)) STORED,
    capacity int NOT NULL CHECK (capacity BETWEEN 1 AND 1000),
    is_active boolean NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id)
)

CREATE UNIQUE INDEX resource_name_key ON resource (tenant_id, place)

CREATE TABLE service_provider (
    tenant_id bigint NOT NULL,
    service_id bigint NOT NULL,
    provider_id bigint NOT NULL,
    PRIMARY KEY (tenant_id, service_id, provider_id),
    FOREIGN KEY (tenant_id, service_id) REFERENCES service (tenant_id, id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, provider_id) REFERENCES member (tenant_id, id) ON DELETE CASCADE
)

CREATE INDEX service_provider_member ON service_provider (tenant_id, provider_id)

CREATE TABLE service_resource (
    tenant_id bigint NOT NULL,
    service_id bigint NOT NULL,
    resource_id bigint NOT NULL,
    PRIMARY KEY (tenant_id, service_id, resource_id),
    FOREIGN KEY (tenant_id, service_id) REFERENCES service (tenant_id, id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, resource_id) REFERENCES resource (tenant_id, id) ON DELETE CASCADE
)

CREATE INDEX service_resource_resource ON service_resource (tenant_id, resource_id)

GRANT USAGE ON SEQUENCE service_number, resource_number TO plixa_app, plixa_system

SELECT protect('service'), protect('resource'), protect('service_provider'), protect('service_resource')
"""

TIMES = """
CREATE TABLE provider_schedule (
    tenant_id bigint NOT NULL,
    provider_id bigint NOT NULL,
    timezone text NOT NULL,
    rules jsonb NOT NULL,
    PRIMARY KEY (tenant_id, provider_id),
    FOREIGN KEY (tenant_id, provider_id) REFERENCES member (tenant_id, id) ON DELETE CASCADE
)

CREATE TABLE base_schedule (
    tenant_id bigint NOT NULL REFERENCES tenant,
    timezone text NOT NULL,
    rules jsonb NOT NULL,
    PRIMARY KEY (tenant_id)
)

CREATE SEQUENCE closure_number

CREATE TABLE closure (
    tenant_id bigint NOT NULL REFERENCES tenant,
    id bigint NOT NULL DEFAULT nextval('closure_number'),
    date date NOT NULL,
    reason text,
    source text NOT NULL CHECK (source IN ('manual', 'holiday')),
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT closure_date_key UNIQUE (tenant_id, date)
)

CREATE TABLE reopened_day (
    tenant_id bigint NOT NULL REFERENCES tenant,
    date date NOT NULL,
    PRIMARY KEY (tenant_id, date)
)

CREATE TABLE holiday_config (
    tenant_id bigint NOT NULL REFERENCES tenant,
    block_holidays boolean NOT NULL,
    last_synced_at timestamptz,
    PRIMARY KEY (tenant_id)
)

CREATE TABLE reminder_config (
    tenant_id bigint NOT NULL REFERENCES tenant,
    offsets int[],
    PRIMARY KEY (tenant_id)
)

CREATE SEQUENCE calendar_filter_number

CREATE TABLE calendar_filter (
    tenant_id bigint NOT NULL,
    id bigint NOT NULL DEFAULT nextval('calendar_filter_number'),
    member_id bigint NOT NULL,
    name text NOT NULL,
    provider_ids bigint[] NOT NULL,
    service_ids bigint[] NOT NULL,
    statuses text[] NOT NULL,
    is_default boolean NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, member_id) REFERENCES member (tenant_id, id) ON DELETE CASCADE
)

CREATE UNIQUE INDEX calendar_filter_name_key ON calendar_filter (tenant_id, member_id, lower(name))

CREATE UNIQUE INDEX calendar_filter_default_key ON calendar_filter (tenant_id, member_id) WHERE is_default

GRANT USAGE ON SEQUENCE closure_number, calendar_filter_number TO plixa_app, plixa_system

SELECT protect('provider_schedule'), protect('base_schedule'), protect('closure'), protect('reopened_day'),
    protect('holiday_config'), protect('reminder_config'), protect('calendar_filter')
"""

CALENDAR = """
CREATE SEQUENCE appointment_number

CREATE TABLE appointment (
    tenant_id bigint NOT NULL,
    id bigint NOT NULL,
    service_id bigint NOT NULL,
    service_name text NOT NULL,
    provider_id bigint NOT NULL,
    provider_name text NOT NULL,
    contact_id bigint,
    start_at timestamptz NOT NULL,
    end_at timestamptz NOT NULL,
    timezone text NOT NULL,
    day text COLLATE "C" NOT NULL,
    zone_version text NOT NULL,
    status text NOT NULL,
    notes text,
    source text NOT NULL,
    series_id bigint,
    occurrence bigint,
    resource_ids jsonb NOT NULL,
    owed bigint NOT NULL,
    currency text NOT NULL,
    payment_status text NOT NULL,
    arrived_at timestamptz,
    ended_at timestamptz,
    cancelled_reason text,
    answer text,
    conflict text,
    reminded_at timestamptz,
    first_start timestamptz NOT NULL,
    last_start timestamptz NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT appointment_pkey PRIMARY KEY (tenant_id, id)
) WITH (fillfactor = 80)

CREATE INDEX appointment_start ON appointment (tenant_id, start_at, id)

CREATE INDEX appointment_provider ON appointment (tenant_id, provider_id, start_at, id)

CREATE INDEX appointment_service ON appointment (tenant_id, service_id, start_at, id)

CREATE INDEX appointment_status ON appointment (tenant_id, status, start_at, id)

CREATE INDEX appointment_contact ON appointment (tenant_id, contact_id, start_at, id) WHERE contact_id IS NOT NULL

CREATE INDEX appointment_series ON appointment (tenant_id, series_id, occurrence) WHERE series_id IS NOT NULL

CREATE INDEX appointment_ever ON appointment
    USING gist (int8range(tenant_id, tenant_id, '[]'), tstzrange(first_start, last_start, '[]'))

CREATE TABLE external_busy (
    tenant_id bigint NOT NULL,
    provider_id bigint NOT NULL,
    event_id text NOT NULL,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, provider_id, event_id),
    FOREIGN KEY (tenant_id, provider_id) REFERENCES member (tenant_id, id) ON DELETE CASCADE
)

CREATE INDEX external_busy_ends ON external_busy (tenant_id, provider_id, ends_at)

GRANT USAGE ON SEQUENCE appointment_number TO plixa_app, plixa_system

SELECT protect('appointment'), protect('external_busy')
"""

TAKEN = """
CREATE TABLE hold (
    tenant_id bigint NOT NULL REFERENCES tenant,
    id bigint NOT NULL DEFAULT nextval('appointment_number'),
    service_id bigint NOT NULL,
    provider_id bigint NOT NULL,
    contact_id bigint,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    held_by text NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, service_id) REFERENCES service (tenant_id, id) ON DELETE CASCADE
)

CREATE TABLE provider_time (
    tenant_id bigint NOT NULL REFERENCES tenant,
    holder bigint NOT NULL,
    provider_id bigint NOT NULL,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    expires_at timestamptz,
    PRIMARY KEY (tenant_id, holder),
    CONSTRAINT provider_time_taken EXCLUDE USING gist (
        int8range(tenant_id, tenant_id, '[]') WITH &&,
        int8range(provider_id, provider_id, '[]') WITH &&,
        tstzrange(starts_at, ends_at) WITH &&
    ) DEFERRABLE INITIALLY IMMEDIATE
)

CREATE INDEX provider_time_ends ON provider_time (tenant_id, provider_id, ends_at) INCLUDE (starts_at)

CREATE TABLE resource_time (
    tenant_id bigint NOT NULL REFERENCES tenant,
    holder bigint NOT NULL,
    resource_id bigint NOT NULL,
    unit int NOT NULL,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    expires_at timestamptz,
    PRIMARY KEY (tenant_id, holder, resource_id),
    FOREIGN KEY (tenant_id, resource_id) REFERENCES resource (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT resource_time_taken EXCLUDE USING gist (
        int8range(tenant_id, tenant_id, '[]') WITH &&,
        int8range(resource_id, resource_id, '[]') WITH &&,
        int4range(unit, unit, '[]') WITH &&,
        tstzrange(starts_at, ends_at) WITH &&
    ) DEFERRABLE INITIALLY IMMEDIATE
)

CREATE INDEX resource_time_ends ON resource_time (tenant_id, resource_id, ends_at) INCLUDE (starts_at)

CREATE SEQUENCE waitlist_entry_number

CREATE TABLE waitlist_entry (
    tenant_id bigint NOT NULL REFERENCES tenant,
    id bigint NOT NULL DEFAULT nextval('waitlist_entry_number'),
    contact_id bigint NOT NULL,
    service_id bigint NOT NULL,
    provider_id bigint,
    preferred_from date,
    preferred_to date,
    notes text,
    status text NOT NULL CHECK (status IN ('waiting', 'offered', 'booked', 'expired', 'removed')),
    place bigint NOT NULL,
    offers int NOT NULL DEFAULT 0,
    passed timestamptz[] NOT NULL DEFAULT '{}',
    hold_id bigint,
    appointment_id bigint,
    notified_at timestamptz,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, contact_id) REFERENCES contact (tenant_id, id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, service_id) REFERENCES service (tenant_id, id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, provider_id) REFERENCES member (tenant_id, id) ON DELETE SET NULL (provider_id)
)

CREATE INDEX waitlist_entry_turn ON waitlist_entry (tenant_id, service_id, place, id) WHERE status = 'waiting'

CREATE INDEX waitlist_entry_contact ON waitlist_entry (tenant_id, contact_id, id)

CREATE INDEX waitlist_entry_status ON waitlist_entry (tenant_id, status, id)

CREATE UNIQUE INDEX waitlist_entry_hold ON waitlist_entry (tenant_id, hold_id) WHERE hold_id IS NOT NULL

CREATE INDEX waitlist_entry_service ON waitlist_entry (tenant_id, service_id, id)

GRANT USAGE ON SEQUENCE waitlist_entry_number TO plixa_app, plixa_system

SELECT protect('hold'), protect('provider_time'), protect('resource_time'), protect('waitlist_entry')
"""


def upgrade() -> None:
    for part in (CATALOG, TIMES, CALENDAR, TAKEN):
        for statement in part.strip().split("\n\n"):
            op.execute(statement)
