"""API tokens as their owner sees them: never the token, only how it begins."""

from datetime import datetime
from typing import Final

import asyncpg
from msgspec import Struct

from plixa.kernel.cursor import decode, encode
from plixa.kernel.envelope import Page
from plixa.kernel.event_store import Person
from plixa.kernel.paging import Paging
from plixa.kernel.uow import UnitOfWork

NAMED: Final = "api:"
"""How the stored name of every API token begins."""
LAST: Final = 2**63 - 1
TOKENS: Final = """
SELECT a.id, a.name, a.abilities, a.prefix, a.last_used_at, a.expires_at, a.created_at, m.id AS maker_id, m.name AS maker
FROM access_token a JOIN member m ON m.tenant_id = a.tenant_id AND m.id = a.member_id
WHERE a.tenant_id = scope.tenant AND a.kind = 'api' AND a.id < $2 ORDER BY a.id DESC LIMIT $3
"""


class ApiTokenView(Struct, frozen=True):
    """``token_prefix`` is the beginning of the secret; ``expires_at`` null is never; ``last_used_at`` is right to the minute."""

    id: int
    name: str
    abilities: list[str]
    token_prefix: str
    last_used_at: datetime | None
    expires_at: datetime | None
    created_at: datetime
    created_by: Person


class NewApiTokenView(ApiTokenView, frozen=True):
    """A new token; the plain text is shown this once."""

    plain_text_token: str


async def list_api_tokens(uow: UnitOfWork, paging: Paging) -> tuple[list[ApiTokenView], Page]:
    """The workspace's, newest first, expired ones too."""
    before = decode(paging.cursor, (int,))[0] if paging.cursor else LAST
    rows = await uow.fetch(TOKENS, before, paging.limit + 1)
    shown = [token_view(row) for row in rows[: paging.limit]]
    return shown, Page(encode((shown[-1].id,)) if len(rows) > paging.limit else None, paging.limit)


def token_view(row: asyncpg.Record) -> ApiTokenView:
    """A row of ``TOKENS``."""
    name, times = row["name"].removeprefix(NAMED), (row["last_used_at"], row["expires_at"], row["created_at"])
    return ApiTokenView(row["id"], name, row["abilities"], row["prefix"], *times, Person(row["maker_id"], row["maker"]))
