"""What every command begins with: settings that hold, and servers to talk to."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import rich_click as click

if TYPE_CHECKING:
    from plixa.kernel.embedded import EmbeddedServers
    from plixa.kernel.settings import Settings


def settings_or_exit() -> "Settings":
    """The settings, or one sentence and the exit code 1."""
    from plixa.kernel.settings import SettingsError, load_settings

    try:
        return load_settings()
    except SettingsError as error:
        raise click.ClickException(str(error)) from error


@contextmanager
def connected() -> "Iterator[Settings]":
    """Settings whose servers run: those named by URL, else the embedded ones for as long as the block lasts."""
    from plixa.kernel.embedded import EmbeddedServers

    servers = EmbeddedServers()
    try:
        yield start_servers(servers, settings_or_exit())
    finally:
        servers.stop()


def start_servers(servers: "EmbeddedServers", settings: "Settings") -> "Settings":
    """Start what is not given, and tell child processes by environment."""
    import msgspec

    from plixa.kernel.embedded import EmbeddedError

    try:
        endpoints = servers.start(settings.home, settings.database_url, settings.redis_url)
    except EmbeddedError as error:
        raise click.ClickException(str(error)) from error
    os.environ |= {"PLIXA_DATABASE_URL": endpoints.database_url, "PLIXA_REDIS_URL": endpoints.redis_url}
    return msgspec.structs.replace(settings, database_url=endpoints.database_url, redis_url=endpoints.redis_url)


def without_alchemy() -> None:
    """For a process at work: Litestar loads advanced-alchemy, with all of SQLAlchemy, wherever it is installed; only migrating needs it.

    It is half a second of a start and 30 MB, for a kind of page that none of our lists has.
    """
    sys.modules["advanced_alchemy"] = None  # type: ignore[assignment]
