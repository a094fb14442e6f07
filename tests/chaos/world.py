"""Real processes on servers of their own: started, killed without warning, started again, and stopped by their ids."""

import asyncio
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx
import psutil
from msgspec import Struct
from redis import Redis

from plixa.kernel.assembly import Machinery, assemble, running
from plixa.kernel.embedded import EmbeddedServers, Endpoints
from plixa.kernel.embedded.postgres import Postgres
from plixa.kernel.migrations import migrate
from plixa.kernel.settings import FILE, Settings, load_settings
from plixa.kernel.uow import Kernel
from plixa.whatsapp.commands.instances import webhook_secret
from plixa.whatsapp.sandbox import Timing
from projections.registry import INLINE
from tests.whatsapp import loopback
from tests.whatsapp.loopback import Sandbox

ROOT = Path(__file__).parents[2]
GATEWAY = loopback.KEY
SECONDS = 30.0
"""Any process is ready within them, on a machine that does other things besides."""
PASSWORD = "correct horse battery"
HOOKS = "/v1/webhooks/evolution"
FORM = {"name": "Lucia", "password": PASSWORD, "password_confirmation": PASSWORD, "company_name": "Lúcia Studios"}


class Unstarted(Exception):
    """A process did not get ready in time; the end of its log."""


class Place(Struct, frozen=True):
    """A home with servers of its own, and the port where its web processes listen."""

    home: Path
    servers: EmbeddedServers
    endpoints: Endpoints
    port: int
    gateway_url: str = "http://127.0.0.1:9"

    @property
    def url(self) -> str:
        """Where Plixa answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def given(self) -> dict[str, str]:
        """What the processes are told."""
        return {
            "PLIXA_ENVIRONMENT": "test",
            "PLIXA_HOME": str(self.home),
            "PLIXA_PORT": str(self.port),
            "PLIXA_SECRET_KEY": "a key for chaos and for nothing else whatever",
            "PLIXA_WEB_WORKERS": "1",
            "PLIXA_DATABASE_URL": self.endpoints.database_url,
            "PLIXA_REDIS_URL": self.endpoints.redis_url,
            "PLIXA_EVOLUTION_URL": self.gateway_url,
            "PLIXA_EVOLUTION_API_KEY": GATEWAY,
        }

    @property
    def settings(self) -> Settings:
        """The same for this process."""
        return load_settings(self.given)

    def web(self) -> "Process":
        """A web process; any number may listen on the one port."""
        return Process(self, "-m", "plixa.cli", "web")

    def worker(self) -> "Process":
        """A worker."""
        return Process(self, "-m", "plixa.cli", "worker")

    def kill_postgres(self) -> None:
        """End every process of the database at once, as a power cut would, and start it again."""
        postmaster = psutil.Process(int((Postgres(self.home).data / "postmaster.pid").read_text().split(maxsplit=1)[0]))
        kill_family(postmaster)
        self.servers.revive()

    def empty_valkey(self) -> None:
        """Make Valkey forget everything, kill it and start it again."""
        with Redis.from_url(self.endpoints.redis_url) as redis:
            pid = redis.info()["process_id"]
            redis.flushall()
        kill_family(psutil.Process(pid))
        self.servers.revive()

    @asynccontextmanager
    async def machinery(self) -> AsyncIterator[Machinery]:
        """A process's machinery inside this one, to look at what the others did."""
        machinery = assemble(self.settings, INLINE)
        async with running(machinery):
            yield machinery


