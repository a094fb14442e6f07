"""A busy inbox whose every event is known: what happened in it, when, is also kept in a plain list to be counted by hand."""

from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

from msgspec import Struct

from plixa.inbox.domain.conversation import Conversation
from plixa.inbox.domain.events import Author, Closed, Content, Echoed, NoteAdded, Opened, Queued, Received, Reopened
from plixa.kernel.event_store import Event
from plixa.kernel.uow import UnitOfWork, perform
from tests.support.world import Workspace

ANA, BOT = Author("user", 7, "Ana"), Author("bot")
TEXT = Content("text", "Oi")


class Happened(Struct, frozen=True):
    """One thing; ``waited`` seconds where it was the first human answer of an episode."""

    at: datetime
    what: str
    waited: int | None = None


class Chatter(Struct):
    """A conversation as somebody who keeps count sees it."""

    number: int
    is_open: bool = True
    asked_at: datetime | None = None
    is_answered: bool = False


class BusyInbox:
    """One workspace's, lived through event by event, at times of its own."""

    def __init__(self, workspace: Workspace, seed: int = 1) -> None:
        self.workspace, self.dice = workspace, Random(seed)
        self.ledger: list[Happened] = []
        self.chatters: list[Chatter] = []

    async def live(self, start: datetime, end: datetime, events: int) -> "BusyInbox":
        """So many things happen between two instants, oldest first."""
        for second in sorted(self.dice.sample(range(int((end - start).total_seconds())), events)):
            await self.happen(start + timedelta(seconds=second))
        return self

    async def happen(self, at: datetime) -> None:
        chatter = self.dice.choice(self.chatters) if self.chatters else None
        if chatter is None or self.dice.random() < 0.1:
            await self.open(at)
        elif not chatter.is_open:
            await self.reopen(chatter, at)
        else:
            step = self.dice.choice((self.hear, self.hear, self.answer, self.answer, self.echo, self.chat, self.note, self.close))
            await step(chatter, at)

    async def open(self, at: datetime) -> None:
        number = await self.workspace.kernel.numbers.next("conversation_number")
        chatter = Chatter(number)
        self.chatters.append(chatter)

        async def begin(uow: UnitOfWork) -> None:
            uow.now = at
            async with uow.create(Conversation(number=number), 1) as editor:
                editor.record(Opened(1, 1, "5511900000000", "Márcia"))

        await self.commit(begin)
        self.ledger.append(Happened(at, "opened"))

    async def reopen(self, chatter: Chatter, at: datetime) -> None:
        await self.add(chatter, at, Reopened("message"))
        chatter.is_open, chatter.asked_at, chatter.is_answered = True, None, False
        self.ledger.append(Happened(at, "reopened"))

    async def close(self, chatter: Chatter, at: datetime) -> None:
        await self.add(chatter, at, Closed())
        chatter.is_open = False
        self.ledger.append(Happened(at, "closed"))

    async def hear(self, chatter: Chatter, at: datetime) -> None:
        number = await self.message()
        await self.add(chatter, at, Received(number, 1, f"in{number}", TEXT, at))
        chatter.asked_at = chatter.asked_at or at
        self.ledger.append(Happened(at, "received"))

    async def answer(self, chatter: Chatter, at: datetime) -> None:
        number = await self.message()
        await self.add(chatter, at, Queued(number, 1, TEXT, ANA, f"c{number}"))
        self.human(chatter, at)

    async def echo(self, chatter: Chatter, at: datetime) -> None:
        number = await self.message()
        await self.add(chatter, at, Echoed(number, 1, f"out{number}", TEXT, at))
        self.human(chatter, at)

    async def chat(self, chatter: Chatter, at: datetime) -> None:
        """A machine writes."""
        number = await self.message()
        await self.add(chatter, at, Queued(number, 1, TEXT, BOT, f"c{number}"))
        self.ledger.append(Happened(at, "sent"))

    async def note(self, chatter: Chatter, at: datetime) -> None:
        await self.add(chatter, at, NoteAdded(await self.message(), TEXT, ANA))

    def human(self, chatter: Chatter, at: datetime) -> None:
        is_first = chatter.asked_at is not None and not chatter.is_answered
        waited = int((at - chatter.asked_at).total_seconds()) if is_first and chatter.asked_at else None
        chatter.is_answered = True
        self.ledger.append(Happened(at, "sent", waited))

    async def message(self) -> int:
        return await self.workspace.kernel.numbers.next("message_number")

    async def add(self, chatter: Chatter, at: datetime, event: Event) -> None:
        async def go_on(uow: UnitOfWork) -> None:
            async with uow.edit(Conversation, chatter.number) as editor:
                uow.now = at
                editor.record(event)

        await self.commit(go_on)

    async def commit(self, command: Callable[[UnitOfWork], Awaitable[None]]) -> None:
        uow = self.workspace.unit()
        try:
            await perform(uow, lambda: command(uow))
        finally:
            uow.close()

    def count(self, first: date, last: date, zone: str) -> dict[str, int]:
        """What happened on these days of a place, counted one by one."""
        inside = [one for one in self.ledger if first <= one.at.astimezone(ZoneInfo(zone)).date() <= last]
        found: Counter[str] = Counter(one.what for one in inside)
        waited = [one.waited for one in inside if one.waited is not None]
        return {**{name: found[name] for name in NAMES}, "answers": len(waited), "seconds": sum(waited)}

    def bars(self, day: date, zone: str) -> list[tuple[int, int]]:
        """What came and went in each hour of a day."""
        hours: list[list[int]] = [[0, 0] for _ in range(24)]
        for one in self.ledger:
            there = one.at.astimezone(ZoneInfo(zone))
            if there.date() == day and one.what in ("received", "sent"):
                hours[there.hour][one.what == "sent"] += 1
        return [(received, sent) for received, sent in hours]


NAMES = ("opened", "reopened", "closed", "received", "sent")


def utc(year: int, month: int, day: int, hour: int = 0) -> datetime:
    return datetime(year, month, day, hour, tzinfo=UTC)
