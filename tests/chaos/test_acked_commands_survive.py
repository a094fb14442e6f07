"""What was answered with success has happened exactly once, whatever was killed meanwhile; what was refused has not."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Iterator
from itertools import count

import httpx
import msgspec
import pytest
from msgspec import Struct

from plixa.inbox.domain.events import NoteAdded, NotesChanged, Received, Renamed
from plixa.kernel.log import read_log
from plixa.kernel.uow import Kernel
from plixa.kernel.verify import verify_chain
from tests.chaos.calling import UNKNOWN, Answer, Caller
from tests.chaos.world import Place, Shop, open_shop, stopping, wait_ready
from tests.whatsapp.webhooks import Chat, Stamp, text

pytestmark = pytest.mark.chaos

CLIENTS = 12
CONVERSATIONS = 6
PAUSE = 1.5
COUNTS = """SELECT (SELECT count(*) FROM inbox_message WHERE tenant_id = $1) AS messages,
(SELECT count(*) FROM event WHERE tenant_id = $1 AND topic = ANY($2)) AS events,
(SELECT sum(unread_count) FROM inbox_conversation WHERE tenant_id = $1) AS unread,
(SELECT count(*) FROM inbox_message WHERE tenant_id = $1 AND direction = 'in') AS received"""


class Deed(Struct, frozen=True):
    """A request that carries a canary; ``insists``: it may be asked again until it is answered."""

    canary: str
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    insists: bool = False


class Ledger:
    """What a client knows of its own requests."""

    def __init__(self) -> None:
        self.acked, self.unknown, self.rejected = set[str](), set[str](), set[str]()
        self.statuses = Counter[int]()

    def note(self, deed: Deed, answer: Answer) -> bool:
        """Take the answer down; is it settled?"""
        self.statuses[answer.status] += 1
        if answer.status // 100 == 2:
            self.acked.add(deed.canary)
            return True
        refused = answer.status // 100 == 4 and answer.status != 409
        if deed.insists and not refused:
            return False
        (self.rejected if refused else self.unknown).add(deed.canary)
        return True


class Office:
    """Deeds of every kind, in any order."""

    def __init__(self, shop: Shop, conversations: list[int]) -> None:
        self.shop, self.conversations = shop, conversations
        self._dice, self._numbers = random.Random(7), count(1)

    def deeds(self) -> Iterator[Deed]:
        """Without end."""
        kinds = (self.note, self.keyed_note, self.rename, self.remark, self.tell, self.refused)
        while True:
            yield self._dice.choice(kinds)(f"canary-{next(self._numbers):06}")

    def note(self, canary: str) -> Deed:
        """A note; asked once."""
        return Deed(canary, "POST", f"{self._place()}/messages", self.shop.headers, encoded(body=canary, type="note"))

    def keyed_note(self, canary: str) -> Deed:
        """A note under a key, asked until answered."""
        keyed = self.shop.headers | {"Idempotency-Key": canary}
        return Deed(canary, "POST", f"{self._place()}/messages", keyed, encoded(body=canary, type="note"), insists=True)

    def rename(self, canary: str) -> Deed:
        """Another shown name."""
        return Deed(canary, "PATCH", self._place(), self.shop.headers, encoded(contact_name=canary))

    def remark(self, canary: str) -> Deed:
        """Other notes beside the conversation."""
        return Deed(canary, "PATCH", self._place(), self.shop.headers, encoded(notes=canary))

    def tell(self, canary: str) -> Deed:
        """A webhook, told until it is taken."""
        number = self._dice.randrange(CONVERSATIONS)
        url, headers = self.shop.hook
        webhook = text(chat(self.shop, number), Stamp(id=canary), canary)
        return Deed(canary, "POST", url.removeprefix(self.shop.place.url), headers, msgspec.json.encode(webhook), insists=True)

    def refused(self, canary: str) -> Deed:
        """A note that is too long, or in a conversation that nobody has."""
        if self._dice.random() < 0.5:
            return Deed(canary, "POST", "/v1/conversations/999999999/messages", self.shop.headers, encoded(body=canary, type="note"))
        return Deed(canary, "POST", f"{self._place()}/messages", self.shop.headers, encoded(body=canary * 1000, type="note"))

    def _place(self) -> str:
        return f"/v1/conversations/{self._dice.choice(self.conversations)}"


def encoded(**body: str) -> bytes:
    """JSON."""
    return json.dumps(body).encode()


def chat(shop: Shop, number: int) -> Chat:
    """One of the customers."""
    return Chat(phone=f"55119{83_000_000 + number}", name=f"Cliente {number}", instance=shop.gateway_name)


async def work(office: Office, ledger: Ledger, over: asyncio.Event) -> None:
    """Twelve clients at once until it is over; each settles what it has begun."""
    deeds = office.deeds()

    async def client() -> None:
        async with Caller(office.shop.place.url) as caller:
            while not over.is_set():
                await settle(caller, next(deeds), ledger)

    await asyncio.gather(*(client() for _ in range(CLIENTS)))


async def settle(caller: Caller, deed: Deed, ledger: Ledger) -> None:
    """Ask, and ask again where the deed insists."""
    settled = False
    while not settled:
        answer = await caller.call(deed.method, deed.path, deed.headers, deed.body)
        settled = ledger.note(deed, answer)
        if answer.status in (UNKNOWN, 409, 503):
            await asyncio.sleep(0.1)


async def test_acked_once_unknown_at_most_once_rejected_never(chaos_place: Place, chaos_kernel: Kernel, caller: httpx.AsyncClient) -> None:
    webs = [chaos_place.web(), chaos_place.web()]
    first, second = (web.restart for web in webs)
    with stopping(*webs):
        await wait_ready(chaos_place)
        shop = await open_shop(chaos_place, chaos_kernel, caller)
        url, headers = shop.hook
        for number in range(CONVERSATIONS):
            hello = text(chat(shop, number), Stamp(id=f"hello-{number}"), "Oi")
            assert (await caller.post(url, json=hello, headers=headers)).status_code == 200
        rows = await shop.rows("SELECT id FROM inbox_conversation WHERE tenant_id = $1")
        ledger, over = Ledger(), asyncio.Event()
        working = asyncio.create_task(work(Office(shop, [row["id"] for row in rows]), ledger, over))
        half = (first, second, first, second, first, chaos_place.kill_postgres)
        for blow in half * 2:
            await asyncio.sleep(PAUSE)
            await asyncio.to_thread(blow)
        await wait_ready(chaos_place)
        over.set()
        await working
    await check(shop, ledger)


async def check(shop: Shop, ledger: Ledger) -> None:
    """The ledger against the log and the inbox."""
    found = Counter[str]()
    for fact in await read_log(shop.kernel, shop.tenant, 0, limit=1_000_000):
        match fact.event:
            case Received(content=content) | NoteAdded(content=content):
                found[str(content.body)] += 1
            case Renamed(name=canary) | NotesChanged(notes=canary):
                found[str(canary)] += 1
    shown = Counter(row["body"] for row in await shop.rows("SELECT body FROM inbox_message WHERE tenant_id = $1"))
    written = {body: times for body, times in found.items() if body in shown}
    assert shown == written
    assert len(ledger.acked) > 200
    assert len(ledger.rejected) > 10
    assert {canary: found[canary] for canary in ledger.acked if found[canary] != 1} == {}
    assert {canary: found[canary] for canary in ledger.unknown if found[canary] > 1} == {}
    assert {canary for canary in ledger.rejected if any(body.startswith(canary) for body in found)} == set()
    assert set(found) - {"Oi"} <= ledger.acked | ledger.unknown
    (counts,) = await shop.rows(COUNTS, [Received.TOPIC, NoteAdded.TOPIC])
    assert (counts["messages"], counts["unread"]) == (counts["events"], counts["received"])
    assert (await verify_chain(shop.kernel.system, shop.tenant)).fault is None
