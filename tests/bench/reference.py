"""The reference programs: handlers as small as can be, raw asyncpg and msgspec out.

No permissions, no events, no row-level security. Lists are one keyset query, a conversation two queries, writing is one
insert and a commit.
"""

import asyncio
import os
from datetime import datetime
from typing import Any

import asyncpg
import msgspec
from litestar import Litestar, Request, Response, get, post
from litestar.params import FromPath, FromQuery

from projections.inbox import inbox
from projections.messages import messages

DATABASE = "PLIXA_BENCH_DATABASE"
POOL = 10
TENANT = 1
OWNER = 1
LIMIT = 50
TABLE = """CREATE TABLE IF NOT EXISTS reference_message (
    tenant_id bigint NOT NULL, id bigint GENERATED ALWAYS AS IDENTITY, conversation_id bigint NOT NULL,
    body text NOT NULL, sent_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (tenant_id, id))"""
INSERT = "INSERT INTO reference_message (tenant_id, conversation_id, body) VALUES ($1, $2, $3) RETURNING id"
CONVERSATIONS = ", ".join(inbox.table.names)
MESSAGES = ", ".join(messages.table.names)
ORDER = "ORDER BY last_message_at DESC, id DESC LIMIT $2"
AWAKE = "(snoozed_until IS NULL OR snoozed_until <= now())"
VIEWS = {
    "all": f"status = 'open' AND {AWAKE}",
    "mine": f"status = 'open' AND assigned_user_id = {OWNER} AND {AWAKE}",
    "unassigned": f"status = 'open' AND assigned_user_id IS NULL AND {AWAKE}",
    "snoozed": "status = 'open' AND snoozed_until > now()",
    "closed": f"status = 'closed' AND {AWAKE}",
    "everything": AWAKE,
}
WORDS = "id IN (SELECT id FROM inbox_name WHERE array_to_tsvector(string_to_array(words, ' ')) @@ $3::text::tsquery)"
ONE = f"SELECT {CONVERSATIONS} FROM inbox_conversation WHERE tenant_id = $1 AND id = $2"
THREAD = f"SELECT {MESSAGES} FROM inbox_message WHERE tenant_id = $1 AND conversation_id = $2 ORDER BY sent_at DESC, id DESC LIMIT $3"


class Answer(msgspec.Struct):
    """What a reply needs."""

    body: str


def listing(condition: str) -> str:
    """A page under one more condition."""
    return f"SELECT {CONVERSATIONS} FROM inbox_conversation WHERE tenant_id = $1 AND {condition} {ORDER}"


def encoded(rows: Any, status: int = 200) -> Response[bytes]:
    """Rows as JSON."""
    return Response(msgspec.json.encode(rows), media_type="application/json", status_code=status)


@get("/list/{view:str}")
async def page(request: Request[Any, Any, Any], view: FromPath[str]) -> Response[bytes]:
    """The first page of a view."""
    rows = await request.app.state.pool.fetch(listing(VIEWS[view]), TENANT, LIMIT)
    return encoded([dict(row) for row in rows])


@get("/deep")
async def deep_page(request: Request[Any, Any, Any], at: FromQuery[datetime], number: FromQuery[int]) -> Response[bytes]:
    """The page after a conversation."""
    condition = f"{VIEWS['everything']} AND (last_message_at, id) < ($3, $4)"
    rows = await request.app.state.pool.fetch(listing(condition), TENANT, LIMIT, at, number)
    return encoded([dict(row) for row in rows])


@get("/find")
async def find(request: Request[Any, Any, Any], q: FromQuery[str]) -> Response[bytes]:
    """Conversations by a word of their name."""
    rows = await request.app.state.pool.fetch(listing(f"{VIEWS['all']} AND {WORDS}"), TENANT, LIMIT, q)
    return encoded([dict(row) for row in rows])


@get("/open/{number:int}")
async def conversation(request: Request[Any, Any, Any], number: FromPath[int]) -> Response[bytes]:
    """One conversation with its last messages."""
    async with request.app.state.pool.acquire() as connection:
        row = await connection.fetchrow(ONE, TENANT, number)
        rows = await connection.fetch(THREAD, TENANT, number, LIMIT)
    return encoded({"conversation": dict(row), "messages": [dict(one) for one in rows]})


@post("/reply/{number:int}")
async def reply(request: Request[Any, Any, Any], number: FromPath[int]) -> Response[bytes]:
    """Begin, one insert, commit."""
    data = msgspec.json.decode(await request.body(), type=Answer)
    async with request.app.state.pool.acquire() as connection, connection.transaction():
        message = await connection.fetchval(INSERT, TENANT, number, data.body)
    return encoded({"id": message}, 201)


@post("/webhook")
async def webhook(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Begin, one insert, commit."""
    body = await request.body()
    data = msgspec.json.decode(body)
    async with request.app.state.pool.acquire() as connection, connection.transaction():
        await connection.execute(INSERT, TENANT, len(data), body.decode())
    return encoded({})


async def connect(app: Litestar) -> None:
    """The pool."""
    settings = {"jit": "off"}
    app.state.pool = await asyncpg.create_pool(os.environ[DATABASE], min_size=POOL, max_size=POOL, server_settings=settings)


async def disconnect(app: Litestar) -> None:
    """Close the pool."""
    await app.state.pool.close()


app = Litestar(
    [page, deep_page, find, conversation, reply, webhook],
    on_startup=[connect],
    on_shutdown=[disconnect],
    openapi_config=None,
)


async def append_for(database_url: str, seconds: float, writers: int) -> float:
    """Begin, one insert, commit in this process, by ``writers`` at once; commits a second."""
    done = 0
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds

    async def write(connection: "asyncpg.Connection[Any]", number: int) -> None:
        nonlocal done
        while loop.time() < end:
            async with connection.transaction():
                await connection.execute(INSERT, TENANT, number, "Pode ser às 15h?")
            done += 1

    connections = [await asyncpg.connect(database_url) for _ in range(writers)]
    try:
        await asyncio.gather(*(write(connection, number) for number, connection in enumerate(connections)))
    finally:
        for connection in connections:
            await connection.close()
    return done / seconds
