"""A reader that keeps losing its connection still sees every change, in order, once."""

import asyncio
import json
import random
import re
from functools import partial

import httpx
import pytest

from plixa.inbox.queries.realtime import concerns_inbox
from plixa.kernel.log import read_log
from plixa.kernel.uow import Kernel
from tests.chaos.calling import Caller
from tests.chaos.world import Place, Process, Shop, open_shop, stopping, until, wait_ready
from tests.whatsapp.webhooks import Chat, Stamp, text

pytestmark = pytest.mark.chaos

CHANGES, WRITERS, BREAKS = 2000, 4, 100
PATIENCE = 90.0
HEAD = "SELECT position FROM log_head WHERE tenant_id = $1"
FRAME = re.compile(rb"(?:id: (\d+)\n)?event: (\w+)\ndata: ([^\n]*)\n\n|:[^\n]*\n(?:id: (\d+)\n)?\n|(?:retry: \d+\n)(?:id: (\d+)\n)?\n")


class Reader:
    """Follows the stream in pieces, each cut off at random; ``positions`` are those it was told, in the order of the telling."""

    def __init__(self, shop: Shop, start: int) -> None:
        self.shop, self.last = shop, start
        self.positions: list[int] = []
        self.created: list[int] = []
        self.breaks = 0
        self._dice = random.Random(11)

    async def follow(self, upto: asyncio.Future[int]) -> None:
        """Until everything that was written has been told."""
        while not (upto.done() and self.last >= upto.result()):
            bite = self._dice.randint(500, 60_000) if self.breaks < BREAKS else 1 << 40
            await self._piece(bite, upto)
            self.breaks += 1

    async def _piece(self, bite: int, upto: asyncio.Future[int]) -> None:
        """One connection, left after so many bytes, in the middle of whatever comes."""
        heard, writer = b"", None
        try:
            stream, writer = await asyncio.open_connection("127.0.0.1", self.shop.place.port)
            lines = f"GET /v1/realtime HTTP/1.1\r\nHost: plixa\r\nAuthorization: {self.shop.headers['Authorization']}\r\n"
            writer.write(f"{lines}Last-Event-ID: {self.last}\r\n\r\n".encode())
            status = await stream.readuntil(b"\r\n\r\n")
            assert b" 200 " in status.partition(b"\r\n")[0] or b" 503 " in status.partition(b"\r\n")[0]
            while bite > 0 and not (upto.done() and self.last >= upto.result()):
                chunk = await read_chunk(stream)
                heard = self._take(heard + chunk[:bite])
                bite -= len(chunk)
        except (OSError, asyncio.IncompleteReadError, ValueError):
            await asyncio.sleep(0.1)
        finally:
            if writer is not None:
                writer.transport.abort()

    def _take(self, heard: bytes) -> bytes:
        """Take whole frames; the rest is not known yet. What stands before its position counts once that has come."""
        end, waiting = 0, list[int]()
        for frame in FRAME.finditer(heard):
            told = frame[1] or frame[4] or frame[5]
            if frame[2] == b"MessageCreated":
                waiting.append(json.loads(frame[3])["id"])
            if told is None:
                continue
            if frame[1] is not None:
                self.positions.append(int(told))
            self.created += waiting
            waiting.clear()
            self.last, end = int(told), frame.end()
        return heard[end:]


async def read_chunk(stream: asyncio.StreamReader) -> bytes:
    """One chunk of a chunked body; an empty one ends it, and is an error here."""
    size = int(await stream.readuntil(b"\r\n"), 16)
    if size == 0:
        raise asyncio.IncompleteReadError(b"", 1)
    return (await stream.readexactly(size + 2))[:-2]


async def write(shop: Shop, conversation: int, numbers: range) -> None:
    """Notes, each asked until it is answered."""
    async with Caller(shop.place.url) as caller:
        for number in numbers:
            keyed = shop.headers | {"Idempotency-Key": f"{conversation}-{number}"}
            body = json.dumps({"body": f"nota {number}", "type": "note"}).encode()
            await until(partial(is_written, caller, conversation, keyed, body), PATIENCE, "a note is written")


async def is_written(caller: Caller, conversation: int, headers: dict[str, str], body: bytes) -> bool:
    """Ask once."""
    return (await caller.call("POST", f"/v1/conversations/{conversation}/messages", headers, body)).status == 201


async def write_all(shop: Shop, conversations: list[int], web: Process) -> int:
    """Four writers, with a restart of the web process halfway; the head they leave."""
    each = CHANGES // WRITERS
    await asyncio.gather(*(write(shop, one, range(each // 2)) for one in conversations))
    writing = asyncio.gather(*(write(shop, one, range(each // 2, each)) for one in conversations))
    await asyncio.to_thread(web.restart)
    await writing
    return int((await shop.rows(HEAD))[0]["position"])


async def test_a_stream_cut_a_hundred_times_tells_every_position_once(
    chaos_place: Place, chaos_kernel: Kernel, caller: httpx.AsyncClient
) -> None:
    with stopping(web := chaos_place.web()):
        await wait_ready(chaos_place)
        shop = await open_shop(chaos_place, chaos_kernel, caller)
        url, headers = shop.hook
        for number in range(WRITERS):
            chat = Chat(phone=f"55119{84_000_000 + number}", instance=shop.gateway_name)
            hello = text(chat, Stamp(id=f"hello-{number}"))
            assert (await caller.post(url, json=hello, headers=headers)).status_code == 200
        conversations = [row["id"] for row in await shop.rows("SELECT id FROM inbox_conversation WHERE tenant_id = $1")]
        start = int((await shop.rows(HEAD))[0]["position"])
        reader = Reader(shop, start)
        upto: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as tasks:
            tasks.create_task(reader.follow(upto))
            upto.set_result(await write_all(shop, conversations, web))
    facts = [fact for fact in await read_log(shop.kernel, shop.tenant, start, limit=4 * CHANGES) if concerns_inbox(fact.event)]
    assert len(facts) == CHANGES
    assert reader.positions == [fact.position for fact in facts]
    assert reader.created == [fact.event.message_id for fact in facts]  # type: ignore[attr-defined]
    assert reader.breaks >= BREAKS
