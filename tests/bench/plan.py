"""When who wrote: the messages of all conversations, numbered in the order in which they were sent."""

from array import array
from collections.abc import Iterator
from itertools import accumulate
from random import Random

from msgspec import Struct

from tests.bench.story import DAY, SECOND

SPAN = 365 * DAY
LONGEST = 400
GAP = 4 * SECOND
"""The acknowledgements of one message come before the next message."""


class Size(Struct, frozen=True):
    """How much is seeded."""

    conversations: int
    messages: int


class Chunk(Struct, frozen=True):
    """Conversations ``first``, ``first + 1`` …: how many messages each has, and times and ids of them all."""

    first: int
    counts: "array[int]"
    times: "array[int]"
    ids: "array[int]"

    def conversations(self) -> Iterator[tuple[int, list[int], list[int]]]:
        """Number, times and ids of each."""
        start = 0
        for offset, count in enumerate(self.counts):
            end = start + count
            yield self.first + offset, self.times[start:end].tolist(), self.ids[start:end].tolist()
            start = end


def plan(size: Size, seed: int, until: int, chunk: int) -> list[Chunk]:
    """Everything in chunks of ``chunk`` conversations, numbered by when they began."""
    dice = Random(seed)
    threads = sorted(thread(dice, count, until) for count in counts(dice, size))
    times = array("q", [at for one in threads for at in one])
    ids = ranks(times)
    starts = [0, *accumulate(map(len, threads))]
    return [
        Chunk(
            1 + begin,
            array("H", map(len, threads[begin : begin + chunk])),
            times[starts[begin] : starts[min(begin + chunk, len(threads))]],
            ids[starts[begin] : starts[min(begin + chunk, len(threads))]],
        )
        for begin in range(0, len(threads), chunk)
    ]


def counts(dice: Random, size: Size) -> list[int]:
    """Messages of each conversation, log-normal around the mean: most have few, some have hundreds."""
    draws = [dice.lognormvariate(0, 0.9) for _ in range(size.conversations)]
    scale = size.messages / sum(draws)
    found = [min(LONGEST, max(1, round(draw * scale))) for draw in draws]
    missing = size.messages - sum(found)
    step = 1 if missing > 0 else -1
    while missing:
        index = dice.randrange(len(found))
        if 1 <= found[index] + step <= LONGEST:
            found[index] += step
            missing -= step
    return found


def thread(dice: Random, count: int, until: int) -> "array[int]":
    """The times of one conversation's messages: minutes apart within a visit, days between two."""
    gaps = [
        GAP + int(dice.expovariate(1 / (8 * DAY)) if dice.random() < 0.12 else dice.expovariate(1 / (150 * SECOND)))
        for _ in range(count - 1)
    ]
    room = int(SPAN * 0.9)
    total = sum(gaps)
    if total > room:
        gaps = [GAP + int((gap - GAP) * room / total) for gap in gaps]
        total = sum(gaps)
    start = until - SPAN + int(dice.random() * (SPAN - total - DAY))
    return array("q", accumulate(gaps, initial=start))


def ranks(times: "array[int]") -> "array[int]":
    """The place, from 1, of each time among all."""
    found = array("q", bytes(8 * len(times)))
    for place, index in enumerate(sorted(range(len(times)), key=times.__getitem__), 1):
        found[index] = place
    return found
