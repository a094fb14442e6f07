"""Times as people give them: with an offset they are instants, without one they are wall time of a zone."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from plixa.kernel.errors import Invalid


class NonexistentLocalTime(Invalid):
    code = "NONEXISTENT_LOCAL_TIME"
    default = "This time does not exist where the clocks are set forward. Choose another."


def instant(given: datetime, zone: str, field: str) -> datetime:
    """The instant in UTC. Of a wall time that comes twice the earlier; raises NonexistentLocalTime for one that is skipped."""
    try:
        moment = (given if given.tzinfo is not None else given.replace(tzinfo=ZoneInfo(zone))).astimezone(UTC)
    except OverflowError as error:
        raise Invalid.field(field, "Is too large.") from error
    if given.tzinfo is None and moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None) != given:
        raise NonexistentLocalTime(details={field: [NonexistentLocalTime.default]})
    return moment
