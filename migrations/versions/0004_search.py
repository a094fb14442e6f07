"""Search that looks no further than it must: texts are indexed in blocks of message ids, rows of the inbox hold their names' words.

An index of whole texts yields every hit there ever was before the newest fifty are known. Lexemes that begin with their block
(``15/42/maria``) let ``find_texts`` ask for the newest blocks first. The index is built anew and every row of ``inbox_conversation``
written once: writers of these two tables wait for as long as that takes, about ten seconds for a million messages.
"""

from alembic import op

revision = "0004"
down_revision = "0003"

NAMES = """
ALTER TABLE inbox_conversation ADD COLUMN words text NOT NULL DEFAULT ''

UPDATE inbox_conversation c SET words = array_to_string(split.lexemes[1 : coalesce(split.phone - 1, cardinality(split.lexemes))], ' ')
FROM inbox_name n, LATERAL (
    SELECT string_to_array(n.words, ' ') AS lexemes, (
        SELECT max(place) FROM unnest(array_positions(string_to_array(n.words, ' '), n.tenant_id::text || '/' || n.phone)) AS place
        WHERE length(n.phone) >= 4
    ) AS phone
) split
WHERE n.tenant_id = c.tenant_id AND n.id = c.id AND n.words <> ''
"""
"""Behind the words of the names stand the endings of the phone, the whole of it first."""

TEXTS = """
DROP FUNCTION find_texts(tsquery, bigint, int, bigint)

DROP INDEX inbox_text_words

CREATE FUNCTION block_lexemes(id bigint, words text) RETURNS tsvector LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN array_to_tsvector(CASE WHEN words = '' THEN '{}'
    ELSE string_to_array((id >> 17)::text || '/' || replace(words, ' ', ' ' || (id >> 17)::text || '/'), ' ') END)

CREATE INDEX inbox_text_words ON inbox_text USING gin (block_lexemes(id, words)) WITH (gin_pending_list_limit = 512)
"""

FIND_TEXTS = r"""
CREATE FUNCTION find_texts(wanted text[], before bigint, most int, member bigint) RETURNS SETOF bigint LANGUAGE plpgsql STABLE ROWS 50
SECURITY DEFINER SET search_path = public AS $$
DECLARE
    tenant bigint := present_tenant();
    patterns text[] := ARRAY(SELECT '%' || replace(word, '_', '\_') || '%' FROM unnest(wanted) AS word);
    telling text[] := wanted;
    found bigint[] := '{}';
    missing int := most;
    edge bigint := before; -- whatever is not below is done
    depth bigint := 2000;
    looked bigint := 0;
    newest bigint;
    lowest bigint;
    block bigint;
    blocks bigint := 1;
    query tsquery;
BEGIN
    -- Words that many messages have: the newest messages one by one, deeper where some thousands promise to be enough.
    LOOP
        found := found || ARRAY(
            SELECT t.id FROM (
                SELECT * FROM inbox_text WHERE tenant_id = tenant AND id < edge ORDER BY id DESC LIMIT depth
            ) t
            WHERE strpos(t.words, wanted[1]) > 0 AND t.words LIKE ALL (patterns) AND (member IS NULL OR EXISTS (
                SELECT FROM inbox_conversation c WHERE c.tenant_id = tenant AND c.id = t.conversation_id
                AND (c.assigned_user_id IS NULL OR c.assigned_user_id = member)))
            ORDER BY t.id DESC LIMIT missing);
        missing := most - cardinality(found);
        IF missing > 0 THEN
            edge := (SELECT t.id FROM inbox_text t WHERE t.tenant_id = tenant AND t.id < edge ORDER BY t.id DESC OFFSET depth - 1 LIMIT 1);
        END IF;
        IF missing = 0 OR edge IS NULL THEN
            RETURN QUERY SELECT unnest(found);
            RETURN;
        END IF;
        looked := looked + depth;
        depth := greatest(looked, looked * 3 * missing / (2 * cardinality(found) + 1));
        EXIT WHEN depth > 12000;
    END LOOP;
    -- The index is asked for the words that tell most: reading a row costs some ten times what an entry does.
    IF cardinality(wanted) > 1 THEN
        telling := ARRAY(
            WITH counted AS (
                SELECT word, count(*) FILTER (WHERE strpos(sample.words, word) > 0) AS rows FROM unnest(wanted) AS word CROSS JOIN (
                    SELECT t.words FROM inbox_text t WHERE t.tenant_id = tenant AND t.id < before ORDER BY t.id DESC LIMIT 1000
                ) sample GROUP BY word
            )
            SELECT word FROM counted WHERE rows <= 30 + 10 * (SELECT min(rows) FROM counted));
    END IF;
    SELECT max(t.id), min(t.id) >> 17 INTO newest, lowest FROM inbox_text t WHERE t.tenant_id = tenant AND t.id < before;
    block := (edge - 1) >> 17;
    WHILE missing > 0 AND block >= lowest LOOP
        blocks := least(blocks, block - lowest + 1, 256);
        query := (
            SELECT string_agg((SELECT string_agg(format('''%s/%s'':*', b, word), ' & ') FROM unnest(telling) AS word), ' | ')
            FROM generate_series(block - blocks + 1, block) AS b)::tsquery;
        found := found || ARRAY(
            WITH hits AS MATERIALIZED (
                SELECT t.tenant_id, t.id, t.conversation_id FROM inbox_text t
                WHERE block_lexemes(t.id, t.words) @@ query AND t.words LIKE ALL (patterns)
            )
            SELECT hits.id FROM hits WHERE hits.tenant_id = tenant AND hits.id < edge AND (member IS NULL OR EXISTS (
                SELECT FROM inbox_conversation c WHERE c.tenant_id = tenant AND c.id = hits.conversation_id
                AND (c.assigned_user_id IS NULL OR c.assigned_user_id = member)))
            ORDER BY hits.id DESC LIMIT missing);
        missing := most - cardinality(found);
        block := block - blocks;
        -- As many blocks next as it should take, going by what was found so far.
        blocks := least(4 * blocks, 1 + (newest - ((block + 1) << 17)) * missing * 5 / (cardinality(found) * 4 + 1) / (1 << 17));
    END LOOP;
    RETURN QUERY SELECT unnest(found);
END $$

GRANT CREATE ON SCHEMA public TO plixa_system

ALTER FUNCTION find_texts(text[], bigint, int, bigint) OWNER TO plixa_system

REVOKE CREATE ON SCHEMA public FROM plixa_system

REVOKE ALL ON FUNCTION find_texts(text[], bigint, int, bigint) FROM PUBLIC

GRANT EXECUTE ON FUNCTION find_texts(text[], bigint, int, bigint) TO plixa_app
"""
"""Exact, the newest first: how far is looked and how many blocks are asked at once only decides what it costs."""


def upgrade() -> None:
    for part in (NAMES, TEXTS, FIND_TEXTS):
        for statement in part.strip().split("\n\n"):
            op.execute(statement)
