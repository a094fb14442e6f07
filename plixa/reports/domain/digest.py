"""When a digest goes out, which days of the workspace it covers, and what it counts."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Final, Literal

from babel import Locale, UnknownLocaleError
from babel.dates import format_interval, format_timedelta
from babel.numbers import format_decimal
from msgspec import Struct

from plixa.kernel.clock import first_instant

Frequency = Literal["daily", "weekly", "monthly"]
RUN: Final = time(9, tzinfo=UTC)
DAY: Final = timedelta(days=1)


class Period(Struct, frozen=True):
    """Whole days of a workspace, in its zone."""

    first: date
    last: date
    zone: str

    @property
    def start(self) -> datetime:
        """The instant at which it begins."""
        return midnight(self.first, self.zone)

    @property
    def end(self) -> datetime:
        """The instant at which it is over."""
        return midnight(self.last + DAY, self.zone)


class Bar(Struct, frozen=True):
    """What came and went in one hour or on one day."""

    label: str
    received: int
    sent: int


class Stats(Struct, frozen=True):
    """What a period came to; ``seconds`` is what all first answers took together."""

    opened: int
    reopened: int
    closed: int
    received: int
    sent: int
    answers: int
    seconds: int
    bars: tuple[Bar, ...] = ()

    @property
    def is_silent(self) -> bool:
        """Did nothing happen?"""
        return not any((self.opened, self.reopened, self.closed, self.received, self.sent))

    def told(self, locale: str) -> dict[str, str]:
        """As a mail tells them."""
        language = locale_of(locale)
        numbers = {name: getattr(self, name) for name in ("opened", "reopened", "closed", "received", "sent", "answers")}
        average = timedelta(seconds=self.seconds // self.answers) if self.answers else None
        lasted = format_timedelta(average, threshold=2, locale=language) if average is not None else "–"
        return {**{name: format_decimal(number, locale=language) for name, number in numbers.items()}, "answer_time": lasted}


def is_run(frequency: Frequency, day: date) -> bool:
    """Does one go out on this day?"""
    return frequency == "daily" or (frequency == "weekly" and day.weekday() == 0) or (frequency == "monthly" and day.day == 1)


def next_run(frequency: Frequency, after: datetime) -> datetime:
    """The first run later than this."""
    day = after.astimezone(UTC).date()
    while not is_run(frequency, day) or datetime.combine(day, RUN) <= after:
        day += DAY
    return datetime.combine(day, RUN)


def first_run(frequency: Frequency, now: datetime) -> datetime:
    """Of a workspace that enrols: tomorrow's at the earliest."""
    return next_run(frequency, datetime.combine(now.astimezone(UTC).date(), time.max, UTC))


def last_run(frequency: Frequency, now: datetime) -> datetime:
    """The newest run that is not later than this."""
    day = now.astimezone(UTC).date()
    while not is_run(frequency, day) or datetime.combine(day, RUN) > now:
        day -= DAY
    return datetime.combine(day, RUN)


def covered(frequency: Frequency, run_at: datetime, zone: str) -> Period:
    """Yesterday, the last week or the last month. Where yesterday may not be over yet at that hour (Hawaii), all of it is a day earlier."""
    today = run_at.date()
    length = {"daily": 1, "weekly": 7, "monthly": (today - DAY).day}[frequency]
    last = today - 2 * DAY if lags(zone, today.year) else today - DAY
    return Period(last - (length - 1) * DAY, last, zone)


def lags(zone: str, year: int) -> bool:
    """Are runs before a day's end there, in summer or in winter? In both then (Adak): else a day would be told twice, another never."""
    days = (date(year, month, 1) for month in (1, 7))
    return any(midnight(day, zone) > datetime.combine(day, RUN) for day in days)


def midnight(day: date, zone: str) -> datetime:
    """The instant in UTC at which a day begins there."""
    return first_instant(datetime.combine(day, time()), zone)


def days_told(period: Period, locale: str) -> str:
    """As a mail names them: ``Nov 16 – 22, 2026``."""
    return str(format_interval(period.first, period.last, "yMMMd", locale=locale_of(locale)))


def locale_of(name: str) -> Locale:
    """The locale of a name such as ``pt-BR``, English for one that is unknown."""
    try:
        return Locale.parse(name, sep="-")
    except (UnknownLocaleError, ValueError):
        return Locale("en")
