"""What a unit of work leaves behind is saved whole or not at all, in two round trips where nothing was begun, and by whoever came first."""

import asyncio
import secrets
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plixa.inbox.domain.conversation import Conversation
from plixa.inbox.domain.events import Opened, Renamed
from plixa.kernel.errors import NotFound
from plixa.kernel.event_store import Actor, stream_id
from plixa.kernel.log import read_stream
from plixa.kernel.outbox import Effect
from plixa.kernel.uow import UnitOfWork, perform, working
from plixa.kernel.verify import verify_chain
from tests.kernel.diary import Begun, Diary, Written
from tests.support.world import Workspace

KEEP = "INSERT INTO counter (tenant_id, projection, key, value) VALUES ($1, 'test', $2, $3)"
ADD = """INSERT INTO counter (tenant_id, projection, key, value) VALUES ($1, 'test', $2, 1)
ON CONFLICT (tenant_id, projection, key) DO UPDATE SET value = counter.value + 1"""
CHANGE = "UPDATE counter SET value = $3 WHERE tenant_id = $1 AND projection = 'test' AND key = $2"
DROP = "DELETE FROM counter WHERE tenant_id = $1 AND projection = 'test' AND key = $2"
WAITING = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND $1::bigint IS NOT NULL"
KEPT = "SELECT key, value FROM counter WHERE tenant_id = $1 AND projection = 'test' ORDER BY key"
EVENTS = "SELECT version, actor->>'name' AS name, request_id FROM event WHERE tenant_id = $1 AND stream_id = $2 ORDER BY version"

ASIDE = "UPDATE inbox_conversation SET contact_name = 'Luiza', labels = '[7]' WHERE tenant_id = $1 AND id = $2"
SHOWN = "SELECT custom_name, contact_name, labels::text FROM inbox_conversation WHERE tenant_id = $1 AND id = $2"


def new_number() -> int:
    return secrets.randbelow(1 << 40)


async def begin(workspace: Workspace, number: int) -> None:
    """A diary of one page."""
    async with working(workspace.kernel, workspace.tenant) as uow:
        await perform(uow, lambda: start(uow, number))


async def start(uow: UnitOfWork, number: int) -> None:
    async with uow.create(Diary(number)) as diary:
        diary.record([Begun(), Written("1")])


async def write(uow: UnitOfWork, number: int) -> None:
    """One more page, numbered."""
    async with uow.edit(Diary, number) as diary:
        diary.record(Written(str(diary.state.pages + 1)))


async def texts(workspace: Workspace, number: int) -> list[str]:
    facts = await read_stream(workspace.kernel, workspace.tenant, stream_id("diary", number))
    return [fact.event.text for fact in facts if isinstance(fact.event, Written)]


async def kept(workspace: Workspace) -> dict[str, int]:
    return {row["key"]: row["value"] for row in await workspace.rows(KEPT)}


async def test_a_command_that_edits_is_two_round_trips(lucia_studios: Workspace) -> None:
    number, asked = new_number(), list[str]()
    await begin(lucia_studios, number)
    async with working(lucia_studios.kernel, lucia_studios.tenant) as uow:

        async def command() -> None:
            await write(uow, number)
            uow.also(KEEP, "edited", 1)
            uow.enqueue(Effect("test.effect", secrets.token_hex(8)))

        await perform(uow, command)
        connection = await uow.connection()
        with connection.query_logger(lambda query: asked.append(query.query)):
            uow.also(DROP, "edited")
            await write(uow, number)
            await uow.commit()
            await asyncio.sleep(0)  # asyncpg tells the logger a turn later
        assert len(asked) == 2
        assert uow.position == (await lucia_studios.rows("SELECT position FROM log_head WHERE tenant_id = $1"))[0]["position"]
    assert await texts(lucia_studios, number) == ["1", "2", "3"]


