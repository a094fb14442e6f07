"""Random histories of an inbox, the same ones for the same seed: everything that can happen to conversations and messages, in any order."""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random
from typing import Any

import asyncpg
from msgspec.structs import astuple

from plixa.inbox.commands.surveys import Kept
from plixa.inbox.domain.care import (
    AwayTold,
    OptedOut,
    SurveyAsked,
    SurveyCommented,
    SurveyEnded,
    SurveyKept,
    SurveyRated,
    Target,
    TargetMissed,
    TargetsSet,
)
from plixa.inbox.domain.conversation import Conversation
from plixa.inbox.domain.events import (
    Absorbed,
    Accepted,
    Acknowledged,
    Assigned,
    Author,
    Blocked,
    Closed,
    ContactChanged,
    ContactRemoved,
    Content,
    Deleted,
    Echoed,
    Edited,
    Erased,
    Failed,
    InDoubt,
    Labelled,
    LastSeen,
    Location,
    MarkedRead,
    MarkedUnread,
    Media,
    MediaMissing,
    MediaStored,
    Merged,
    NoteAdded,
    NotesChanged,
    Opened,
    Queued,
    Reacted,
    Received,
    Renamed,
    Reopened,
    Revoked,
    Snoozed,
    Unblocked,
    Unlabelled,
    Woken,
)
from plixa.inbox.queries.surveys import list_surveys_of
from plixa.kernel.event_store import Actor, Event, stream_id
from plixa.kernel.uow import Kernel, UnitOfWork, perform, working
from projections.registry import ASYNC, INLINE

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
TEXTS = ("Oi, vocês entregam?", "Até amanhã às 10h 👋", "x" * 200, "Preço: R$ 120,00", "", "naïve façade ½ ﬁ Straße", '{"a": "\\"}')
STATUSES = ("pending", "sent", "delivered", "read", "played", "failed")
USER = Author("user", 7, "Ana")
OPEN_LOG = "INSERT INTO log_head (tenant_id) VALUES ($1) ON CONFLICT DO NOTHING"