class Process:
    """One program of ours and what it started."""

    def __init__(self, place: Place, *arguments: str, environ: Mapping[str, str] | None = None) -> None:
        own = {name: value for name, value in os.environ.items() if not name.startswith("PLIXA_")}
        self._environ = {**own, **place.given, "PYTHONPATH": str(ROOT), **(environ or {})}
        self._place, self._arguments = place, arguments
        self.log = place.home / f"{arguments[-1]}-{secrets.token_hex(3)}.log"
        self._process = self._launch()

    def _launch(self) -> "subprocess.Popen[bytes]":
        with self.log.open("ab") as log:
            command = [sys.executable, *self._arguments]
            return subprocess.Popen(command, cwd=self._place.home, env=self._environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    @property
    def pid(self) -> int:
        """Of its present life."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """It has not ended."""
        return self._process.poll() is None

    def kill(self) -> None:
        """SIGKILL, to what it started too."""
        if self.alive:
            kill_family(psutil.Process(self._process.pid))
        self._process.wait()

    def restart(self) -> None:
        """Kill it and start it again."""
        self.kill()
        self._process = self._launch()

    def start(self) -> None:
        """Start it again where it ended by itself."""
        if not self.alive:
            self._process = self._launch()

    def stop(self) -> None:
        """Ask it to leave; kill it when it does not."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self.kill()


def kill_family(process: psutil.Process) -> None:
    """SIGKILL to a process and its children, the parent first so that it starts no new ones."""
    family = [process, *process.children(recursive=True)]
    for one in family:
        if one.is_running():
            one.kill()
    _, left = psutil.wait_procs(family, SECONDS)
    assert left == []


@contextmanager
def place_at(home: Path) -> Iterator[Place]:
    """Servers of their own, durable as everybody's, migrated, with throttles that never refuse."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    (home / FILE).write_text(re.sub(r'\blimits = "[^"]*"', 'limits = "1000000000/minute"', (ROOT / FILE).read_text()))
    servers = EmbeddedServers()
    try:
        endpoints = servers.start(home)
        migrate(endpoints.database_url)
        yield Place(home, servers, endpoints, free_port())
    finally:
        servers.stop()


@contextmanager
def stopping(*processes: Process) -> Iterator[None]:
    """Stop them when the block ends, however it ends."""
    try:
        yield
    finally:
        for process in processes:
            process.stop()


@asynccontextmanager
async def struck(seconds: float, *blows: Callable[[], None]) -> AsyncIterator[list[float]]:
    """Beside the block one blow every so many seconds, in turn; answers the moments, in seconds of the monotonic clock."""
    over, moments = asyncio.Event(), list[float]()

    async def strike() -> None:
        for blow in cycle(blows):
            try:
                async with asyncio.timeout(seconds):
                    await over.wait()
                return
            except TimeoutError:
                moments.append(time.monotonic())
                await asyncio.to_thread(blow)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(strike())
        try:
            yield moments
        finally:
            over.set()


@contextmanager
def sandbox_for(place: Place, timing: Timing) -> Iterator[tuple[Place, Sandbox]]:
    """The place with a sandbox gateway of its own beside it, whose webhooks go to Plixa."""
    home = place.home / f"sandbox-{secrets.token_hex(3)}"
    with loopback.running(home, loopback.Receiver(), place.url, timing) as gateway:
        yield Place(place.home, place.servers, place.endpoints, place.port, gateway.url), gateway


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


def http() -> httpx.AsyncClient:
    """A client that reads no certificates."""
    return httpx.AsyncClient(timeout=30, trust_env=False, verify=False, limits=httpx.Limits(max_connections=64))


async def wait_ready(place: Place) -> None:
    """Until Plixa says that it is ready."""
    deadline = time.monotonic() + SECONDS
    async with http() as client:
        while not await is_ready(client, place.url):
            if time.monotonic() > deadline:
                logs = sorted(place.home.glob("web-*.log"), key=lambda one: one.stat().st_mtime)
                raise Unstarted(logs[-1].read_text()[-3000:] if logs else "")
            await asyncio.sleep(0.05)


async def is_ready(client: httpx.AsyncClient, url: str) -> bool:
    """Whether ``/ready`` answers well."""
    try:
        return (await client.get(f"{url}/ready")).is_success
    except httpx.TransportError:
        return False


class Shop(Struct, frozen=True):
    """A registered workspace with one WhatsApp number."""

    place: Place
    kernel: Kernel
    tenant: int
    token: str
    instance: int
    gateway_name: str

    @property
    def headers(self) -> dict[str, str]:
        """What its owner's requests carry."""
        return {"Authorization": f"Bearer {self.token}"}

    @property
    def hook(self) -> tuple[str, dict[str, str]]:
        """Where the gateway tells of its number, and what it must carry."""
        secret = webhook_secret(self.place.settings, self.gateway_name)
        return f"{self.place.url}{HOOKS}/{self.gateway_name}", {"X-Plixa-Token": secret}

    async def rows(self, query: str, *arguments: Any) -> list[dict[str, Any]]:
        """What a query finds with the system's eyes; ``$1`` is the tenant."""
        async with self.kernel.system.connection() as connection:
            return [dict(row) for row in await connection.fetch(query, self.tenant, *arguments)]


async def open_shop(place: Place, kernel: Kernel, client: httpx.AsyncClient) -> Shop:
    """Register a workspace and add a number, as people do."""
    form = FORM | {"email": f"lucia-{secrets.token_hex(6)}@example.com", "country_code": "BR"}
    registered = await client.post(f"{place.url}/v1/auth/register", json=form)
    assert registered.status_code == 201, registered.text
    told = registered.json()["data"]
    headers = {"Authorization": f"Bearer {told['token']}"}
    added = await client.post(f"{place.url}/v1/phone-instances", headers=headers)
    assert added.status_code == 201, added.text
    number = added.json()["data"]["id"]
    async with kernel.system.connection() as connection:
        name = await connection.fetchval("SELECT gateway_name FROM phone_instance WHERE id = $1", number)
    return Shop(place, kernel, told["tenant"]["id"], told["token"], number, name)


async def until(condition: Any, seconds: float, what: str, pause: float = 0.1) -> float:
    """Poll an asynchronous condition until it holds; answers the seconds it took."""
    began = time.monotonic()
    while not await condition():
        if time.monotonic() - began > seconds:
            raise AssertionError(f"{what}: not within {seconds} s")
        await asyncio.sleep(pause)
    return time.monotonic() - began


async def pair(shop: Shop) -> None:
    """Until the sandbox has scanned the QR of the shop's number by itself."""

    async def connected() -> bool:
        return bool(await shop.rows("SELECT FROM phone_instance WHERE tenant_id = $1 AND status = 'connected'"))

    await until(connected, SECONDS, "the number is connected")