async def test_an_edit_that_changes_nothing_saves_nothing(lucia_studios: Workspace) -> None:
    number, asked = new_number(), list[str]()
    await begin(lucia_studios, number)
    async with working(lucia_studios.kernel, lucia_studios.tenant) as uow:
        connection = await uow.connection()
        with connection.query_logger(lambda query: asked.append(query.query)):
            async with uow.edit(Diary, number):
                pass
            await uow.commit()
            await asyncio.sleep(0)
    assert len(asked) == 1


@pytest.mark.parametrize("begun", [False, True])
async def test_all_of_it_is_saved_for_its_tenant_alone(lucia_studios: Workspace, other_tenant: Workspace, begun: bool) -> None:
    for workspace in (lucia_studios, other_tenant):
        async with working(workspace.kernel, workspace.tenant) as uow:
            for key in ("changed", "dropped", "left"):
                uow.also(KEEP, key, 1)
            await uow.commit()
    async with working(lucia_studios.kernel, lucia_studios.tenant) as uow:

        async def command() -> None:
            if begun:
                await uow.begin()
            uow.also(CHANGE, "changed", 2)
            uow.also(DROP, "dropped")
            uow.also(KEEP, "new", 3)
            await start(uow, new_number())

        await perform(uow, command)
    assert await kept(lucia_studios) == {"changed": 2, "left": 1, "new": 3}
    assert await kept(other_tenant) == {"changed": 1, "dropped": 1, "left": 1}


@pytest.mark.parametrize("begun", [False, True])
async def test_one_piece_that_is_refused_undoes_all(lucia_studios: Workspace, begun: bool) -> None:
    number = new_number()
    await begin(lucia_studios, number)
    async with working(lucia_studios.kernel, lucia_studios.tenant) as uow:

        async def command() -> None:
            if begun:
                await uow.begin()
            await write(uow, number)
            uow.also(KEEP, "fine", 1)
            uow.also("INSERT INTO counter (tenant_id, projection, key, value) VALUES ($1::bigint + 1, 'test', 'foreign', 1)")

        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await perform(uow, command)
    assert await kept(lucia_studios) == {}
    assert await texts(lucia_studios, number) == ["1"]


async def test_who_loses_a_race_decides_again_and_the_next_wait_their_turn(lucia_studios: Workspace) -> None:
    number, attempts = new_number(), list[bool]()
    await begin(lucia_studios, number)
    async with working(lucia_studios.kernel, lucia_studios.tenant) as slow, working(lucia_studios.kernel, lucia_studios.tenant) as quick:

        async def command() -> None:
            await write(slow, number)
            attempts.append(slow.begun)
            if len(attempts) == 1:
                await perform(quick, lambda: write(quick, number))

        await perform(slow, command)
        assert attempts == [False, True]
        async with quick.edit(Diary, number):
            assert quick.begun
        await quick.rollback()
    assert await texts(lucia_studios, number) == ["1", "2", "3"]


async def test_a_crowd_of_writers_loses_nothing(lucia_studios: Workspace) -> None:
    number = new_number()
    await begin(lucia_studios, number)

    async def one() -> None:
        async with working(lucia_studios.kernel, lucia_studios.tenant) as uow:
            await perform(uow, lambda: write(uow, number))

    await asyncio.gather(*(one() for _ in range(64)))
    assert await texts(lucia_studios, number) == [str(page) for page in range(1, 66)]


async def test_of_a_row_that_is_there_only_what_is_different_is_written(lucia_studios: Workspace) -> None:
    number = new_number()
    async with working(lucia_studios.kernel, lucia_studios.tenant) as uow:
        await perform(uow, lambda: open_conversation(uow, number))
        async with uow.edit(Conversation, number) as conversation:
            conversation.record(conversation.state.rename("Lu"))
        await lucia_studios.rows(f"{ASIDE} RETURNING id", number)
        await uow.commit()
        async with uow.edit(Conversation, number) as conversation:
            conversation.record(Renamed("Lu"))
        await uow.commit()
    (row,) = await lucia_studios.rows(SHOWN, number)
    assert row == {"custom_name": "Lu", "contact_name": "Luiza", "labels": "[7]"}


