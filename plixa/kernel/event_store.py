"""The event store: what an event and an aggregate are, and how streams are written, read and proven.

The library's domain vocabulary (topics, class versions with upcasting, Mapper, StoredEvent, Cipher) over our own asynchronous
recorder, which shares the transaction of the command. Every tenant has one log: ``position`` is dense, handed out by the tenant's
row in ``log_head``, and every event's hash covers its predecessor's.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from typing import Any, ClassVar, Self, TypeVar
from uuid import UUID, uuid5

import msgspec
from eventsourcing.persistence import Mapper, StoredEvent, Transcoder
from eventsourcing.utils import get_topic, resolve_topic
from msgspec import Struct

from plixa.kernel.crypto import StreamCipher

STREAMS = UUID("6f1d0b52-6e7a-5c55-9a53-2f6f5d1a7c11")
GENESIS = bytes(32)
AUDITED = "audit.recorded"
"""The topic of audit entries, which are sealed with the key of ``TRAIL``: they outlive what they tell of."""
SNAPSHOT_EVERY = 10
"""Events of a stream: reading one that lies somewhere among millions costs more than a snapshot does to write."""

E = TypeVar("E", bound="Event")
A = TypeVar("A", bound="Aggregate")


class Person(Struct, frozen=True):
    """Somebody by id and name."""

    id: int
    name: str


class Actor(Struct, frozen=True, omit_defaults=True):
    """Who did it: ``member``, ``token``, ``staff``, ``device`` (the owner's own phone), ``customer``, ``gateway`` or ``system``.

    Where staff impersonated a member both are named: the member is the actor, the staff person stands in ``impersonated_by``.
    """

    type: str
    id: int | None = None
    name: str | None = None
    impersonated_by: Person | None = None


SYSTEM = Actor("system")


class Event(Struct, frozen=True, omit_defaults=True, gc=False):
    """A fact that happened in one stream. Plain types only; ``TOPIC`` is its name for ever."""

    TOPIC: ClassVar[str] = ""
    class_version: ClassVar[int] = 1

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if cls.TOPIC:
            get_topic(cls)


class Recorded(Struct, frozen=True, gc=False):
    """An event with its place and circumstances. ``position`` is 0 until it is appended."""

    stream_id: UUID
    number: int
    version: int
    event: Event
    at: datetime
    actor: Actor
    request_id: str
    tenant: int
    position: int = 0


Fold = Callable[[Any, Any], Any]


class Aggregate(Struct, frozen=True):
    """State folded from a stream. Decisions are methods that return events; ``when`` registers how an event changes the state."""

    KIND: ClassVar[str] = ""
    SHOWN: ClassVar[tuple[str, ...]] = ()
    """Fields whose change the audit trail shows: none that holds what somebody wrote."""
    class_version: ClassVar[int] = 1
    """Raised when a field is added whose value older snapshots cannot know: they are then passed over."""
    folds: ClassVar[dict[type[Event], Fold]] = {}
    number: int = 0

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.folds = {}

    @classmethod
    def when(cls, *events: type[Event]) -> Callable[[Callable[[Self, E], Self]], Callable[[Self, E], Self]]:
        """The decorated function answers the state after any of ``events``. It never refuses."""

        def register(fold: Callable[[Self, E], Self]) -> Callable[[Self, E], Self]:
            cls.folds.update(dict.fromkeys(events, fold))
            return fold

        return register

    @classmethod
    def snapshot_topic(cls) -> str:
        """What snapshots of this class are called."""
        return f"{cls.KIND}/{cls.class_version}"

    @classmethod
    def topics(cls) -> list[str]:
        """The topics of the events that change the state."""
        return [event.TOPIC for event in cls.folds]

    def evolve(self, event: Event) -> Self:
        """The state after ``event``; events that do not concern the decision leave it as it is."""
        fold = self.folds.get(type(event))
        return self if fold is None else fold(self, event)


@lru_cache(maxsize=2048)
def stream_id(kind: str, number: int) -> UUID:
    """The stream of one aggregate, e.g. ``conversation/42``."""
    return uuid5(STREAMS, f"{kind}/{number}")


TRAIL = uuid5(STREAMS, "trail/0")
"""Names the key, one a tenant, of the audit entries, each of which is a stream of its own."""


def stream_lock(stream: UUID) -> int:
    """The advisory lock, a signed 64-bit number, under which one stream is edited."""
    return int.from_bytes(stream.bytes[:8], "big", signed=True)


class EventTranscoder(Transcoder):
    """msgspec JSON."""

    def encode(self, obj: Any) -> bytes:
        return msgspec.json.encode(obj)

    def decode(self, data: bytes) -> Any:
        return msgspec.json.decode(data)


@lru_cache(maxsize=1024)
def decoder(cls: type[Event]) -> "msgspec.json.Decoder[Event]":
    """A reusable decoder of one event class."""
    return msgspec.json.Decoder(cls)


class EventMapper(Mapper[UUID]):
    """The library's mapper for our struct events: msgspec JSON under the stream's cipher, upcast where the class has moved on."""

    cipher: StreamCipher

    def __init__(self, data_key: bytes) -> None:
        super().__init__(EventTranscoder(), cipher=StreamCipher(key=data_key))

    def seal(self, stream: UUID, version: int, event: Event) -> StoredEvent:
        """The stored form of ``event``."""
        state = self.transcoder.encode(event)
        if event.class_version > 1:
            state = self.transcoder.encode({**msgspec.to_builtins(event), "class_version": event.class_version})
        return StoredEvent(stream, version, get_topic(type(event)), self.cipher.encrypt(state))

    def open(self, topic: str, payload: bytes) -> Event:
        """The event of a stored payload, in the newest version of its class."""
        cls: type[Event] = resolve_topic(topic)
        state = self.cipher.decrypt(payload)
        if cls.class_version == 1:
            return decoder(cls).decode(state)
        fields = self.transcoder.decode(state)
        for version in range(fields.pop("class_version", 1), cls.class_version):
            getattr(cls, f"upcast_v{version}_v{version + 1}")(fields)
        return msgspec.convert(fields, cls)

    def seal_state(self, state: Aggregate) -> bytes:
        """A snapshot's payload."""
        return self.cipher.encrypt(self.transcoder.encode(state))

    def open_state(self, cls: type[A], payload: bytes) -> A:
        """The aggregate of a snapshot's payload."""
        return msgspec.json.decode(self.cipher.decrypt(payload), type=cls)


class Written(Struct, frozen=True):
    """An event as the log has it; ``actor`` in its canonical form."""

    tenant: int
    number: int
    stored: StoredEvent
    at: datetime
    actor: bytes
    request_id: str

    def digest(self) -> bytes:
        """SHA-256 over everything an event says, every part preceded by its length (4 bytes, big endian).

        The chain is ``hash = SHA-256(previous hash || position as 8 bytes || digest)``, starting from 32 zero bytes.
        """
        one = self.stored
        stream = f"{one.originator_id}|{self.number}|{one.originator_version}"
        circumstances = f"{self.tenant}|{stream}|{one.topic}|{round(self.at.timestamp() * 1_000_000)}|{self.request_id}"
        sha = sha256()
        for part in (circumstances.encode(), self.actor, one.state):
            sha.update(len(part).to_bytes(4, "big"))
            sha.update(part)
        return sha.digest()


def link(previous: bytes, position: int, event_digest: bytes) -> bytes:
    """The next hash of the chain."""
    return sha256(previous + position.to_bytes(8, "big") + event_digest).digest()


def canonical(actor: Actor) -> bytes:
    """The actor as it is hashed: JSON with sorted keys."""
    return msgspec.json.encode(actor, order="sorted")


def replay(state: A, events: Iterable[Event]) -> A:
    """The state after ``events``."""
    for event in events:
        state = state.evolve(event)
    return state
