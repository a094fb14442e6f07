"""Events of several requests are appended in one call: the log's row is locked and written once, and the events are one insert."""

from alembic import op

revision = "0022"
down_revision = "0021"

APPEND = """
CREATE FUNCTION append_events(
    tenant bigint, streams uuid[], numbers bigint[], versions int[], topics text[], payloads bytea[], digests bytea[],
    moments timestamptz[], actors jsonb[], requests text[]
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    first_position bigint;
    last_position bigint;
    last_hash bytea;
    hashes bytea[] := '{}';
BEGIN
    SELECT h.position, h.hash INTO STRICT first_position, last_hash FROM log_head h WHERE h.tenant_id = tenant FOR UPDATE;
    last_position := first_position;
    FOR i IN 1 .. cardinality(streams) LOOP
        last_position := last_position + 1;
        last_hash := sha256(last_hash || int8send(last_position) || digests[i]);
        hashes[i] := last_hash;
    END LOOP;
    INSERT INTO event (tenant_id, position, stream_id, number, version, topic, payload, recorded_at, actor, request_id, hash)
    SELECT tenant, first_position + e.place, e.stream, e.number, e.version, e.topic, e.payload, e.moment, e.actor, e.request, e.hash
    FROM unnest(streams, numbers, versions, topics, payloads, moments, actors, requests, hashes)
        WITH ORDINALITY AS e(stream, number, version, topic, payload, moment, actor, request, hash, place);
    UPDATE log_head h SET position = last_position, hash = last_hash WHERE h.tenant_id = tenant;
    RAISE NOTICE 'plixa position %', last_position;
    RETURN last_position;
END $$
"""
"""The function of the same name with one moment, actor and request for all stays for the release before."""


def upgrade() -> None:
    op.execute(APPEND)
