"""``plixa up``: servers, then migrations and demo data, then the processes, watched until somebody says stop."""

import fcntl
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

import httpx
import rich_click as click
import watchfiles
from msgspec import Struct

from plixa.cli.context import settings_or_exit, start_servers
from plixa.cli.data import sign_in_lines
from plixa.kernel.embedded import EmbeddedError, EmbeddedServers
from plixa.kernel.settings import Settings

READY_SECONDS: Final = 60
STOP_SECONDS: Final = 20
LONGEST_PAUSE: Final = 30.0
"""Seconds before a process that keeps dying is started again."""
STEADY_SECONDS: Final = 60.0
"""Having lived that long, a process is taken for healthy and its pauses start over."""
LARGEST_LOG: Final = 10_000_000
"""Bytes; a larger log is put aside when its process starts."""


class Child:
    """One process of ours."""

    def __init__(self, name: str, *arguments: str, logs: Path) -> None:
        self.name = name
        self.log = logs / f"{name}.log"
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None
        self._pause = 0.5
        self._started = 0.0
        self._next = 0.0

    @property
    def pid(self) -> int:
        """0 before the first start."""
        return self._process.pid if self._process else 0

    def start(self) -> None:
        """Its standard input is a pipe from us: when we are killed it closes, and the child leaves."""
        if self.log.exists() and self.log.stat().st_size > LARGEST_LOG:
            self.log.replace(self.log.with_suffix(".log.1"))
        self._let_go()
        command = [sys.executable, "-m", "plixa.cli", *self._arguments, "--supervised"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True)
        self._started = time.monotonic()
        self._next = 0.0

    def watch(self) -> str | None:
        """Start it again when it has died, after a pause that grows; returns a line for the person watching."""
        if self._process is None or self._process.poll() is None:
            return None
        now = time.monotonic()
        if not self._next:
            self._pause = 0.5 if now - self._started > STEADY_SECONDS else min(self._pause * 2, LONGEST_PAUSE)
            self._next = now + self._pause
            return f"{self.name} stopped ({self._process.returncode}), starts again in {self._pause:.0f} s: {self.log}"
        if now >= self._next:
            self.start()
        return None

    def ask_to_stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def stop(self) -> None:
        """Politely, then not."""
        self.ask_to_stop()
        if self._process is None:
            return
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._let_go()

    def _let_go(self) -> None:
        """Close our end of a pipe that nobody reads any more."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()


def run(*, reload: bool) -> None:
    """Everything a laptop needs, until SIGTERM or Ctrl-C."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    settings = settings_or_exit()
    servers = EmbeddedServers()
    with _alone(settings):
        _refuse_taken_ports(settings)
        try:
            _run(settings, servers, stop, reload=reload)
        finally:
            servers.stop()


def _run(settings: Settings, servers: EmbeddedServers, stop: threading.Event, *, reload: bool) -> None:
    settings = start_servers(servers, settings)
    sign_in = _prepare(settings)
    os.environ |= {"PLIXA_EVOLUTION_URL": settings.gateway_url, "PLIXA_EVOLUTION_API_KEY": settings.gateway_api_key}
    children = _children(settings)
    try:
        for child in children:
            child.start()
        if _wait_until_ready(settings, children, stop):
            click.echo(_block(settings, sign_in))
        if reload:
            threading.Thread(target=_follow_files, args=(children, stop), daemon=True).start()
        _watch(children, servers, stop)
    finally:
        click.echo("Stopping …")
        _stop(children)


def _prepare(settings: Settings) -> Struct:
    """Migrate, and make the demo world when there is none; answers who may sign in to it."""
    from plixa import seeds
    from plixa.kernel import migrations

    migrations.migrate(str(settings.database_url))
    sign_in: Struct = seeds.seed_demo(settings)
    return sign_in


def _children(settings: Settings) -> list[Child]:
    """In the order in which they start; they stop the other way round."""
    logs = settings.home / "logs"
    logs.mkdir(mode=0o700, exist_ok=True)
    sandbox = [] if settings.evolution_url else [Child("sandbox", "sandbox", "serve", logs=logs)]
    return [*sandbox, *(Child(name, name, logs=logs) for name in ("scheduler", "worker", "web"))]


def _wait_until_ready(settings: Settings, children: list[Child], stop: threading.Event) -> bool:
    host = "127.0.0.1" if settings.host in {"0.0.0.0", "::"} else settings.host  # noqa: S104 - compared, not bound
    address = f"http://{host}:{settings.port}/ready"
    deadline = time.monotonic() + READY_SECONDS
    found = "no answer"
    while time.monotonic() < deadline and not stop.wait(0.1):
        try:
            answer = httpx.get(address, timeout=5, trust_env=False)
        except httpx.TransportError:
            _report(children)
            continue
        if answer.is_success:
            return True
        found = answer.text
    if not stop.is_set():
        click.echo(f"Plixa is not ready after {READY_SECONDS} s: {found}. Its logs: {settings.home / 'logs'}", err=True)
    return False


def _block(settings: Settings, sign_in: Struct) -> str:
    lines = [
        "",
        f"{'API':<16}{settings.public_url}",
        f"{'API reference':<16}{settings.public_url}/docs",
        sign_in_lines(sign_in),
        f"{'Gateway':<16}{settings.evolution_url or f'sandbox at {settings.gateway_url}'}",
        f"{'Data and logs':<16}{settings.home}",
        "",
        "Ctrl-C stops everything.",
    ]
    return "\n".join(lines)


def _watch(children: list[Child], servers: EmbeddedServers, stop: threading.Event) -> None:
    while not stop.wait(0.5):
        _report(children)
        try:
            for name in servers.revive():
                click.echo(f"{name} had stopped and was started again.", err=True)
        except EmbeddedError as error:
            click.echo(str(error), err=True)


def _report(children: list[Child]) -> None:
    for child in children:
        if line := child.watch():
            click.echo(line, err=True)


def _follow_files(children: list[Child], stop: threading.Event) -> None:
    """A change ends every process of ours but the sandbox; the watch starts them again."""
    package = Path(__file__).parents[1]
    for _ in watchfiles.watch(package, package.parent / "projections", stop_event=stop):
        for child in children:
            if child.name != "sandbox":
                child.ask_to_stop()


def _stop(children: list[Child]) -> None:
    for child in reversed(children):
        child.stop()


@contextmanager
def _alone(settings: Settings) -> "Iterator[IO[str]]":
    """One ``plixa up`` for a home."""
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (settings.home / "up.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise click.ClickException(
                f"Plixa runs already with the data in {settings.home}. For a second one set PLIXA_HOME and PLIXA_PORT."
            ) from error
        yield lock


def _refuse_taken_ports(settings: Settings) -> None:
    """The web server shares its port with its like, so a second one would answer every other request."""
    places = [(settings.host, settings.port)]
    if settings.evolution_url is None:
        places.append(("127.0.0.1", settings.sandbox_port))
    for host, port in places:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as attempt:
            attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                attempt.bind((host, port))
            except OSError as error:
                raise click.ClickException(f"PLIXA_PORT: {host}:{port} cannot be used: {error.strerror}.") from error
