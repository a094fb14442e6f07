"""Chunks of conversations as rows ready for COPY: sealed events with digests, and the read models they fold into."""

import gc
import marshal
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from msgspec import Struct

from plixa.inbox.domain.conversation import Conversation
from plixa.kernel.crypto import Vault, new_data_key
from plixa.kernel.event_store import SNAPSHOT_EVERY, EventMapper, Recorded, Written, canonical, stream_id
from plixa.kernel.phones import canonical_phone
from plixa.kernel.projection import Rows
from projections.registry import INLINE
from tests.bench.binary import Format, instant, json, octets, small, text
from tests.bench.plan import SPAN, Chunk
from tests.bench.story import Story, Told, moment

EVENT = Format(
    {
        "tenant_id": "bigint",
        "stream_id": "uuid",
        "number": "bigint",
        "version": "int",
        "topic": "text",
        "payload": "bytea",
        "recorded_at": "timestamptz",
        "actor": "jsonb",
        "request_id": "text",
        "position": "bigint",
        "hash": "bytea",
    }
)
STREAM_KEY = Format({"tenant_id": "bigint", "stream_id": "uuid", "contact_id": "bigint", "wrapped_key": "bytea"})
SNAPSHOT = Format({"tenant_id": "bigint", "stream_id": "uuid", "version": "int", "topic": "text", "payload": "bytea"})
CONTACT = Format({"tenant_id": "bigint", "id": "bigint", "phone": "text", "name": "text", "created_at": "timestamptz"})
ALIAS = Format({"tenant_id": "bigint", "value": "text", "contact_id": "bigint"})
MODELS = {one.name: Format({"tenant_id": "bigint"} | {column.name: column.sql for column in one.table.columns}) for one in INLINE}
FORMATS = {
    "stream_key": STREAM_KEY,
    "snapshot": SNAPSHOT,
    "contact": CONTACT,
    "contact_alias": ALIAS,
    **MODELS,
}
"""Tables whose rows can be sent as they are; those of ``event`` still lack position and hash."""
BY_TIME = ("inbox_message", "inbox_text")
"""Their rows lie in the tables in the order in which the messages were sent, not conversation by conversation."""


class Task(Struct, frozen=True):
    """What every worker needs to know. ``until`` in microseconds since 1970; ``buckets`` slices of time."""

    folder: str
    secret_keys: tuple[bytes, ...]
    tenant: int
    seed: int
    until: int
    buckets: int