class History:
    """What happens to some conversations of one tenant; several, of different seeds, may go on in one tenant at once."""

    def __init__(self, kernel: Kernel, tenant: int, seed: int) -> None:
        self.kernel, self.tenant, self.dice = kernel, tenant, Random(seed)
        self.messages: dict[int, list[int]] = {}
        self.merged: dict[int, tuple[int, ...]] = {}
        self.surveys: dict[int, list[int]] = {}
        self.actor = Actor("member", 7, "Ana")
        self._numbers = count(seed * 1_000_000 + 1)

    async def begin(self) -> "History":
        """Give the tenant a log."""
        async with self.kernel.system.connection() as connection:
            await connection.execute(OPEN_LOG, self.tenant)
        return self

    async def go_on(self, commands: int) -> None:
        """So many commands, each a transaction."""
        for _ in range(commands):
            choice = self.dice.random()
            if len(self.messages) < 2 or choice < 0.08:
                await self._do(self._open)
            elif choice < 0.86:
                await self._do(self._converse)
            elif choice < 0.93:
                await self._do(self._merge)
            else:
                await self._do(self._delete)

    async def _do(self, command: Callable[[UnitOfWork, Random], Any]) -> None:
        """A command that lost a race is run again with the same dice."""
        seed = self.dice.random()
        async with working(self.kernel, self.tenant, self.actor, "test") as uow:
            remember = await perform(uow, lambda: command(uow, Random(seed)))
        remember()

    async def _open(self, uow: UnitOfWork, dice: Random) -> Callable[[], None]:
        number = next(self._numbers)
        message, received = self._received(dice)
        contact = dice.randrange(1, 50)
        name = dice.choice((None, "Márcia", "李雷"))
        async with uow.create(Conversation(number=number), contact) as editor:
            editor.record(Opened(contact, dice.randrange(1, 3), f"55119{number:08d}", name))
            editor.record(received)
        return lambda: self.messages.update({number: [message]})

    async def _converse(self, uow: UnitOfWork, dice: Random) -> Callable[[], None]:
        """One to five events of one or two conversations, in one transaction."""
        fresh: dict[int, list[int]] = {}
        asked: dict[int, list[int]] = {}
        for number in sorted(dice.sample(list(self.messages), dice.choice((1, 1, 1, 2)))):
            new, surveys = fresh.setdefault(number, []), asked.setdefault(number, [])
            async with uow.edit(Conversation, number) as editor:
                for _ in range(dice.randrange(1, 6)):
                    editor.record(self._next(dice, number, new, surveys))

        def remember() -> None:
            for number, new in fresh.items():
                self.messages[number] += new
            for number, surveys in asked.items():
                self.surveys.setdefault(number, []).extend(surveys)

        return remember

    def _next(self, dice: Random, number: int, new: list[int], surveys: list[int]) -> Event:
        """Something happens in a conversation, that may add to its messages or surveys."""
        if dice.random() < 0.35:
            message, event = self._written(dice)
            new.append(message)
            return event
        if dice.random() < 0.2:
            return self._cared(dice, number, surveys)
        if dice.random() < 0.65:
            return changed(dice, dice.choice([*self.messages[number], *new, 999_999_999]))
        return happened(dice)

    async def _merge(self, uow: UnitOfWork, dice: Random) -> Callable[[], None]:
        winner, loser = dice.sample(list(self.messages), 2)
        for number in sorted((winner, loser)):
            async with uow.edit(Conversation, number):
                """Take the locks in the order of the streams' numbers."""
        earlier = self.merged.get(loser, ())
        seen = LastSeen(self.messages[loser][-1], "in", "text", "the last one", moment(dice))
        async with uow.edit(Conversation, loser) as other:
            unread = other.state.unread
            other.record(Merged(winner))
        async with uow.edit(Conversation, winner) as editor:
            editor.record(Absorbed(loser, unread, dice.choice((seen, None)), earlier))

        def remember() -> None:
            self.messages[winner] += self.messages.pop(loser)
            self.surveys.setdefault(winner, []).extend(self.surveys.pop(loser, []))
            self.merged[winner] = (*self.merged.get(winner, ()), loser, *self.merged.pop(loser, ()))

        return remember

    async def _delete(self, uow: UnitOfWork, dice: Random) -> Callable[[], None]:
        """With all it took in; each of their streams says so, and loses its key. What surveys came to is kept."""
        number, gone = dice.choice(list(self.messages)), dice.choice((Deleted, Erased))
        for row in await list_surveys_of(uow, number):
            async with uow.create(Kept(number=row.id)) as kept:
                kept.record(SurveyKept(row.id, number, *astuple(row)[2:]))
        for each in sorted((number, *self.merged.get(number, ()))):
            async with uow.edit(Conversation, each) as editor:
                editor.record(gone())
            uow.erase(stream_id(Conversation.KIND, each))

        def remember() -> None:
            del self.messages[number]
            self.surveys.pop(number, None)
            self.merged.pop(number, None)

        return remember

    def _cared(self, dice: Random, number: int, new: list[int]) -> Event:
        """A survey is asked, or something happens to one; or to targets."""
        surveys = [*self.surveys.get(number, ()), *new]
        target = dice.choice((None, Target(900), Target(900, NOON, moment(dice))))
        agent = dice.choice(((None, None), (7, "Ana")))
        if not surveys or dice.random() < 0.3:
            survey = next(self._numbers)
            new.append(survey)
            return SurveyAsked(survey, 1, dice.randrange(1, 5), f"2026-05-0{dice.randrange(1, 9)}", moment(dice), False, *agent)
        survey = dice.choice(surveys)
        others: tuple[Event, ...] = (
            SurveyRated(survey, 1, dice.randrange(1, 6), agent[0], dice.choice((None, moment(dice)))),
            SurveyCommented(survey, 1),
            SurveyEnded(survey, "expired"),
            TargetsSet(target, dice.choice((None, target))),
            TargetMissed(dice.choice(("first_response", "resolution")), NOON),
            AwayTold(1, NOON),
            OptedOut(1, 1),
        )
        return dice.choice(others)

    def _received(self, dice: Random) -> tuple[int, Received]:
        message = next(self._numbers)
        return message, Received(message, dice.randrange(1, 3), f"WA{message}", content(dice), moment(dice))

    def _written(self, dice: Random) -> tuple[int, Event]:
        message, received = self._received(dice)
        number, said = received.instance_id, received.content
        other: list[Event] = [
            received,
            Echoed(message, number, f"WA{message}", said, moment(dice)),
            Queued(message, number, said, dice.choice((USER, Author("flow"))), f"c{message}"),
            NoteAdded(message, said, USER),
        ]
        return message, dice.choice(other)


