"""The log is read whole and in order, and whatever was done to it behind our back is found."""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import pytest
from msgspec.structs import replace

from plixa.kernel.event_store import SYSTEM, Actor, stream_id
from plixa.kernel.log import read_log, read_stream, reading
from plixa.kernel.uow import Kernel
from plixa.kernel.verify import ALTERED, FORGED, HEAD_DIFFERS, MISSING, Fault, Verdict, verify_chain
from tests.kernel import diary
from tests.kernel.diary import ANA, Begun, Burnt, Library, Written


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with diary.database(tmp_path_factory.mktemp("home")) as url:
        yield url


@pytest.fixture(scope="module")
async def kernel(url: str) -> AsyncIterator[Kernel]:
    async with diary.opened(url) as kernel:
        yield kernel


@pytest.fixture
async def library(kernel: Kernel, url: str) -> Library:
    """Two diaries, four events each, written in turns; then a third one, burnt: ten events."""
    library = await Library(kernel, url).found()
    await library.begin(1, ["Monday"])
    await library.begin(2, ["Segunda"])
    await library.write(1, "Tuesday", "Wednesday")
    await library.write(2, "Terça", "Quarta", actor=SYSTEM)
    await library.begin(3)
    await library.burn(3)
    return library


class TestReading:
    async def test_events_come_in_order_with_who_when_and_where(self, library: Library) -> None:
        facts = await read_log(library.kernel, library.tenant, 0)
        assert [fact.position for fact in facts] == [1, 2, 3, 4, 5, 6, 7, 8, 10]
        assert facts[1].event == Written("Monday")
        assert (facts[1].number, facts[1].version, facts[1].stream_id) == (1, 2, stream_id("diary", 1))
        assert (facts[1].actor, facts[1].request_id, facts[1].tenant) == (ANA, "diary", library.tenant)
        assert facts[6].actor == SYSTEM
        assert facts[0].at.utcoffset() == timedelta(0)

    async def test_an_erased_stream_says_only_that_it_was_erased(self, library: Library) -> None:
        (burnt,) = await read_stream(library.kernel, library.tenant, stream_id("diary", 3))
        assert (burnt.event, burnt.position, burnt.version) == (Burnt(), 10, 2)

    async def test_reading_goes_on_behind_a_position(self, library: Library) -> None:
        facts = await read_log(library.kernel, library.tenant, 4, 2)
        assert [fact.position for fact in facts] == [5, 6]

    async def test_topics_are_chosen_and_nothing_between_is_read_again(self, library: Library) -> None:
        async with reading(library.kernel, library.tenant) as log:
            first = await log.read(0, 2, [Begun.TOPIC])
            rest = await log.read(first.through, 2, [Begun.TOPIC])
        assert ([fact.position for fact in first.facts], first.through, first.full) == ([1, 3], 3, True)
        assert (rest.facts, rest.through, rest.full) == ([], 10, False)

    async def test_a_log_that_ends_erased_is_read_to_its_head(self, library: Library) -> None:
        await library.tamper("DELETE FROM stream_key WHERE tenant_id = $1")
        async with reading(library.kernel, library.tenant) as log:
            batch = await log.read(0, 5)
        assert ([fact.event for fact in batch.facts], batch.through, batch.full) == ([Burnt()], 10, False)

    async def test_a_stream_is_read_as_it_was(self, library: Library) -> None:
        facts = await read_stream(library.kernel, library.tenant, stream_id("diary", 1))
        assert [fact.version for fact in facts] == [1, 2, 3, 4]
        then = facts[1].at
        assert await read_stream(library.kernel, library.tenant, stream_id("diary", 1), then) == facts[:2]
        long_before = then - timedelta(days=1)
        assert await read_stream(library.kernel, library.tenant, stream_id("diary", 1), long_before) == []

    async def test_a_clock_set_back_does_not_let_the_future_in(self, library: Library) -> None:
        facts = await read_stream(library.kernel, library.tenant, stream_id("diary", 1))
        early = "UPDATE event SET recorded_at = recorded_at - interval '1 day' WHERE tenant_id = $1 AND position = 6"
        await library.tamper(early)
        seen = await read_stream(library.kernel, library.tenant, stream_id("diary", 1), facts[1].at)
        assert [fact.version for fact in seen] == [1, 2]

    async def test_another_tenant_reads_nothing(self, library: Library) -> None:
        stranger = await Library(library.kernel, library.url).found()
        assert await read_log(library.kernel, stranger.tenant, 0) == []
        assert await read_stream(library.kernel, stranger.tenant, stream_id("diary", 1)) == []

    async def test_the_system_role_reads_one_tenant_at_a_time(self, library: Library) -> None:
        stranger = await Library(library.kernel, library.url).found()
        await stranger.begin(1)
        system = replace(library.kernel, database=library.kernel.system)
        assert len(await read_log(system, stranger.tenant, 0)) == 1


