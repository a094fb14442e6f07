"""Everything the bench runs besides itself: databases in a home of its own, and web servers, each stopped by its process id."""

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import psutil
from msgspec import Struct

from plixa.kernel.embedded import EmbeddedServers, Endpoints
from plixa.kernel.migrations import migrate
from plixa.kernel.settings import FILE, load_settings

ROOT = Path(__file__).parents[2]
SECRET_KEY = "the bench keeps nothing that is worth hiding"
START_SECONDS = 30.0
STOP_SECONDS = 20.0
POLL = 0.01
REFERENCE = "tests.bench.reference:app"


class Unstarted(Exception):
    """A web server did not answer in time; the end of what it said."""


class Place(Struct, frozen=True):
    """A home whose servers run, with a migrated database."""

    home: Path
    endpoints: Endpoints

    @property
    def environ(self) -> dict[str, str]:
        """The environment of every program of the bench: settings of a production, nothing of the caller's own."""
        own = {name: value for name, value in os.environ.items() if not name.startswith("PLIXA_")}
        return own | {
            "PYTHONPATH": str(ROOT),
            "PLIXA_ENVIRONMENT": "production",
            "PLIXA_HOME": str(self.home),
            "PLIXA_PUBLIC_URL": "https://bench.example",
            "PLIXA_SECRET_KEY": SECRET_KEY,
            "PLIXA_WEB_WORKERS": "1",
            "PLIXA_DATABASE_URL": self.endpoints.database_url,
            "PLIXA_REDIS_URL": self.endpoints.redis_url,
            "PLIXA_BENCH_DATABASE": self.endpoints.database_url,
        }


@contextmanager
def place(home: Path) -> Iterator[Place]:
    """Embedded servers, as durable as everybody's, for a block."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write_settings(home)
    servers = EmbeddedServers()
    try:
        endpoints = servers.start(home)
        migrate(endpoints.database_url)
        yield Place(home, endpoints)
    finally:
        servers.stop()


def _write_settings(home: Path) -> None:
    """Plixa's own, with throttles that count but never refuse."""
    text = (ROOT / FILE).read_text()
    (home / FILE).write_text(re.sub(r'\blimits = "[^"]*"', 'limits = "1000000000/minute"', text))


class Web:
    """A web server with one worker. ``seconds`` is how long it took to answer first."""

    def __init__(self, command: list[str], where: Place, *, port: int, ready: str) -> None:
        self.port = port
        self.log = where.home / f"web-{port}.log"
        environ = where.environ | {"PLIXA_PORT": str(port)}
        began = time.monotonic()
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(command, cwd=where.home, env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._wait(began + START_SECONDS, ready)
        self.seconds = time.monotonic() - began

    def _wait(self, deadline: float, ready: str) -> None:
        pause = Event()
        while not answers(self.port, ready):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise Unstarted(self.log.read_text()[-4000:])
            pause.wait(POLL)

    @property
    def worker(self) -> psutil.Process:
        """The process that answers requests."""
        children = psutil.Process(self._process.pid).children(recursive=True)
        return max(children or [psutil.Process(self._process.pid)], key=lambda one: one.memory_info().rss)

    def memory(self) -> float:
        """MB the worker holds."""
        return float(self.worker.memory_info().rss) / 1e6

    def stop(self) -> None:
        """Ask it to leave; kill it, and what it started, when it does not."""
        if self._process.poll() is not None:
            return
        family = psutil.Process(self._process.pid).children(recursive=True)
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for one in family:
            if one.is_running():
                one.kill()


def plixa_web(where: Place) -> Web:
    """Plixa's own."""
    command = [sys.executable, "-m", "plixa.cli", "web"]
    return Web(command, where, port=free_port(), ready="/ready")


def reference_web(where: Place) -> Web:
    """The reference programs, served in the same way."""
    port = free_port()
    options = ["--interface", "asgi", "--loop", "uvloop", "--http", "1", "--no-ws", "--workers", "1", "--log-level", "warning"]
    command = [sys.executable, "-m", "granian", *options, "--port", str(port), REFERENCE]
    return Web(command, where, port=port, ready="/list/all")


@contextmanager
def stopping(*webs: Web) -> Iterator[None]:
    """Stop them when the block ends, however it ends."""
    try:
        yield
    finally:
        for web in webs:
            web.stop()


def free_port() -> int:
    """A port nobody listens on, and neither on the next one."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


def answers(port: int, path: str) -> bool:
    """Whether GET answers 200."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
            return connection.recv(64).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def restored(environ: Mapping[str, str]) -> tuple[bytes, ...]:
    """The master keys behind an environment."""
    return load_settings(environ).secret_keys