def moment(dice: Random) -> datetime:
    """Within a day of noon, to the microsecond; now and then the same one again."""
    return NOON + timedelta(microseconds=dice.choice((0, 1, dice.randrange(86_400_000_000))))


def content(dice: Random) -> Content:
    """What a message says."""
    media = Media("image/jpeg", size=dice.randrange(1, 10**9), waveform=[0, 255], thumbnail="QUJD")
    place = Location(dice.uniform(-90, 90), dice.uniform(-180, 180), "Praça da Sé")
    kinds = (Content("text", dice.choice(TEXTS)), Content("image", dice.choice((None, "look")), media), Content("location", location=place))
    return dice.choice(kinds)


def changed(dice: Random, message: int) -> Event:
    """Something that happens to a message, sensible or not."""
    events: tuple[Event, ...] = (
        Acknowledged(message, dice.choice(STATUSES), dice.choice((None, "131026"))),
        Accepted(message, f"WA{message}", "5511@s.whatsapp.net"),
        Failed(message, "UNREACHABLE", "no such number"),
        InDoubt(message),
        Edited(message, dice.choice(TEXTS), moment(dice)),
        Revoked(message),
        Reacted(message, dice.choice(("customer", "device")), moment(dice), dice.choice((None, "👍", "❤️"))),
        MediaStored(message, "ab/cd", "image/png", 12, "0" * 64),
        MediaMissing(message, "gone"),
    )
    return dice.choice(events)


def happened(dice: Random) -> Event:
    """Something that happens to a conversation, sensible or not."""
    events: tuple[Event, ...] = (
        Closed(dice.choice((None, 7))),
        Reopened("message"),
        Snoozed(moment(dice)),
        Woken("manual", NOON),
        Assigned(*dice.choice(((None, None), (7, "Ana"), (8, "Lúcia")))),
        MarkedRead(),
        MarkedUnread(),
        Renamed(dice.choice((None, "Dona Márcia"))),
        NotesChanged(dice.choice((None, "prefers mornings"))),
        Labelled(dice.randrange(1, 5)),
        Unlabelled(dice.randrange(1, 5)),
        ContactChanged(dice.randrange(1, 50), "5511988887777", "Zoë"),
        ContactRemoved(),
        Blocked(),
        Unblocked(),
    )
    return dice.choice(events)


async def fingerprints(url: str) -> dict[str, str]:
    """SHA-256 of the ordered COPY of each read model, and of the counters that are not 0."""
    queries = {each.name: f"SELECT * FROM {each.name} ORDER BY tenant_id, {each.table.key}" for each in (*INLINE, *ASYNC)}
    queries["counter"] = "SELECT * FROM counter WHERE value <> 0 ORDER BY tenant_id, projection, key"
    connection = await asyncpg.connect(url)
    try:
        return {table: await fingerprint(connection, query) for table, query in queries.items()}
    finally:
        await connection.close()


async def fingerprint(connection: "asyncpg.Connection[Any]", query: str) -> str:
    """SHA-256 of what COPY says of a query."""
    sha = hashlib.sha256()

    async def take(data: bytes) -> None:
        sha.update(data)

    await connection.copy_from_query(query, output=take)
    return sha.hexdigest()
