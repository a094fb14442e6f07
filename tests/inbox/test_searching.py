"""Searching many messages: whatever way it takes through them, it finds every one, the newest first, and of one workspace only."""

import re
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from plixa.inbox.queries.messages import FOUND, NEWEST
from plixa.kernel.database import APP_ROLE
from plixa.kernel.rebuild import rebuild
from plixa.kernel.search import beginnings, lexemes
from plixa.kernel.settings import Settings
from plixa.kernel.tenancy import scoped
from projections.registry import BY_NAME
from tests.inbox.desk import Desk

TENANT, OTHER = 7, 77
STEP = 24
"""Between the ids of one workspace's messages: others write too. So the texts below are spread over six blocks of the index."""
LAST = 30_000
ME, THEM = 3, 4
CONVERSATIONS = """INSERT INTO inbox_conversation
(tenant_id, id, contact_id, phone_instance_id, status, handler, episode, assigned_user_id, labels, unread_count,
    last_message_at, opened_at, updated_at)
SELECT $1, id, 1, 1, 'open', 'none', 1, (ARRAY[NULL, 3, 4, 4])[id % 4 + 1], '[]', 0, now(), now(), now()
FROM generate_series(1, 40) AS id"""
NAME_ROWS = "SELECT * FROM inbox_name WHERE tenant_id = $1 ORDER BY id"
FORGET_NOTES = "UPDATE inbox_name SET notes = NULL, words = '' WHERE tenant_id = $1"
QUERIES = """comum|comu|frequente|ordin|raro|unico|ausente|antigo|novo|comum antigo|raro comum|unico frequente|ordinario raro
frequente ordinario comum|com_m|a_b|ab|ação|7|oi""".replace("\n", "|").split("|")


def said(number: int) -> str:
    """The ``number``-th text, the first is the oldest."""
    words = ["oi"]
    words += ["comum"] * (number % 3 == 0) + ["Frequente"] * (number % 40 == 7) + ["ordinário"] * (number % 300 == 9)
    words += ["raro"] * (number % 2_000 == 9) + ["único"] * (number == 15_007) + ["a_b"] * (number % 5_000 == 1) + ["AÇÃO"] * (number == 2)
    words += ["antigo"] * (number < 200) + ["novo"] * (number > LAST - 60)
    return " ".join(words)


@pytest.fixture
async def texts(fresh_database: str) -> AsyncIterator["asyncpg.Connection[Any]"]:
    connection = await asyncpg.connect(fresh_database)
    for tenant, shift in ((TENANT, 0), (OTHER, 5)):
        records = [(tenant, n * STEP + shift, n % 40 + 1, lexemes(tenant, said(n)), False) for n in range(1, LAST + 1)]
        columns = ["tenant_id", "id", "conversation_id", "words", "revoked"]
        await connection.copy_records_to_table("inbox_text", records=records, columns=columns)
        await connection.execute(CONVERSATIONS, tenant)
    await connection.execute("ANALYZE")
    await connection.execute(f"SET ROLE {APP_ROLE}")
    yield connection
    await connection.close()


def expected(query: str, member: int | None) -> list[int]:
    """By looking at every text there is."""
    wanted = [re.compile(rf"(^| ){re.escape(one.removeprefix(f'{TENANT}/'))}") for one in beginnings(TENANT, query)]
    spoken = [(n, lexemes(TENANT, said(n)).replace(f"{TENANT}/", "")) for n in range(LAST, 0, -1)]
    seen = [(n, words) for n, words in spoken if member is None or (None, ME, THEM, THEM)[(n % 40 + 1) % 4] in (None, member)]
    return [n * STEP for n, words in seen if all(one.search(words) for one in wanted)]


@pytest.mark.parametrize("member", [None, ME], ids=["everybody", "restricted"])
async def test_every_page_of_every_kind_of_search_is_what_it_should_be(texts: "asyncpg.Connection[Any]", member: int | None) -> None:
    for query in QUERIES:
        right = expected(query, member)
        found: list[int] = []
        before = NEWEST
        for most in (51, 8, 101, 51, 51):
            page = await texts.fetch(scoped(FOUND), TENANT, beginnings(TENANT, query), before, most, member)
            assert [row["id"] for row in page] == right[len(found) : len(found) + most], (query, before)
            found += [row["id"] for row in page]
            before = found[-1] if page else before


async def test_many_hits_that_end_suddenly_are_not_the_end_of_the_search(texts: "asyncpg.Connection[Any]") -> None:
    """Sixty newest texts have the word, all others have it not, but for one of the first."""
    await texts.execute("RESET ROLE")
    await texts.execute("UPDATE inbox_text SET words = words || ' 7/novo' WHERE tenant_id = $1 AND id = $2", TENANT, 5 * STEP)
    await texts.execute(f"SET ROLE {APP_ROLE}")
    page = await texts.fetch(scoped(FOUND), TENANT, beginnings(TENANT, "novo"), NEWEST, 101, None)
    assert [row["id"] for row in page] == [*expected("novo", None), 5 * STEP]


@pytest.mark.parametrize("limit", [1, 2, 50])
async def test_words_of_notes_find_conversations_among_those_that_are_found_by_name(desk: Desk, limit: int) -> None:
    """Short pages are met by looking through the newest, long ones come from the index."""
    numbers = [(await desk.open(f"551198765100{place}", name=name))["id"] for place, name in enumerate(("Bia Sá", "Bia", "Rui", "Eva"))]
    await desk.do("PATCH", f"/{numbers[2]}", json={"notes": "Irmã da Bia: ALERGIA a níquel, sala 207"})
    await desk.do("PATCH", f"/{numbers[3]}", json={"notes": "Prefere tardes"})
    for q, places in (("bia", [2, 1, 0]), ("níq", [2]), ("rui alergia", [2]), ("207", [2]), ("bia tardes", []), ("ta", [3])):
        assert [one["id"] for one in await desk.all(q=q, limit=limit)] == [numbers[place] for place in places], q
    await desk.do("PATCH", f"/{numbers[2]}", json={"contact_name": "Rui Melo", "notes": None})
    for q, places in (("bia", [1, 0]), ("alergia", []), ("melo", [2])):
        assert [one["id"] for one in await desk.all(q=q, limit=limit)] == [numbers[place] for place in places], q


async def test_a_rebuild_finds_notes_written_before_they_were_searched(desk: Desk, settings: Settings) -> None:
    number = (await desk.open(name="Rui"))["id"]
    await desk.do("PATCH", f"/{number}", json={"notes": "Paga em dia", "contact_name": "Rui Melo"})
    written = await desk.workspace.rows(NAME_ROWS)
    async with desk.workspace.kernel.system.connection() as connection:
        await connection.execute(FORGET_NOTES, desk.workspace.tenant)
    assert await desk.all(q="paga") == []
    await rebuild(settings, BY_NAME["inbox"], tenant=desk.workspace.tenant)
    assert await desk.workspace.rows(NAME_ROWS) == written
    assert [one["id"] for one in await desk.all(q="paga")] == [number]


async def test_internal_notes_of_a_thread_are_found_like_messages(desk: Desk) -> None:
    number = (await desk.open())["id"]
    note = await desk.do("POST", f"/{number}/messages", json={"body": "Só atende à tarde", "type": "note"})
    assert [one["id"] for one in await desk.do("GET", "/search?q=so+aten")] == [note["id"]]
