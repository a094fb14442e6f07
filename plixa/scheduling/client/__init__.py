"""Google Calendar over HTTP, where the deployment has keys for it."""

from plixa.kernel.settings import Settings
from plixa.scheduling.client.answers import (
    AccessLost,
    AccessRefused,
    Changes,
    EventExists,
    EventGone,
    GoogleAway,
    GoogleError,
    GoogleRefused,
    Grant,
    SyncExpired,
    Watched,
)
from plixa.scheduling.client.google import NEEDED_SCOPE, Channel, Google

__all__ = [
    "NEEDED_SCOPE",
    "AccessLost",
    "AccessRefused",
    "Changes",
    "Channel",
    "EventExists",
    "EventGone",
    "Google",
    "GoogleAway",
    "GoogleError",
    "GoogleRefused",
    "Grant",
    "SyncExpired",
    "Watched",
    "create_google",
]


def create_google(settings: Settings) -> Google | None:
    """The client; None without keys."""
    return Google(settings) if settings.google_client_id and settings.google_client_secret else None
