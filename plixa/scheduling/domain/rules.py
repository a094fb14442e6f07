"""A provider's hours: weekly windows and what overrides them on a date, each open or blocked, by the clocks of one zone."""

import datetime as dt
from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from plixa.kernel.clock import first_instant, last_instant
from plixa.scheduling.domain.spans import Span, merged
from plixa.workspace.domain import ALL_DAY, CLOSING, TIME

MOST_RULES: Final = 200
MIDNIGHT: Final = "00:00"


class Rule(Struct, frozen=True):
    """Open or blocked, every week on a weekday (0 is Sunday) or on one date. 23:59 and 24:00 are the end of the day."""

    kind: Literal["open", "blocked"]
    start_time: Annotated[str, Meta(pattern=TIME)]
    end_time: Annotated[str, Meta(pattern=CLOSING)]
    weekday: Annotated[int, Meta(gt=-1, le=6)] | None = None
    date: dt.date | None = None


def faults(rules: Sequence[Rule]) -> dict[str, list[str]]:
    """What is wrong with a schedule, as field → messages: each rule names a weekday or a date, and ends later than it starts."""
    found: dict[str, list[str]] = {}
    for index, rule in enumerate(rules):
        if (rule.weekday is None) == (rule.date is None):
            found[f"rules.{index}.weekday"] = ["Give a weekday or a date, and not both."]
        if rule.start_time >= rule.end_time:
            found[f"rules.{index}.end_time"] = ["Must be later than it starts."]
    return found


def hours(rules: Sequence[Rule], zone: str, first: dt.date, days: int) -> tuple[list[Span], list[Span]]:
    """What is open, and what is blocked of it, on so many days.

    A date with an open rule of its own follows only its own rules; one that has but blocked ones keeps its week's, too.
    """
    ruling: defaultdict[int | dt.date | None, list[Rule]] = defaultdict(list)
    for rule in rules:
        ruling[rule.date or rule.weekday].append(rule)
    spans: dict[str, list[Span]] = {"open": [], "blocked": []}
    for at in (first + dt.timedelta(days=offset) for offset in range(days)):
        dated = ruling.get(at, [])
        weekly = [] if any(rule.kind == "open" for rule in dated) else ruling.get(at.isoweekday() % 7, [])
        for rule in (*dated, *weekly):
            spans[rule.kind].append((begins(zone, at, rule.start_time), ends(zone, at, rule.end_time)))
    return merged(spans["open"]), merged(spans["blocked"])


def day(zone: str, at: dt.date) -> Span:
    """A date by the clocks of a zone."""
    return begins(zone, at, MIDNIGHT), ends(zone, at, "24:00")


@lru_cache(maxsize=4096)
def begins(zone: str, at: dt.date, wall: str) -> int:
    """The second at which something begins by wall time."""
    return int(first_instant(dt.datetime.combine(at, dt.time.fromisoformat(wall)), zone).timestamp())


@lru_cache(maxsize=4096)
def ends(zone: str, at: dt.date, wall: str) -> int:
    """The second at which something ends by wall time."""
    if wall in ALL_DAY:
        return begins(zone, at + dt.timedelta(days=1), MIDNIGHT)
    return int(last_instant(dt.datetime.combine(at, dt.time.fromisoformat(wall)), zone).timestamp())
