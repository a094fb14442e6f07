"""Lists whose order people decide: every row has a position that no other has."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Annotated, Protocol, TypeVar

from msgspec import Meta, Struct

from plixa.kernel.audit import record
from plixa.kernel.uow import UnitOfWork


class Placed(Protocol):
    """A row of such a list, as it is shown."""

    @property
    def id(self) -> int: ...

    @property
    def position(self) -> int: ...


P = TypeVar("P", bound=Placed)


class Reorder(Struct, frozen=True):
    """Ids from top to bottom; those that are missing stay where they are."""

    ids: Annotated[list[int], Meta(max_length=1000)]


class Order(Struct, frozen=True):
    """A list that can be put in order: what the audit trail calls a row of it, and ``place``, which sets positions by id."""

    noun: str
    place: str


async def reorder(uow: UnitOfWork, order: Order, read: Callable[[UnitOfWork], Awaitable[list[P]]], wanted: Reorder) -> list[P]:
    """Put a list in the wanted order, and answer it; the caller keeps others from changing it meanwhile."""
    before = await read(uow)
    moved = rearranged({one.id: one.position for one in before}, wanted.ids)
    if not moved:
        return before
    await uow.execute(order.place, list(moved), list(moved.values()))
    after = await read(uow)
    orders = ({"ids": [one.id for one in each]} for each in (before, after))
    await record(uow, f"{order.noun}.reordered", ("tenant", uow.tenant), *orders)
    return after


def rearranged(positions: Mapping[int, int], wanted: Iterable[int]) -> dict[int, int]:
    """The positions that become others (id → position): the wanted rows share out, in their order, the places they have now.

    Ids without a position are passed over, and so is one that comes again.
    """
    moved = [number for number in dict.fromkeys(wanted) if number in positions]
    places = sorted(positions[number] for number in moved)
    return {number: place for number, place in zip(moved, places, strict=True) if positions[number] != place}
