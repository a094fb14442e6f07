"""Projections: pure folds from events to the rows of one table, the same code inline, in catch-up and in a rebuild.

A projector knows no clock, no chance and no input but the event. It writes only its own table and the counters kept beside it.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from plixa.kernel.event_store import Event, Recorded
from plixa.kernel.table import Table

R = TypeVar("R", bound=Struct)
Projector = Callable[[Any, Any, Recorded], Any]


class Rows(Generic[R]):
    """The working set of one table: rows as they were, as they are now, and whole groups dropped or moved."""

    def __init__(self, projection: "Projection[R]") -> None:
        self.projection = projection
        self.before: dict[int, R | None] = {}
        self.now: dict[int, R | None] = {}
        self.group_changes: list[tuple[int, int | None]] = []
        self._members: dict[Any, set[int]] = defaultdict(set)

    def missing(self, facts: Iterable[Recorded]) -> list[int]:
        """Keys that must be loaded before ``facts`` can be folded."""
        projection, now = self.projection, self.now
        keys: dict[int, None] = {}
        created: set[int] = set()
        fresh = projection.creating - projection.renewing
        for fact in facts:
            kind = type(fact.event)
            if kind in fresh:
                created.add(projection.key(fact))
            elif kind in projection.projectors:
                key = projection.key(fact)
                if key not in now and key not in created:
                    keys[key] = None
        return list(keys)

    def hold(self, key: int, row: R | None) -> None:
        """Remember a row as the table has it."""
        self.before[key] = self.now[key] = row
        group = self.projection.table.group
        if group is not None and row is not None:
            self._members[getattr(row, group)].add(key)

    def fold_all(self, facts: Iterable[Recorded]) -> None:
        """Apply events, most of which may concern other projections."""
        fold, wanted = self.fold, self.projection.projectors.keys() | self.projection.regroupings.keys()
        for fact in facts:
            if type(fact.event) in wanted:
                fold(fact)

    def fold(self, fact: Recorded) -> None:
        """Apply one event."""
        projection = self.projection
        kind = type(fact.event)
        if projection.regroupings and kind in projection.regroupings:
            self._regroup(fact.number, projection.regroupings[kind](fact.event))
        projector = projection.projectors.get(kind)
        if projector is None:
            return
        key = projection.key(fact)
        row = self.now.get(key)
        if row is None and kind not in projection.creating:
            return
        changed = self.now[key] = projector(row, fact.event, fact)
        if row is None:
            self.before.setdefault(key, None)
        if projection.table.group is not None and (row is None or kind in projection.renewing):
            self._place(key, row, changed)

    def lose(self, row: R) -> None:
        """A row went with its group; one that is held already was told so."""
        key = self.projection.table.key_of(row)
        if key not in self.before:
            self.before[key], self.now[key] = row, None

    def changed(self) -> list[R]:
        """Rows to save."""
        return [row for _, row in self.changes()]

    def changes(self) -> list[tuple[R | None, R]]:
        """Rows to save, each behind what the table has of it."""
        return [(self.before[key], row) for key, row in self.now.items() if row is not None and row is not self.before[key]]

    def gone(self) -> list[int]:
        """Keys to delete."""
        return [key for key, row in self.now.items() if row is None and self.before[key] is not None]

    def counts(self) -> dict[str, int]:
        """By how much each kept counter changes, zeros left out."""
        tally = self.projection.counts
        if tally is None:
            return {}
        total: Counter[str] = Counter()
        for key, row in self.now.items():
            before = self.before[key]
            if row is before:
                continue
            total.update(tally(row) if row is not None else ())
            total.subtract(tally(before) if before is not None else ())
        return {key: total[key] for key in sorted(total) if total[key]}

    def _place(self, key: int, before: R | None, now: R | None) -> None:
        """A row is made, or made anew, maybe in another group."""
        group = self.projection.table.group or ""
        if before is not None:
            self._members[getattr(before, group)].discard(key)
        if now is not None:
            self._members[getattr(now, group)].add(key)

    def _regroup(self, source: int, target: int | None) -> None:
        """Move or drop every row of a group that is held."""
        self.group_changes.append((source, target))
        group = self.projection.table.group or ""
        members = self._members.pop(source, set())
        for key in members:
            row = self.now[key]
            if row is not None:
                self.now[key] = None if target is None else replace(row, **{group: target})
        if target is not None:
            self._members[target] |= members


class Projection(Generic[R]):
    """One read model: its table, how it is keyed, and which events change it in which way.

    One that is ``head_of`` a kind of aggregate has a row an aggregate, which is loaded together with it.
    """

    def __init__(
        self,
        table: Table[R],
        *,
        key: Callable[[Recorded], int] = lambda fact: fact.number,
        counts: Callable[[R], Iterable[str]] | None = None,
        head_of: str = "",
    ) -> None:
        self.name = table.name
        self.table, self.key, self.counts, self.head_of = table, key, counts, head_of
        self.projectors: dict[type[Event], Projector] = {}
        self.creating: set[type[Event]] = set()
        self.renewing: set[type[Event]] = set()
        self.regroupings: dict[type[Event], Callable[[Any], int | None]] = {}

    def on(self, *events: type[Event]) -> Callable[[Projector], Projector]:
        """``(row, event, fact) -> row``; answering None deletes the row. Skipped where there is no row."""

        def register(projector: Projector) -> Projector:
            self.projectors.update(dict.fromkeys(events, projector))
            return projector

        return register

    def creates(self, *events: type[Event]) -> Callable[[Projector], Projector]:
        """As ``on``, for events before which there is no row."""
        self.creating.update(events)
        return self.on(*events)

    def renews(self, *events: type[Event]) -> Callable[[Projector], Projector]:
        """As ``creates``, for events before which there may be a row."""
        self.renewing.update(events)
        return self.creates(*events)

    def regroups(self, event: type[Event], to: Callable[[Any], int | None]) -> None:
        """On ``event`` every row of the stream's group moves to the group ``to`` answers, or goes where that is None."""
        self.regroupings[event] = to

    def concerns(self, kinds: set[type[Event]]) -> bool:
        """Does any of these events change a row?"""
        return not (self.projectors.keys().isdisjoint(kinds) and self.regroupings.keys().isdisjoint(kinds))

    @property
    def topics(self) -> list[str]:
        """The topics that concern this projection."""
        return sorted({event.TOPIC for event in (*self.projectors, *self.regroupings)})
