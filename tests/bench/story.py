"""One conversation from its first message to its last, as the events Plixa itself would have recorded."""

from datetime import UTC, datetime, timedelta
from random import Random

from msgspec import Struct

from plixa.inbox.domain.events import (
    Accepted,
    Acknowledged,
    Assigned,
    Author,
    Closed,
    Content,
    Echoed,
    Labelled,
    Location,
    MarkedRead,
    Media,
    NoteAdded,
    Opened,
    Queued,
    Received,
    Renamed,
    Reopened,
    Snoozed,
)
from plixa.kernel.event_store import SYSTEM, Actor, Event
from tests.bench.words import Speech, full_name, phone

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND = 1_000_000
DAY = 86_400 * SECOND
GATEWAY = Actor("gateway")
DEVICE = Actor("device")
MEMBERS = 10
INSTANCES = 3
LABELS = 12


class Told(Struct, frozen=True, gc=False):
    """An event with its moment (microseconds since 1970), who did it and in which request."""

    at: int
    actor: Actor
    request_id: str
    event: Event


def member(number: int) -> Actor:
    """One of the workspace's members; 1 is the owner."""
    return Actor("member", number, full_name(number))


def gateway_name(number: int) -> str:
    """A WhatsApp number's name at the gateway."""
    return f"plx_bench_{number}"


def moment(micros: int) -> datetime:
    """Microseconds since 1970 as a time."""
    return EPOCH + timedelta(microseconds=micros)


class Story:
    """Tells one conversation: ``number`` is also its contact's. ``until`` is the moment the seeding calls now."""

    def __init__(self, seed: int, number: int, until: int) -> None:
        self.number, self.until = number, until
        self.dice = Random(f"{seed}/{number}")
        self.speech = Speech(self.dice)
        self.instance = 1 + number % INSTANCES
        self.name, self.phone = full_name(number), phone(number)
        self.jid = f"{self.phone}@s.whatsapp.net"
        self.customer = Actor("customer", name=self.name)
        self.assignee: int | None = None
        self.unread, self.closed = 0, False
        self.told: list[Told] = []

    def tell(self, times: list[int], ids: list[int]) -> list[Told]:
        """The events of messages sent at ``times`` under ``ids``; both ascend, at least 4 s between two messages."""
        opened = Opened(self.number, self.instance, self.phone, self.name, self.jid)
        self._add(times[0], self.customer, opened)
        for index, (at, message) in enumerate(zip(times, ids, strict=True)):
            inbound = index == 0 or self.dice.random() < 0.55
            if inbound:
                self._receive(at, message)
            else:
                self._answer(at, message)
            silence = (times[index + 1] if index + 1 < len(times) else self.until) - at
            if silence > DAY and not self.closed and self.dice.random() < 0.85:
                self._close(at + 3 * 3600 * SECOND)
        self._settle(times[-1] + 4 * 3600 * SECOND)
        return self.told

    def _add(self, at: int, actor: Actor, *events: Event) -> None:
        """The events of one command."""
        request = f"{self.dice.getrandbits(128):032x}"
        at = max(at, self.told[-1].at + 1) if self.told else at
        self.told += [Told(at, actor, request, event) for event in events]

    def _receive(self, at: int, message: int) -> None:
        received = Received(message, self.instance, gateway_id(message), self._content(), moment(at), self.jid)
        self._add(at, self.customer, *([Reopened("message")] if self.closed else []), received)
        self.closed, self.unread = False, self.unread + 1

    def _answer(self, at: int, message: int) -> None:
        chance = self.dice.random()
        if chance < 0.08:
            self._add(at, DEVICE, Echoed(message, self.instance, gateway_id(message), self._content(), moment(at)))
            return
        who = member(self.assignee or 1 + self.dice.randrange(MEMBERS))
        author = Author("user", who.id, who.name)
        if self.unread:
            self._add(at - 2 * SECOND, who, MarkedRead())
            self.unread = 0
        if self.assignee is None and chance < 0.5:
            self._add(at - SECOND, who, Assigned(who.id, who.name))
            self.assignee = who.id
        if chance > 0.97:
            self._add(at, who, NoteAdded(message, Content("note", self.speech.sentence()), author))
            return
        queued = Queued(message, self.instance, self._content(), author, f"3EB0{self.dice.getrandbits(72):018X}")
        self._add(at, who, *([Reopened("member")] if self.closed else []), queued)
        self.closed = False
        self._travel(at, message)

    def _travel(self, at: int, message: int) -> None:
        """An answer's way to the customer: a few are never delivered, more are never read."""
        self._add(at + 300_000, SYSTEM, Accepted(message, gateway_id(message), self.jid))
        steps = ("sent", "delivered", "read") if self.dice.random() < 0.8 else ("sent", "delivered")
        for pause, status in zip((700_000, 1_200_000, 1_900_000), steps, strict=False):
            self._add(at + pause, GATEWAY, Acknowledged(message, status))

    def _close(self, at: int) -> None:
        who = member(self.assignee or 1)
        read = [MarkedRead()] if self.unread else []
        self._add(at, who, *read, Closed(self.assignee))
        self.closed, self.unread = True, 0

    def _settle(self, at: int) -> None:
        """Labels, names, snoozes: what members did with the conversation afterwards."""
        if at >= self.until - DAY:
            return
        dice, who = self.dice, member(self.assignee or 1)
        if dice.random() < 0.2:
            self._add(at, who, Labelled(1 + int(dice.expovariate(0.4)) % LABELS))
        if dice.random() < 0.03:
            self._add(at, who, Renamed(f"{self.name} ({dice.choice(('VIP', 'atacado', 'vizinha'))})"))
        if not self.closed and dice.random() < 0.25:
            days = 30 + dice.randrange(300)
            self._add(at, who, Snoozed(moment(self.until + days * DAY)))

    def _content(self) -> Content:
        chance = self.dice.random()
        if chance < 0.87:
            return Content("text", self.speech.sentence())
        if chance < 0.93:
            caption = self.speech.sentence() if chance < 0.91 else None
            media = Media("image/jpeg", size=183_402, state="stored", blob=f"{self.dice.getrandbits(128):032x}")
            return Content("image", caption, media)
        if chance < 0.97:
            seconds = 2 + self.dice.randrange(60)
            return Content("voice", media=Media("audio/ogg; codecs=opus", size=2_100 * seconds, seconds=seconds))
        if chance < 0.99:
            return Content("document", media=Media("application/pdf", "orçamento.pdf", 90_112, pages=3))
        return Content("location", location=Location(-23.56141, -46.65588, "MASP", "Av. Paulista, 1578"))


def gateway_id(message: int) -> str:
    """The id WhatsApp gave a message."""
    return f"3A{message * 0x9E3779B97F4A7C15 % (1 << 72):018X}"
