"""Times as people give them: with an offset they are instants, without one they are wall time of a zone."""

from datetime import MAXYEAR, MINYEAR, UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from plixa.kernel.errors import Invalid


class NonexistentLocalTime(Invalid):
    code = "NONEXISTENT_LOCAL_TIME"
    default = "This time does not exist where the clocks are set forward. Choose another."


def instant(given: datetime, zone: str, field: str) -> datetime:
    """The instant in UTC. Of a wall time that comes twice the earlier; raises NonexistentLocalTime for one that is skipped, and Invalid in
    the first and the last year there are, so that whoever computes with it need not look out."""
    if not MINYEAR < given.year < MAXYEAR:
        raise Invalid.field(field, "Is too far away.")
    moment = (given if given.tzinfo is not None else given.replace(tzinfo=ZoneInfo(zone))).astimezone(UTC)
    if given.tzinfo is None and moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None) != given:
        raise NonexistentLocalTime(details={field: [NonexistentLocalTime.default]})
    return moment


def first_instant(local: datetime, zone: str) -> datetime:
    """The instant in UTC at which something begins by wall time: of two the first; of one that is skipped, the end of the gap."""
    first, second = both(local, zone)
    return first if first <= second else gap_end(second, first, zone)


def last_instant(local: datetime, zone: str) -> datetime:
    """The instant in UTC at which something ends by wall time: of two the second; of one that is skipped, the end of the gap."""
    first, second = both(local, zone)
    return second if first <= second else gap_end(second, first, zone)


def both(local: datetime, zone: str) -> tuple[datetime, datetime]:
    """What a wall time means by the offset before a change of the clocks, and by the one after it: in a gap the second is the earlier."""
    before, after = (local.replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC) for fold in (0, 1))
    return before, after


def gap_end(early: datetime, late: datetime, zone: str) -> datetime:
    """The instant between two at which the clocks of a zone are set forward, to the second."""
    info = ZoneInfo(zone)
    offset = early.astimezone(info).utcoffset()
    while late - early > timedelta(seconds=1):
        middle = (early + (late - early) / 2).replace(microsecond=0)
        if middle.astimezone(info).utcoffset() == offset:
            early = middle
        else:
            late = middle
    return late