class TestProving:
    async def test_an_untouched_log_is_proven_up_to_its_head(self, library: Library) -> None:
        seen: list[tuple[int, int]] = []
        verdict = await verify_chain(library.kernel.system, library.tenant, lambda *done: seen.append(done))
        assert (verdict.fault, verdict.proven, verdict.position) == (None, 10, 10)
        assert len(verdict.hash) == 32
        assert seen == [(10, 10)]

    async def test_an_empty_log_is_sound(self, kernel: Kernel, url: str) -> None:
        library = await Library(kernel, url).found()
        assert await verify_chain(kernel.system, library.tenant) == Verdict(library.tenant, 0, bytes(32), 0)

    async def test_actors_of_every_alphabet_are_proven(self, library: Library) -> None:
        await library.write(1, "…", actor=Actor("member", 2**53, 'João "Zé" 🙂 \\ é'))
        assert (await verify_chain(library.kernel.system, library.tenant)).fault is None

    @pytest.mark.parametrize(
        "change",
        [
            "payload = set_byte(payload, 20, get_byte(payload, 20) # 1)",
            "hash = set_byte(hash, 31, get_byte(hash, 31) # 1)",
            "topic = 'diary.begun'",
            "request_id = 'other'",
            "recorded_at = recorded_at + interval '1 microsecond'",
            'actor = \'{"id": 8, "name": "Ana", "type": "member"}\'',
            "actor = '1e999'",
            "version = 99",
        ],
    )
    async def test_one_altered_value_is_found(self, library: Library, change: str) -> None:
        await library.tamper(f"UPDATE event SET {change} WHERE tenant_id = $1 AND position = 4")
        assert await fault(library) == Fault(4, ALTERED)

    async def test_a_deleted_event_is_found(self, library: Library) -> None:
        await library.tamper("DELETE FROM event WHERE tenant_id = $1 AND position = 5")
        assert await fault(library) == Fault(5, MISSING)

    async def test_two_swapped_events_are_found(self, library: Library) -> None:
        swap = "UPDATE event SET position = $2 WHERE tenant_id = $1 AND position = $3"
        for target, source in ((-1, 2), (2, 6), (6, -1)):
            await library.tamper(swap, target, source)
        assert await fault(library) == Fault(2, ALTERED)

    async def test_a_cut_tail_is_found(self, library: Library) -> None:
        await library.tamper("DELETE FROM event WHERE tenant_id = $1 AND position > 8")
        assert await fault(library) == Fault(9, MISSING)

    async def test_a_tail_hidden_by_moving_the_head_is_found(self, library: Library) -> None:
        back = "UPDATE log_head SET (position, hash) = (SELECT 8, hash FROM event WHERE tenant_id = $1 AND position = 8)"
        await library.tamper(f"{back} WHERE tenant_id = $1")
        assert await fault(library) == Fault(9, FORGED)

    async def test_a_changed_head_is_found(self, library: Library) -> None:
        await library.tamper("UPDATE log_head SET hash = sha256('other') WHERE tenant_id = $1")
        assert await fault(library) == Fault(10, HEAD_DIFFERS)

    async def test_a_lost_head_is_found(self, library: Library) -> None:
        await library.tamper("DELETE FROM log_head WHERE tenant_id = $1")
        assert await fault(library) == Fault(1, HEAD_DIFFERS)

    async def test_a_log_that_is_gone_as_a_whole_is_missed(self, library: Library) -> None:
        await library.tamper("DELETE FROM event WHERE tenant_id = $1")
        await library.tamper("DELETE FROM log_head WHERE tenant_id = $1")
        assert await fault(library) == Fault(0, HEAD_DIFFERS)

    @pytest.mark.parametrize(("position", "what"), [(11, FORGED), (0, FORGED), (-3, FORGED)])
    async def test_an_event_forged_at_an_end_is_found(self, library: Library, position: int, what: str) -> None:
        await forge(library, position)
        assert await fault(library) == Fault(position, what)

    async def test_an_event_forged_in_between_is_found(self, library: Library) -> None:
        move = "UPDATE event SET position = $2 WHERE tenant_id = $1 AND position = $3"
        for position in range(10, 4, -1):
            await library.tamper(move, position + 1, position)
        await forge(library, 5)
        assert await fault(library) == Fault(5, ALTERED)


async def fault(library: Library) -> Fault | None:
    """What the proof finds."""
    return (await verify_chain(library.kernel.system, library.tenant)).fault


async def forge(library: Library, position: int) -> None:
    """An event that never happened."""
    forged = """INSERT INTO event
    SELECT tenant_id, $2, stream_id, number, 50, topic, payload, recorded_at, actor, request_id, hash
    FROM event WHERE tenant_id = $1 AND position = 2"""
    await library.tamper(forged, position)
