"""The embedded servers: found again, shared, brought back, and gone when the last user leaves."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import asyncpg
import psutil
import pytest
from redis.asyncio import Redis

from plixa.kernel.embedded import EmbeddedError, EmbeddedServers, Endpoints
from plixa.kernel.embedded.daemon import answers, socket_folder, wait_until_gone


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """Not pytest's own folder: it shuts out PostgreSQL's system user, again and again, when the tests run as root."""
    with TemporaryDirectory(prefix="plixa-test-") as place:
        yield Path(place)


@pytest.fixture(scope="module")
def home(place: Path) -> Path:
    """With a space and an accent in its name, and too long for a socket."""
    return place / "loja são paulo" / ("x" * 80)


@pytest.fixture
def servers() -> Iterator[EmbeddedServers]:
    """Stopped in the end, whatever was started with them."""
    servers = EmbeddedServers()
    yield servers
    servers.stop()


@pytest.fixture(scope="module")
def held(place: Path) -> Iterator[Endpoints]:
    """Servers that stay up for the tests that only look."""
    servers = EmbeddedServers()
    yield servers.start(place / "held")
    servers.stop()


async def ask(endpoints: Endpoints, query: str) -> Any:
    connection = await asyncpg.connect(endpoints.database_url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def remember(endpoints: Endpoints) -> int:
    async with Redis.from_url(endpoints.redis_url) as redis:
        return int(await redis.incr("starts"))


def postmaster(home: Path) -> int:
    return int((home / "postgres/postmaster.pid").read_text().split()[0])


def valkey(home: Path) -> int:
    return int((home / "valkey/server.pid").read_text())


def kill_both(home: Path) -> None:
    kill(home, postmaster(home), "postgres", ".s.PGSQL.5432")
    kill(home, valkey(home), "valkey-server", "valkey.sock")


def kill(home: Path, pid: int, name: str, socket: str) -> None:
    os.kill(pid, signal.SIGKILL)
    wait_until_gone(pid, name)
    deadline = time.monotonic() + 10
    while answers(socket_folder(home) / socket):  # also while a child that was just forked holds what it inherited
        assert time.monotonic() < deadline


def lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def test_the_database_keeps_what_it_acknowledges(held: Endpoints) -> None:
    wanted = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on", "data_checksums": "on"}
    found = {name: await ask(held, f"SHOW {name}") for name in wanted}
    assert found == wanted
    assert await ask(held, "SHOW wal_level") == "replica"
    assert await ask(held, "SELECT current_database()") == "plixa"


async def test_valkey_writes_to_disk_and_never_evicts(held: Endpoints) -> None:
    async with Redis.from_url(held.redis_url, decode_responses=True) as redis:
        assert await redis.config_get("append*") == {
            "appendonly": "yes",
            "appendfsync": "everysec",
            "appendfilename": "appendonly.aof",
            "appenddirname": "appendonlydir",
        }
        assert await redis.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


async def test_neither_server_listens_on_the_network(servers: EmbeddedServers, home: Path) -> None:
    servers.start(home)
    for pid in (postmaster(home), valkey(home)):
        assert [each for each in psutil.Process(pid).net_connections("inet") if each.status == psutil.CONN_LISTEN] == []


async def test_a_second_start_finds_the_data_again(home: Path) -> None:
    first = EmbeddedServers()
    before = await remember(first.start(home))
    first.stop()
    second = EmbeddedServers()
    after = await remember(second.start(home))
    second.stop()
    assert after == before + 1


def test_the_last_one_to_leave_stops_the_servers(home: Path) -> None:
    first, second = EmbeddedServers(), EmbeddedServers()
    first.start(home)
    second.start(home)
    running = [postmaster(home), valkey(home)]
    first.stop()
    assert all(lives(pid) for pid in running)
    second.stop()
    assert not any(lives(pid) for pid in running)


def test_stopping_twice_is_harmless(servers: EmbeddedServers, home: Path) -> None:
    servers.start(home)
    servers.stop()
    servers.stop()


async def test_killed_servers_come_back_with_their_data(servers: EmbeddedServers, home: Path) -> None:
    endpoints = servers.start(home)
    before = await remember(endpoints)
    assert servers.revive() == []
    kill_both(home)
    assert servers.revive() == ["Postgres", "Valkey"]
    assert await remember(endpoints) == before + 1
    assert await ask(endpoints, "SELECT 1") == 1


def test_what_a_killed_server_leaves_behind_is_waited_for(servers: EmbeddedServers, home: Path) -> None:
    servers.start(home)
    server = postmaster(home)
    child = psutil.Process(server).children()[0]
    child.suspend()
    kill(home, server, "postgres", ".s.PGSQL.5432")
    with ThreadPoolExecutor(1) as pool:
        reviving = pool.submit(servers.revive)
        try:
            with pytest.raises(TimeoutError):
                reviving.result(timeout=5)
        finally:
            child.resume()
        assert reviving.result() == ["Postgres"]


def test_a_killed_user_leaves_servers_that_the_next_one_reuses_and_stops(home: Path) -> None:
    program = "import os, sys; from pathlib import Path; from plixa.kernel.embedded import EmbeddedServers\n"
    program += f"EmbeddedServers().start(Path(sys.argv[1])); os.kill(os.getpid(), {int(signal.SIGKILL)})"
    killed = subprocess.run([sys.executable, "-c", program, str(home)], check=False)
    assert killed.returncode == -signal.SIGKILL
    left = postmaster(home)
    servers = EmbeddedServers()
    servers.start(home)
    assert postmaster(home) == left
    servers.stop()
    assert not lives(left)


async def test_a_pid_file_left_by_a_power_cut_does_not_stop_the_start(servers: EmbeddedServers, home: Path) -> None:
    servers.start(home)
    lines = (home / "postgres/postmaster.pid").read_text().splitlines()
    kill_both(home)
    servers.revive()
    servers.stop()
    (home / "postgres/postmaster.pid").write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
    (home / "valkey/server.pid").write_text(f"{os.getpid()}\n")
    assert await ask(servers.start(home), "SELECT 1") == 1


def test_given_urls_are_passed_through_and_nothing_is_started(servers: EmbeddedServers, tmp_path: Path) -> None:
    given = ("postgresql://db.example/plixa", "redis://cache.example/0")
    assert servers.start(tmp_path, *given) == Endpoints(*given)
    assert not (tmp_path / "postgres").exists()


async def test_two_homes_stand_side_by_side(held: Endpoints, servers: EmbeddedServers, home: Path) -> None:
    other = servers.start(home)
    await ask(held, "CREATE TABLE only_here ()")
    assert await ask(other, "SELECT to_regclass('only_here')") is None


async def test_the_callers_own_postgres_variables_do_not_matter(
    servers: EmbeddedServers, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"PGPORT": "1", "PGDATA": "nowhere", "PGOPTIONS": "-c nonsense", "LC_ALL": "tlh_QO"}.items():
        monkeypatch.setenv(name, value)
    endpoints = servers.start(home)
    for name in ("PGPORT", "PGOPTIONS"):
        monkeypatch.delenv(name)
    assert await ask(endpoints, "SELECT 1") == 1


def test_data_of_another_user_is_left_alone(servers: EmbeddedServers, place: Path) -> None:
    folder = Path("/proc/1") if os.geteuid() else place / "foreign"
    if os.geteuid() == 0:
        folder.mkdir()
        os.chown(folder, 12345, 12345)
    with pytest.raises(EmbeddedError, match="run Plixa as that user"):
        servers.start(folder)


def test_data_that_cannot_be_used_is_refused_in_words(servers: EmbeddedServers, place: Path) -> None:
    servers.start(place / "broken")
    servers.stop()
    with (place / "broken/postgres/postgresql.conf").open("a") as file:
        file.write("no_such_setting = 1\n")
    with pytest.raises(EmbeddedError, match="no_such_setting"):
        servers.start(place / "broken")
    (place / "broken/postgres/PG_VERSION").write_text("14\n")
    with pytest.raises(EmbeddedError, match="belongs to PostgreSQL 14"):
        servers.start(place / "broken")
