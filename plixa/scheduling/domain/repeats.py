"""Series: the same wall time again, by date."""

import calendar
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final, Literal

Repeat = Literal["none", "daily", "weekly", "biweekly", "monthly"]

DAYS: Final = {"daily": 1, "weekly": 7, "biweekly": 14}


def occurrences_of(first: datetime, repeat: Repeat, count: int) -> Iterator[datetime]:
    """``count`` wall times, the first included; a month that is too short has it on its last day."""
    for index in range(count):
        yield months_later(first, index) if repeat == "monthly" else first + timedelta(days=DAYS.get(repeat, 0) * index)


def months_later(first: datetime, months: int) -> datetime:
    """The same day so many months later, or the last day of that month."""
    years, month = divmod(first.month - 1 + months, 12)
    year = first.year + years
    return first.replace(year=year, month=month + 1, day=min(first.day, calendar.monthrange(year, month + 1)[1]))
