"""What staff keep for answering tickets: tags, and replies they give often. They are the platform's, not a workspace's."""

from collections.abc import Collection
from datetime import datetime
from typing import Final

from msgspec import Struct

from plixa.kernel.database import Database
from plixa.kernel.errors import Invalid, NotFound
from plixa.kernel.event_store import Person
from plixa.kernel.uow import UnitOfWork

TAGS: Final = """SELECT g.id, g.name FROM ticket_tag g
WHERE g.tenant_id = scope.tenant AND ($2::bigint IS NULL OR g.id = $2) ORDER BY lower(g.name)"""
CARRYING: Final = "SELECT key, sum(value)::bigint FROM counter WHERE projection = 'ticket' AND key = ANY($1::text[]) GROUP BY key"
NAMED: Final = "SELECT id, name FROM ticket_tag WHERE tenant_id = 0 AND id = ANY($1::bigint[])"
TAGGED: Final = """SELECT tenant_id, id FROM ticket WHERE tags <> '[]' AND tags @> to_jsonb($1::bigint) AND id > $2
ORDER BY id LIMIT 100"""
REPLIES: Final = """SELECT id, title, body, updated_at FROM canned_reply
WHERE tenant_id = scope.tenant AND ($2::bigint IS NULL OR id = $2) ORDER BY lower(title), id"""
PERSON: Final = "SELECT id, name FROM member WHERE tenant_id = 0 AND id = $1 AND deactivated_at IS NULL"


class TagView(Struct, frozen=True):
    """A tag that tickets carry."""

    id: int
    name: str


class CountedTagView(TagView, frozen=True):
    """A tag, and how many tickets carry it."""

    tickets_count: int


class CannedReplyView(Struct, frozen=True):
    """An answer that is given often."""

    id: int
    title: str
    body: str
    updated_at: datetime


async def list_tags(uow: UnitOfWork, number: int | None = None) -> list[CountedTagView]:
    """All tags by name, or only one."""
    rows = await uow.fetch(TAGS, number)
    async with uow.kernel.system.connection() as connection:
        carrying = dict(map(tuple, await connection.fetch(CARRYING, [f"tag:{row['id']}" for row in rows])))
    return [CountedTagView(row["id"], row["name"], carrying.get(f"tag:{row['id']}", 0)) for row in rows]


async def get_tag(uow: UnitOfWork, number: int) -> CountedTagView:
    """One; raises NotFound."""
    found = await list_tags(uow, number)
    if not found:
        raise NotFound("There is no such tag.")
    return found[0]


async def find_tags(system: Database, numbers: Collection[int]) -> dict[int, TagView]:
    """Those of the tags that there are, by id."""
    if not numbers:
        return {}
    async with system.connection() as connection:
        return {row["id"]: TagView(*row) for row in await connection.fetch(NAMED, list(numbers))}


async def refuse_unknown_tags(system: Database, numbers: Collection[int]) -> None:
    """Raises Invalid unless there are all of these tags."""
    missing = set(numbers) - (await find_tags(system, numbers)).keys()
    if missing:
        raise Invalid.field("tag_ids", f"There are no such tags: {', '.join(map(str, sorted(missing)))}.")


async def list_tickets_tagged(system: Database, tag: int, after: int) -> list[tuple[int, int]]:
    """The next hundred tickets that carry a tag, by workspace and number."""
    async with system.connection() as connection:
        return [(row["tenant_id"], row["id"]) for row in await connection.fetch(TAGGED, tag, after)]


async def list_canned_replies(uow: UnitOfWork, number: int | None = None) -> list[CannedReplyView]:
    """All of them by title, or only one."""
    return [CannedReplyView(*row) for row in await uow.fetch(REPLIES, number)]


async def get_canned_reply(uow: UnitOfWork, number: int) -> CannedReplyView:
    """One; raises NotFound."""
    found = await list_canned_replies(uow, number)
    if not found:
        raise NotFound("There is no such canned reply.")
    return found[0]


async def get_colleague(system: Database, number: int) -> Person:
    """Somebody of the staff to whom a ticket may be given; raises Invalid."""
    async with system.connection() as connection:
        row = await connection.fetchrow(PERSON, number)
    if row is None:
        raise Invalid.field("admin_id", "There is no such staff person.")
    return Person(*row)
