"""The watch around every request: ids, addresses, log lines, figures; probes and redaction with them."""

import io
import json
import logging
import re
from collections.abc import AsyncIterator, Iterator
from ipaddress import ip_network
from typing import Any, cast

import pytest
from httpx import ASGITransport, AsyncClient
from litestar import Litestar, Request, get
from litestar.params import FromPath

from plixa.kernel import logs, metrics
from plixa.kernel.bodies import JsonRequest
from plixa.kernel.envelope import Data, answer_error
from plixa.kernel.probes import create_probes
from plixa.kernel.requests import client_address, current_request, watch_requests

PROXIES = (ip_network("127.0.0.0/8"), ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
TOKEN = "7|plxp_" + "a1B2" * 11  # the shape of a panel token


@get("/things/{thing:int}")
async def show(thing: FromPath[int], request: Request[Any, Any, Any]) -> Data[dict[str, str | None]]:
    current = current_request()
    assert current is not None
    current.tenant, current.actor = thing, "member/5"
    logging.getLogger("plixa.test").info("seen %s", request.headers.get("authorization"))
    return Data({"address": current.address, "id": current.id, "agent": current.agent})


@get("/broken")
async def broken() -> Data[None]:
    raise RuntimeError("at " + TOKEN)


class Parts:
    """What the readiness checks of a test report."""

    database: str | None = None

    async def check_database(self) -> str | None:
        return self.database

    async def check_redis(self) -> str | None:
        if self.database == "everything is away":
            raise ConnectionRefusedError("10.0.0.5:6379")
        return None


@pytest.fixture(scope="module")
def parts() -> Parts:
    return Parts()


async def refresh_lag() -> None:
    metrics.PROJECTION_LAG.labels("inbox").set(3)


@pytest.fixture(scope="module")
def app(parts: Parts) -> Litestar:
    probes = create_probes({"database": parts.check_database, "redis": parts.check_redis}, [refresh_lag])
    app = Litestar(
        [show, broken, probes],
        request_class=JsonRequest,
        exception_handlers={Exception: answer_error},
        openapi_config=None,
        logging_config=None,
    )
    return watch_requests(app, PROXIES)


@pytest.fixture(scope="module")
async def client(app: Litestar) -> AsyncIterator[AsyncClient]:
    """A caller beyond our proxies."""
    async with from_address(app, "203.0.113.1") as client:
        yield client


def from_address(app: Litestar, address: str) -> AsyncClient:
    transport = ASGITransport(cast("Any", app), raise_app_exceptions=False, client=(address, 40_000))
    return AsyncClient(transport=transport, base_url="http://plixa.test")


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What is logged during a test."""
    root = logging.getLogger()
    before, level, stream = root.handlers[:], root.level, io.StringIO()
    logs.configure(stream=stream)
    yield stream
    root.handlers[:], root.level = before, level


def read(lines: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines.getvalue().splitlines()]


@pytest.mark.parametrize("path", ["/things/1", "/nowhere", "/broken", "/things/1?x=%00", "/things/%00"])
async def test_every_answer_carries_a_request_id(client: AsyncClient, path: str) -> None:
    first, second = await client.get(path), await client.get(path)
    assert re.fullmatch(r"[0-9a-f]{24}", first.headers["x-request-id"])
    assert first.headers["x-request-id"] != second.headers["x-request-id"]


async def test_a_well_formed_request_id_is_kept(client: AsyncClient) -> None:
    answer = await client.get("/things/1", headers={"x-request-id": "Trace-1.a_b"})
    assert answer.headers.get_list("x-request-id") == ["Trace-1.a_b"]
    assert answer.json()["data"]["id"] == "Trace-1.a_b"


@pytest.mark.parametrize("given", ["a b", "a" * 65, "", "<script>", "a;b", "é"])
async def test_an_odd_request_id_is_replaced(client: AsyncClient, given: str) -> None:
    answer = await client.get("/things/1", headers=[(b"x-request-id", given.encode())])
    assert re.fullmatch(r"[0-9a-f]{24}", answer.headers["x-request-id"])


@pytest.mark.parametrize(("path", "status"), [("/things/1?name=a%00", 422), ("/thin%00gs/1", 404)])
async def test_a_nul_character_in_the_address_is_refused(client: AsyncClient, path: str, status: int) -> None:
    answer = await client.get(path)
    assert answer.status_code == status
    assert answer.json()["data"] is None
    assert answer.headers["content-type"] == "application/json"


async def test_forwarding_headers_of_strangers_change_nothing(client: AsyncClient) -> None:
    for name in ("x-forwarded-for", "x-real-ip", "forwarded", "x-forwarded-host"):
        answer = await client.get("/things/1", headers={name: "198.51.100.7"})
        assert answer.json()["data"]["address"] == "203.0.113.1"


@pytest.mark.parametrize(("given", "kept"), [("Mozilla/5.0", "Mozilla/5.0"), ("é" * 300, "é" * 255), ("", None)])
async def test_the_callers_program_is_known_by_its_first_255_characters(client: AsyncClient, given: str, kept: str | None) -> None:
    answer = await client.get("/things/1", headers=[(b"user-agent", given.encode("latin-1"))])
    assert answer.json()["data"]["agent"] == kept


async def test_our_own_proxy_is_believed(app: Litestar) -> None:
    async with from_address(app, "10.0.0.1") as proxy:
        answer = await proxy.get("/things/1", headers=[("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "8.8.8.8")])
    assert answer.json()["data"]["address"] == "8.8.8.8"


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("203.0.113.1", "198.51.100.7", "203.0.113.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "6.6.6.6, 198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "6.6.6.6, 198.51.100.7, 10.0.0.2", "198.51.100.7"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "198.51.100.7, nonsense", "10.0.0.1"),
        ("fd00::1", "2001:db8::7", "2001:db8::7"),
        ("unknown", "198.51.100.7", "unknown"),
    ],
)
def test_the_address_is_the_nearest_that_is_not_our_own_proxy(peer: str, forwarded: str, address: str) -> None:
    assert client_address(peer, forwarded, PROXIES) == address


async def test_one_line_tells_who_asked_what_and_how_long_it_took(client: AsyncClient, lines: io.StringIO) -> None:
    answer = await client.get("/things/8?q=secret-query", headers={"authorization": f"Bearer {TOKEN}"})
    seen, access = read(lines)
    assert seen["message"] == "seen Bearer [secret]"
    assert access.pop("ms") >= 0
    assert access.pop("at").startswith("20")
    assert access == {
        "level": "INFO",
        "logger": "plixa.access",
        "message": "request",
        "request_id": answer.headers["x-request-id"],
        "tenant": 8,
        "actor": "member/5",
        "method": "GET",
        "route": "/things/{thing}",
        "status": 200,
    }
    assert "secret-query" not in lines.getvalue()


async def test_a_failure_is_logged_with_its_request_id_and_without_tokens(client: AsyncClient, lines: io.StringIO) -> None:
    answer = await client.get("/broken", headers={"x-request-id": "abc"})
    failure, access = read(lines)
    assert failure["request_id"] == access["request_id"] == "abc"
    assert "RuntimeError: at [token]" in failure["trace"]
    assert TOKEN[2:] not in lines.getvalue() + answer.text
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    ("text", "logged"),
    [
        (f"token {TOKEN}.", "token [token]."),
        ("7%7Cplx_" + "a" * 46, "[token]"),
        ("plx_" + "a" * 46, "[token]"),
        ("instance plx_7f3a", "instance plx_7f3a"),
        ("Authorization: Basic dXNlcjpwYXNz", "Authorization: Basic [secret]"),
        ("postgresql://plixa:pa55@db:5432/plixa", "postgresql://plixa:[secret]@db:5432/plixa"),
        ("DETAIL:  Failing row contains (1, Oi).", "DETAIL: [row]"),
        ("invalid input for query argument $1: 'Oi'", "invalid input for query argument $1: [value]"),
    ],
)
def test_what_no_log_may_hold_is_masked(text: str, logged: str) -> None:
    assert logs.redact(text) == logged


def figure(name: str, **labels: str) -> float:
    return metrics.REGISTRY.get_sample_value(name, labels) or 0.0


async def test_requests_are_counted_by_the_route_and_not_by_the_path(client: AsyncClient) -> None:
    known = {"method": "GET", "route": "/things/{thing}", "status": "200"}
    unknown = {"method": "GET", "route": "(none)", "status": "404"}
    before = figure("plixa_requests_total", **known), figure("plixa_requests_total", **unknown)
    for number in range(3):
        await client.get(f"/things/{number}")
        await client.get(f"/nowhere/{number}")
    after = figure("plixa_requests_total", **known), figure("plixa_requests_total", **unknown)
    assert (after[0] - before[0], after[1] - before[1]) == (3, 3)
    assert figure("plixa_requests_running") == 0


async def test_an_invented_method_makes_no_figure_of_its_own(client: AsyncClient) -> None:
    answer = await client.request("BREW", "/things/1")
    assert answer.status_code == 405
    assert figure("plixa_requests_total", method="OTHER", route="(none)", status="405") >= 1


async def test_health_asks_nothing(client: AsyncClient) -> None:
    answer = await client.get("/health")
    assert (answer.status_code, answer.json()["data"]) == (200, {"status": "ok"})


async def test_ready_names_what_is_not(client: AsyncClient, parts: Parts) -> None:
    answer = await client.get("/ready")
    assert answer.json()["data"] == {"status": "ready", "checks": {"database": "ok", "redis": "ok"}}
    parts.database = "everything is away"
    answer = await client.get("/ready")
    parts.database = None
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert answer.json()["errors"][0]["details"] == {
        "database": ["everything is away"],
        "redis": ["ConnectionRefusedError"],
    }


async def test_metrics_are_refreshed_and_shown_only_to_neighbours(app: Litestar, client: AsyncClient) -> None:
    async with from_address(app, "10.0.0.9") as neighbour:
        shown = await neighbour.get("/metrics")
        forwarded = await neighbour.get("/metrics", headers={"x-forwarded-for": "203.0.113.1"})
    assert shown.headers["content-type"].startswith("text/plain")
    assert 'plixa_projection_lag_events{projection="inbox"} 3.0' in shown.text
    assert (forwarded.status_code, (await client.get("/metrics")).status_code) == (404, 404)
