"""The embedded servers: PostgreSQL 18 and Valkey out of their wheels, data in ``PLIXA_HOME``, by unix sockets only.

Both run as daemons of their own, so they outlive a killed parent and the next start finds them. Every user of a home
holds a shared lock on it, which goes with the process even after ``kill -9``; the last one to leave stops them.
"""

import fcntl
import os
from pathlib import Path
from typing import IO

from msgspec import Struct

from plixa.kernel.embedded.daemon import EmbeddedError, answers, forget_socket_folder, refuse_foreign_owner
from plixa.kernel.embedded.postgres import Postgres
from plixa.kernel.embedded.valkey import Valkey

__all__ = ["EmbeddedError", "EmbeddedServers", "Endpoints"]


class Endpoints(Struct, frozen=True):
    """Where the application finds its servers."""

    database_url: str
    redis_url: str


class EmbeddedServers:
    """One process's hold on the servers of one home."""

    def __init__(self) -> None:
        self._home: Path | None = None
        self._hold: IO[str] | None = None
        self._servers: list[Postgres | Valkey] = []

    def start(self, home: Path, database_url: str | None = None, redis_url: str | None = None) -> Endpoints:
        """Find or start the servers whose URL is not given; a given URL is passed through."""
        if database_url and redis_url:
            return Endpoints(database_url, redis_url)
        self._home = home.expanduser().resolve()
        self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
        refuse_foreign_owner(self._home, os.geteuid())
        postgres, valkey = Postgres(self._home), Valkey(self._home)
        self._servers = [server for server, url in ((postgres, database_url), (valkey, redis_url)) if url is None]
        with _locked(self._home / "starting.lock"):
            if self._hold is None:
                self._hold = _open_locked(self._home / "users.lock", fcntl.LOCK_SH)
            for server in self._servers:
                server.start()
        return Endpoints(database_url or postgres.url, redis_url or valkey.url)

    def revive(self) -> list[str]:
        """Start again what has died; returns the names of what was started."""
        dead = [server for server in self._servers if not answers(server.socket)]
        if not dead or self._home is None:
            return []
        with _locked(self._home / "starting.lock"):
            for server in dead:
                server.start()
        return [type(server).__name__ for server in dead]

    def stop(self) -> None:
        """Let go of the servers, and stop them when nobody else uses them."""
        if self._home is None or self._hold is None:
            return
        with _locked(self._home / "starting.lock"), self._hold as hold:
            self._hold = None
            if _try_lock(hold):
                for server in reversed(self._servers):
                    server.stop()
                forget_socket_folder(self._home)


def _locked(file: Path) -> IO[str]:
    """Hold the file's exclusive lock until the returned file is closed."""
    return _open_locked(file, fcntl.LOCK_EX)


def _open_locked(file: Path, kind: int) -> IO[str]:
    handle = file.open("w")
    fcntl.flock(handle, kind)
    return handle


def _try_lock(handle: IO[str]) -> bool:
    """Whether nobody else holds the file."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