async def open_conversation(uow: UnitOfWork, number: int) -> None:
    async with uow.create(Conversation(number=number)) as conversation:
        conversation.record(Opened(1, 1, "5511987654321", "Luísa"))


async def test_what_happened_later_is_never_dated_earlier(lucia_studios: Workspace) -> None:
    number = new_number()
    async with working(lucia_studios.kernel, lucia_studios.tenant) as early:
        await begin(lucia_studios, number)
        await perform(early, lambda: write(early, number))
    facts = await read_stream(lucia_studios.kernel, lucia_studios.tenant, stream_id("diary", number))
    times = [fact.at for fact in facts]
    assert times == sorted(times)
    assert times[-1] <= datetime.now(UTC)


async def test_writers_of_both_kinds_never_wait_for_each_other_in_a_circle(lucia_studios: Workspace) -> None:
    attempts: list[int] = []

    async def one(place: int) -> None:
        async with working(lucia_studios.kernel, lucia_studios.tenant) as uow:

            async def command() -> None:
                if place % 2:
                    await uow.begin()
                uow.also(ADD, "a")
                uow.also(ADD, "b")
                await start(uow, new_number())
                attempts.append(uow.attempt)

            await perform(uow, command)

    await asyncio.gather(*(one(place) for place in range(24)))
    assert attempts == [0] * 24
    assert await kept(lucia_studios) == {"a": 24, "b": 24}


async def test_a_stream_that_is_not_there_is_not_found(lucia_studios: Workspace, other_tenant: Workspace) -> None:
    number = new_number()
    await begin(other_tenant, number)
    async with working(lucia_studios.kernel, lucia_studios.tenant) as uow:
        with pytest.raises(NotFound):
            await write(uow, number)


SAID = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
ODD = st.sampled_from(["'", "\\", "''; COMMIT; --", "$$", "E'\\x41'", "\\x27", "😀", "שלום", "\n\t", '"', "%s", ":name", "{}"])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.one_of(SAID, ODD), request=st.one_of(SAID, ODD), begun=st.booleans())
async def test_every_name_is_written_as_it_is(lucia_studios: Workspace, name: str, request: str, begun: bool) -> None:
    number = new_number()
    async with working(lucia_studios.kernel, lucia_studios.tenant, Actor("member", 7, name), request) as uow:

        async def command() -> None:
            if begun:
                await uow.begin()
            await start(uow, number)

        await perform(uow, command)
    rows: list[dict[str, Any]] = await lucia_studios.rows(EVENTS, stream_id("diary", number))
    assert [tuple(row.values()) for row in rows] == [(1, name, request), (2, name, request)]
    verdict = await verify_chain(lucia_studios.kernel.system, lucia_studios.tenant)
    assert verdict.fault is None


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("name", ["a\0b", "\ud800"])
async def test_what_postgresql_cannot_keep_is_refused_whole(lucia_studios: Workspace, name: str, begun: bool) -> None:
    number = new_number()
    async with working(lucia_studios.kernel, lucia_studios.tenant, Actor("member", 7, name)) as uow:

        async def command() -> None:
            if begun:
                await uow.begin()
            await start(uow, number)

        with pytest.raises((asyncpg.DataError, UnicodeEncodeError)):
            await perform(uow, command)
    assert await lucia_studios.rows(EVENTS, stream_id("diary", number)) == []


@pytest.mark.parametrize("begun", [False, True])
async def test_nothing_is_written_before_its_turn(lucia_studios: Workspace, begun: bool) -> None:
    kernel, tenant, lock = lucia_studios.kernel, lucia_studios.tenant, secrets.randbelow(1 << 62)
    async with working(kernel, tenant) as first, working(kernel, tenant) as second:
        await first.begin(lock)
        second.save_in_turn(lock)
        second.also(ADD, "turn")
        waiting = asyncio.create_task(second.execute(ADD, "turn") if begun else second.commit())
        while not await lucia_studios.rows(WAITING):
            assert not waiting.done()
        await first.execute(ADD, "turn")
        await first.commit()
        await waiting
        await second.commit()
    assert await kept(lucia_studios) == {"turn": 2 + begun}
