"""The bench itself, small: its log holds, its read models are what the log says, its table and its JSON come out."""

import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import asyncpg
import msgspec
import pytest

from plixa.kernel.crypto import Vault
from plixa.kernel.database import SYSTEM_ROLE, Database
from plixa.kernel.embedded import EmbeddedServers
from plixa.kernel.log import Log
from plixa.kernel.migrations import migrate
from plixa.kernel.projection import Rows
from plixa.kernel.verify import verify_chain
from projections.registry import INLINE
from tests.bench.load import Drive, Plan, request
from tests.bench.plan import Size, plan
from tests.bench.report import Figure, Line, Report, Target, ratio
from tests.bench.seed import Full, Order, Seeded, now, seed
from tests.bench.story import SECOND
from tests.whatsapp.loopback import serving

KEYS = (os.urandom(32),)
SMALL = Size(60, 1_200)


class World(msgspec.Struct, frozen=True):
    """A database seeded with next to nothing."""

    order: Order
    seeded: Seeded


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    servers = EmbeddedServers()
    with TemporaryDirectory(prefix="plixa-test-") as home:
        try:
            url = servers.start(Path(home)).database_url
            migrate(url)
            order = Order(database_url=url, secret_keys=KEYS, size=SMALL, until=now(), workers=2)
            yield World(order, seed(order))
        finally:
            servers.stop()


async def query(world: World, statement: str) -> "list[asyncpg.Record]":
    connection = await asyncpg.connect(world.order.database_url, server_settings={"timezone": "UTC"})
    try:
        return await connection.fetch(statement)
    finally:
        await connection.close()


async def folded(world: World) -> dict[str, Rows[Any]]:
    """The read models as the log, read through Plixa itself, says they are."""
    models = {projection.name: Rows(projection) for projection in INLINE}
    connection = await asyncpg.connect(world.order.database_url, server_settings={"timezone": "UTC"})
    try:
        batch = await Log(connection, Vault(KEYS), 1).read(0, limit=100_000)
    finally:
        await connection.close()
    for fact in batch.facts:
        for rows in models.values():
            rows.fold(fact)
    return models


async def test_the_seeded_log_holds(world: World) -> None:
    system = Database(world.order.database_url, role=SYSTEM_ROLE, pool_size=1)
    try:
        verdict = await verify_chain(system, 1)
    finally:
        await system.close()
    assert (verdict.fault, verdict.proven) == (None, world.seeded.events)


async def test_the_seeded_read_models_are_what_the_log_says(world: World) -> None:
    for name, rows in (await folded(world)).items():
        table = rows.projection.table
        stored = [table.restore(tuple(row)) for row in await query(world, f"SELECT {', '.join(table.names)} FROM {name}")]
        assert {table.key_of(row): row for row in stored} == rows.now


async def test_the_seeded_counters_are_what_the_log_says(world: World) -> None:
    kept = await query(world, "SELECT projection, key, value FROM counter WHERE value <> 0 AND key <> 'rows'")
    counted = {(name, key): value for name, rows in (await folded(world)).items() for key, value in rows.counts().items()}
    assert {(row["projection"], row["key"]): row["value"] for row in kept} == counted


async def test_the_seeder_makes_as_much_as_it_was_told(world: World) -> None:
    [row] = await query(world, "SELECT (SELECT count(*) FROM inbox_conversation) AS c, (SELECT count(*) FROM inbox_message) AS m")
    assert (row["c"], row["m"]) == (SMALL.conversations, SMALL.messages)


async def test_every_index_is_there_again(world: World) -> None:
    rows = await query(world, "SELECT indexname FROM pg_indexes WHERE tablename IN ('event', 'inbox_message', 'inbox_text', 'stream_key')")
    names = {row["indexname"] for row in rows}
    assert names >= {"event_pkey", "event_position", "inbox_message_pkey", "inbox_text_words", "stream_key_pkey"}


def test_a_filled_database_is_refused(world: World) -> None:
    with pytest.raises(Full):
        seed(world.order)


def test_messages_are_numbered_in_the_order_of_their_times() -> None:
    chunks = plan(Size(50, 1_000), 1, now(), 20)
    sent = sorted(
        (at, message) for chunk in chunks for _, times, ids in chunk.conversations() for at, message in zip(times, ids, strict=True)
    )
    assert [message for _, message in sent] == list(range(1, 1_001))


def test_the_acknowledgements_of_a_message_fit_before_the_next() -> None:
    threads = [times for chunk in plan(Size(50, 1_000), 1, now(), 50) for _, times, _ in chunk.conversations()]
    assert min(later - at for times in threads for at, later in pairwise(times)) >= 4 * SECOND


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """200 for everything but ``/busy``."""
    body = scope["path"].encode() * 2_000
    head = [(b"content-length", str(len(body)).encode())]
    status = 503 if scope["path"] == "/busy" else 200
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})


async def test_the_client_counts_good_and_bad_answers() -> None:
    with serving(echo) as url:
        port = int(url.rsplit(":", 1)[1])
        asked = [request("GET", "/fine"), request("GET", "/busy"), request("POST", "/fine", body=b"{}")]
        result = await Drive(Plan(port=port, requests=asked, seconds=0.2, warm=0)).run()
    assert result.rate > 0
    assert result.failures == result.statuses[503] > 0
    assert result.latencies == sorted(result.latencies)


async def test_the_open_loop_offers_what_it_was_told() -> None:
    with serving(echo) as url:
        port = int(url.rsplit(":", 1)[1])
        plan = Plan(port=port, requests=[request("GET", "/fine")], seconds=0.5, rate=100.0, warm=0)
        result = await Drive(plan).run()
    assert 45 <= sum(result.statuses.values()) <= 51


def test_a_target_is_missed_only_beyond_the_spread() -> None:
    target = Target("at least", 0.5)
    verdicts = [target.judge(Figure(slices)) for slices in ([0.6] * 5, [0.3, 0.4, 0.45, 0.6, 0.9], [0.2] * 5)]
    assert verdicts == ["met", "within spread", "MISSED"]


def test_the_table_and_the_json_say_the_same() -> None:
    lines = [ratio("open", 0.5, [500.0] * 5, [2_000.0] * 5), Line("start", "ready", Figure([1.2], "s"), Target("at most", 3))]
    report = Report(10, 200, 600, "2 cores", {"all": 1.0}, lines)
    told: Any = report.as_json()
    assert [line["verdict"] for line in told["lines"]] == ["MISSED", "met"]
    assert "0.25 ± 0.00" in str(report)
    assert [line.path for line in report.missed] == ["open"]
