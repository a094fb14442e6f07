"""Databases of size in seconds: the few rows of one workspace many times over, most of them in other workspaces."""

from typing import Any

import asyncpg
from msgspec import Struct

SIZE = 10_000
"""Rows of every table, a fifth of them the workspace's own where a list goes through them page by page."""
OTHERS = 19
"""Workspaces the rest belongs to."""
BASE = 1_000_000
"""Ids count from here."""
TABLES = """SELECT t.relname AS name, t.oid AS oid,
    EXISTS (SELECT FROM pg_constraint c WHERE c.conrelid = t.oid AND c.condeferrable AND c.contype IN ('u', 'x')) AS is_deferrable
FROM pg_class t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attname = 'tenant_id'
WHERE t.relkind = 'r' AND t.relnamespace = 'public'::regnamespace ORDER BY 1"""
COLUMNS = """SELECT a.attname AS name, format_type(a.atttypid, NULL) AS type, EXISTS (
    SELECT FROM pg_index i WHERE i.indrelid = a.attrelid AND i.indisunique AND a.attnum = ANY(i.indkey)) AS is_key
FROM pg_attribute a WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''"""
CLONE = """INSERT INTO {table} ({names}) OVERRIDING SYSTEM VALUE
SELECT {values} FROM generate_series(1, $2::bigint) AS n
CROSS JOIN LATERAL (SELECT n / 5 AS k, {tenant} AS tenant) AS place
JOIN (SELECT t.*, row_number() OVER () - 1 AS nth_row, count(*) OVER () AS of_rows FROM {table} t WHERE tenant_id = $1) AS t
    ON t.nth_row = n % t.of_rows
CROSS JOIN LATERAL jsonb_populate_record(NULL::{table}, to_jsonb(t) || jsonb_build_object({changes})) AS made"""
VARIED = {
    "bigint": f"{BASE} + n",
    "integer": f"{BASE} + n",
    "text": "t.{column} || n",
    "bytea": "sha256(t.{column} || n::text::bytea)",
    "uuid": "md5(t.{column}::text || n)",
    "timestamp with time zone": "t.{column} - n * interval '1 second'",
}
"""What becomes of a value that may stand only once, and of every time."""
TIME = "timestamp with time zone"


class Crowd(Struct, frozen=True):
    """Whose rows become many. ``own``: tables in which many are the workspace's; ``platform``: those of tenant 0, all of whose rows are.

    ``changes``: by table and column, SQL for what stands in it: ``n`` counts rows, ``k`` the workspace's, ``tenant`` is whose a row is.
    """

    tenant: int
    own: frozenset[str]
    platform: frozenset[str]
    changes: dict[str, dict[str, str]]

    async def gather(self, url: str) -> None:
        """Fill every table in which the workspace has a row."""
        connection = await asyncpg.connect(url)
        try:
            await connection.execute("SET session_replication_role = replica; SET synchronous_commit = off; SET jit = off")
            for table in await connection.fetch(TABLES):
                columns = await connection.fetch(COLUMNS, table["oid"])
                statement = self.clone(table["name"], columns) + ("" if table["is_deferrable"] else " ON CONFLICT DO NOTHING")
                await connection.execute(statement, 0 if table["name"] in self.platform else self.tenant, SIZE)
            await connection.execute("VACUUM ANALYZE")
        finally:
            await connection.close()

    def clone(self, table: str, columns: "list[asyncpg.Record]") -> str:
        """The statement that fills a table."""
        varied = {
            one["name"]: VARIED[one["type"]].format(column=one["name"])
            for one in columns
            if one["type"] == TIME or (one["is_key"] and one["type"] in VARIED)
        }
        keys = {one["name"] for one in columns if one["is_key"] and one["name"] in varied}
        changes = varied | self.changes.get(table, {}) | {"tenant_id": "tenant"}
        told = ", ".join(f"'{column}', {value}" for column, value in changes.items())
        names, values = (", ".join(f'{prefix}"{one["name"]}"' for one in columns) for prefix in ("", "made."))
        return CLONE.format(table=table, tenant=self.whose(table, keys), changes=told, names=names, values=values)

    def whose(self, table: str, keys: set[str]) -> str:
        """SQL for the workspace of the ``n``-th row; ``keys`` differ from row to row."""
        if table in self.platform:
            return "0"
        if not keys - {"tenant_id"} or table == "tenant":
            return f"{BASE} + n"
        others = f"{BASE} + 1 + n % {OTHERS}"
        return f"CASE WHEN n % 5 = 0 THEN $1::bigint ELSE {others} END" if table in self.own else others


async def sizes(connection: "asyncpg.Connection[Any]") -> dict[str, int]:
    """How many rows the tables of workspaces have."""
    query = f"SELECT t.name, c.reltuples::bigint AS rows FROM ({TABLES}) t JOIN pg_class c ON c.oid = t.oid"
    return {row["name"]: row["rows"] for row in await connection.fetch(query)}
