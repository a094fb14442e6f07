"""The knowledge base: help articles of the platform, what each was before, and how they are found."""

from alembic import op

revision = "0016"
down_revision = "0015"

ARTICLES = """
CREATE SEQUENCE article_number

CREATE TABLE article (
    tenant_id bigint NOT NULL CHECK (tenant_id = 0) REFERENCES tenant,
    id bigint NOT NULL DEFAULT nextval('article_number'),
    locale text NOT NULL CHECK (locale IN ('en', 'pt-BR', 'es')),
    slug text NOT NULL,
    title text NOT NULL,
    body text NOT NULL,
    excerpt text,
    category text NOT NULL,
    position int NOT NULL,
    status text NOT NULL CHECK (status IN ('draft', 'published')),
    words text NOT NULL,
    version int NOT NULL DEFAULT 1,
    author_id bigint NOT NULL,
    author_name text NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    published_at timestamptz,
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT article_slug_key UNIQUE (tenant_id, locale, slug)
)

CREATE INDEX article_public ON article (tenant_id, locale, position, id) WHERE status = 'published'

CREATE INDEX article_public_category ON article (tenant_id, locale, category, position, id) WHERE status = 'published'

CREATE INDEX article_words ON article USING gin (array_to_tsvector(string_to_array(words, ' ')))

CREATE TABLE article_version (
    tenant_id bigint NOT NULL,
    article_id bigint NOT NULL,
    version int NOT NULL,
    locale text NOT NULL,
    slug text NOT NULL,
    title text NOT NULL,
    body text NOT NULL,
    excerpt text,
    category text NOT NULL,
    position int NOT NULL,
    status text NOT NULL,
    author_id bigint NOT NULL,
    author_name text NOT NULL,
    saved_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, article_id, version),
    FOREIGN KEY (tenant_id, article_id) REFERENCES article (tenant_id, id) ON DELETE CASCADE
)

SELECT protect('article'), protect('article_version')

GRANT USAGE ON SEQUENCE article_number TO plixa_app, plixa_system
"""

SEARCH = """
CREATE FUNCTION find_articles(wanted tsquery) RETURNS SETOF bigint LANGUAGE sql STABLE ROWS 200
SECURITY DEFINER SET search_path = public AS $$
    SELECT id FROM article
    WHERE array_to_tsvector(string_to_array(words, ' ')) @@ wanted AND tenant_id = present_tenant()
$$

GRANT CREATE ON SCHEMA public TO plixa_system

ALTER FUNCTION find_articles(tsquery) OWNER TO plixa_system

REVOKE CREATE ON SCHEMA public FROM plixa_system

REVOKE ALL ON FUNCTION find_articles(tsquery) FROM PUBLIC

GRANT EXECUTE ON FUNCTION find_articles(tsquery) TO plixa_app
"""


def upgrade() -> None:
    for part in (ARTICLES, SEARCH):
        for statement in part.strip().split("\n\n"):
            op.execute(statement)
