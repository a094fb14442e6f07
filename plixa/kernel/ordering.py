"""Lists whose order people decide: every row has a position that no other has."""

from collections.abc import Iterable, Mapping
from typing import Annotated

from msgspec import Meta, Struct


class Reorder(Struct, frozen=True):
    """Ids from top to bottom; those that are missing stay where they are."""

    ids: Annotated[list[int], Meta(max_length=1000)]


def rearranged(positions: Mapping[int, int], wanted: Iterable[int]) -> dict[int, int]:
    """The positions that become others (id → position): the wanted rows share out, in their order, the places they have now.

    Ids without a position are passed over, and so is one that comes again.
    """
    moved = [number for number in dict.fromkeys(wanted) if number in positions]
    places = sorted(positions[number] for number in moved)
    return {number: place for number, place in zip(moved, places, strict=True) if positions[number] != place}