class Writer:
    """One chunk's rows, collected in memory and then added to files."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.vault = Vault(task.secret_keys)
        self.events: dict[int, list[Any]] = defaultdict(list)
        self.rows: dict[str, list[bytes]] = defaultdict(list)
        self.timed: dict[tuple[str, int], list[Any]] = defaultdict(list)
        self.counters: Counter[tuple[str, str]] = Counter()

    def conversation(self, number: int, times: list[int], ids: list[int]) -> int:
        """Tell, seal and fold one conversation; answers how many events it has."""
        task = self.task
        told = Story(task.seed, number, task.until).tell(times, ids)
        stream, key = stream_id(Conversation.KIND, number), new_data_key()
        facts = [
            Recorded(stream, number, version, one.event, moment(one.at), one.actor, one.request_id, task.tenant)
            for version, one in enumerate(told, 1)
        ]
        mapper = EventMapper(key)
        self._seal(mapper, facts, told)
        self._snapshots(mapper, facts)
        self._fold(facts, dict(zip(ids, times, strict=True)))
        wrapped = self.vault.seal(key, f"stream_key/{task.tenant}/{stream}")
        self.rows["stream_key"].append(STREAM_KEY.row((task.tenant, stream, number, wrapped)))
        opened: Any = facts[0].event
        self.rows["contact"].append(CONTACT.row((task.tenant, number, opened.phone, opened.name, facts[0].at)))
        self.rows["contact_alias"].append(ALIAS.row((task.tenant, f"phone:{canonical_phone(opened.phone)}", number)))
        return len(facts)

    def _seal(self, mapper: EventMapper, facts: list[Recorded], told: list[Told]) -> None:
        tenant, first = self.task.tenant, facts[0]
        place = EVENT.head + EVENT.fields((tenant, first.stream_id, first.number))
        actors = {one.actor: canonical(one.actor) for one in told}
        for fact, one in zip(facts, told, strict=True):
            actor = actors[fact.actor]
            stored = mapper.seal(fact.stream_id, fact.version, fact.event)
            proof = Written(tenant, fact.number, stored, fact.at, actor, fact.request_id).digest()
            what = small(fact.version) + text(stored.topic) + octets(stored.state)
            row = place + what + instant(fact.at) + json(actor.decode()) + text(fact.request_id)
            self.events[self._bucket(one.at)].append((one.at, fact.number, fact.version, proof, row))

    def _snapshots(self, mapper: EventMapper, facts: list[Recorded]) -> None:
        """As the unit of work makes them."""
        if len(facts) < SNAPSHOT_EVERY:
            return
        state = Conversation(number=facts[0].number)
        for fact in facts:
            state = state.evolve(fact.event)
            if fact.version % SNAPSHOT_EVERY == 0:
                payload = mapper.seal_state(state)
                row = (self.task.tenant, fact.stream_id, fact.version, Conversation.snapshot_topic(), payload)
                self.rows["snapshot"].append(SNAPSHOT.row(row))

    def _fold(self, facts: list[Recorded], sent: dict[int, int]) -> None:
        for projection in INLINE:
            rows = Rows(projection)
            for fact in facts:
                rows.fold(fact)
            self.counters.update({(projection.name, key): value for key, value in rows.counts().items()})
            form, table = MODELS[projection.name], projection.table
            for row in rows.changed():
                raw = form.row((self.task.tenant, *table.record(row)))
                if projection.name in BY_TIME:
                    self.timed[projection.name, self._bucket(sent[row.id])].append((row.id, raw))
                else:
                    self.rows[projection.name].append(raw)

    def _bucket(self, at: int) -> int:
        """Which slice of time ``at`` is in."""
        start = self.task.until - SPAN
        return min(self.task.buckets - 1, max(0, (at - start) * self.task.buckets // SPAN))

    def save(self, chunk: int) -> None:
        """Add everything to files named after table, slice of time or chunk, and worker."""
        folder = Path(self.task.folder)
        slices = {("event", bucket): rows for bucket, rows in self.events.items()} | self.timed
        for (table, bucket), timed in slices.items():
            file(folder / table / f"{bucket:05}", chunk).write_bytes(marshal.dumps(timed))
        for table, raw in self.rows.items():
            file(folder / table, chunk).write_bytes(b"".join(raw))


def write_chunk(task: Task, chunk: Chunk) -> tuple[int, Counter[tuple[str, str]]]:
    """Write one chunk's files; answers its number of events and its share of the kept counters."""
    gc.disable()
    writer = Writer(task)
    total = sum(writer.conversation(*one) for one in chunk.conversations())
    writer.save(chunk.first)
    gc.enable()
    return total, writer.counters


def file(folder: Path, chunk: int) -> Path:
    """Where one chunk's part of a table goes."""
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{chunk:07}"


def in_order(folder: Path, table: str, buckets: int) -> Iterator[list[tuple[Any, ...]]]:
    """What was written by time: slice after slice, each sorted. Files are removed once read."""
    for bucket in range(buckets):
        found: list[tuple[Any, ...]] = []
        for part in sorted((folder / table / f"{bucket:05}").glob("*")):
            found += marshal.loads(part.read_bytes())
            part.unlink()
        found.sort()
        yield found


def as_written(folder: Path, table: str) -> Iterator[bytes]:
    """What was written chunk by chunk. Files are removed once read."""
    for part in sorted((folder / table).glob("*")):
        yield part.read_bytes()
        part.unlink()
