"""Every failure in one shape, in ordinary words, without a trace."""

import logging
from collections.abc import AsyncIterator
from enum import StrEnum
from typing import Annotated, Any, Literal

import asyncpg
import pytest
import redis.exceptions
from litestar import Litestar, Request, get, post
from litestar.openapi import OpenAPIConfig
from litestar.params import FromPath, FromQuery, JSONBody
from litestar.testing import AsyncTestClient
from msgspec import UNSET, Meta, Struct, UnsetType

from plixa.kernel.bodies import JsonRequest
from plixa.kernel.envelope import Data, Page, answer_error, refusal
from plixa.kernel.errors import Conflict, Invalid, NotFound, PlixaError, RateLimited, Unavailable


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Rule(Struct):
    kind: Literal["label", "word"]
    weight: Annotated[int, Meta(ge=0)] = 0


class Order(Struct):
    name: Annotated[str, Meta(min_length=1, max_length=5)]
    amount: Annotated[int, Meta(gt=-1)] | None = None
    colour: Colour | UnsetType = UNSET
    rules: list[Rule] = []
    first: Rule | None = None
    tags: dict[str, int] = {}
    active: bool = True


class OrdersPage(Page, frozen=True):
    unread: int


@post("/orders")
async def create_order(data: JSONBody[Order]) -> Data[Order]:
    return Data(data)


@post("/rules")
async def replace_rules(data: JSONBody[list[Rule]]) -> Data[int]:
    return Data(len(data))


@get("/orders")
async def list_orders(limit: FromQuery[int] = 50) -> Data[list[int]]:
    return Data([1, 2], OrdersPage("abc", limit, unread=1))


@get("/orders/{order:int}")
async def get_order(order: FromPath[int]) -> Data[int]:
    if order > 9:
        raise asyncpg.DataError("value out of int64 range")
    return Data(order)


@get("/failures/{number:int}")
async def fail(number: FromPath[int]) -> Data[None]:
    raise FAILURES[number]


@post("/raw", request_max_body_size=10)
async def read_raw(request: Request[Any, Any, Any]) -> Data[int]:
    return Data(len(await request.body()))


FAILURES: list[Exception] = [
    Conflict("Taken.", details={"reason": "busy"}),
    RateLimited(7),
    Unavailable(),
    RuntimeError("password=hunter2 at /srv/plixa/app.py"),
    asyncpg.TooManyConnectionsError("sorry, too many clients already"),
]


@pytest.fixture(scope="module")
async def client() -> AsyncIterator[AsyncTestClient[Litestar]]:
    app = Litestar(
        [create_order, replace_rules, list_orders, get_order, fail, read_raw],
        request_class=JsonRequest,
        exception_handlers={Exception: answer_error},
        openapi_config=OpenAPIConfig("Orders", "1"),
        logging_config=None,
    )
    async with AsyncTestClient(app, raise_server_exceptions=False) as client:
        yield client


async def send(client: AsyncTestClient[Litestar], body: str | bytes, kind: str = "application/json") -> tuple[int, Any]:
    answer = await client.post("/orders", content=body, headers={"content-type": kind})
    return answer.status_code, answer.json()


def test_an_answer_has_data_meta_and_errors_in_this_order() -> None:
    assert list(Data.__struct_fields__) == ["data", "meta", "errors"]


async def test_a_list_says_where_it_goes_on_and_counts_by_name(client: AsyncTestClient[Litestar]) -> None:
    answer = await client.get("/orders", params={"limit": 10})
    assert answer.json() == {
        "data": [1, 2],
        "meta": {"next_cursor": "abc", "limit": 10, "unread": 1},
        "errors": None,
    }


async def test_every_wrong_field_is_named_in_words(client: AsyncTestClient[Litestar]) -> None:
    status, answer = await send(
        client,
        """{"name": 5, "amount": -1, "colour": "green", "rules": [{"kind": "label"}, {"kind": "x", "weight": -1}, {}],
        "first": {"weight": "1", "kind": null}, "tags": {"a": "b"}, "active": "yes"}""",
    )
    assert status == 422
    assert answer["data"] is None
    assert answer["meta"] is None
    assert answer["errors"] == [
        {
            "code": "VALIDATION_FAILED",
            "message": "The given data was invalid.",
            "details": {
                "name": ["Must be text, not a whole number."],
                "amount": ["Must be at least 0."],
                "colour": ["Must be one of: red, blue."],
                "rules.1.kind": ["Must be one of: label, word."],
                "rules.1.weight": ["Must be at least 0."],
                "rules.2.kind": ["This field is required."],
                "first.kind": ["Must be one of: label, word."],
                "first.weight": ["Must be a whole number, not text."],
                "tags.*": ["Must be a whole number, not text."],
                "active": ["Must be true or false, not text."],
            },
        }
    ]


@pytest.mark.parametrize(
    ("body", "details"),
    [
        ("", {"name": ["This field is required."]}),
        ("{}", {"name": ["This field is required."]}),
        ("null", {"name": ["This field is required."]}),
        ("[]", {"body": ["Must be an object, not a list."]}),
        ('{"name": ""}', {"name": ["Must not be empty."]}),
        ('{"name": "too long"}', {"name": ["Must have at most 5 characters."]}),
        ('{"name": "a\\u0000"}', {"name": ["Must not contain the NUL character."]}),
        ('{"name": "a", "tags": {"\\u0000": 1}}', {"tags": ["Must not contain the NUL character."]}),
        ('{"name": "a", "amount": 99999999999999999999}', {"amount": ["Is too large."]}),
        ('{"name": "a", "amount": "7"}', {"amount": ["Must be a whole number or null, not text."]}),
    ],
)
async def test_a_wrong_body_is_answered_422(client: AsyncTestClient[Litestar], body: str, details: object) -> None:
    status, answer = await send(client, body)
    assert (status, answer["errors"][0]["details"]) == (422, details)


@pytest.mark.parametrize(
    "body",
    [
        "{",
        '{"name": NaN}',
        '{"name": "a", "amount": 1e999}',
        "[" * 10_000 + "]" * 10_000,
        '{"name": "a", "unknown": ' + "[" * 10_000 + "]" * 10_000 + "}",
        '{"name": 5, "unknown": {',
        '{"name": "\\ud800"}',
        b'{"name": "\xff"}',
        b'{"name": "\x00"}',
        "name=Ana",
    ],
)
async def test_what_is_not_json_is_answered_400(client: AsyncTestClient[Litestar], body: str | bytes) -> None:
    status, answer = await send(client, body)
    assert (status, answer["errors"][0]["code"]) == (400, "MALFORMED_BODY")
    assert "details" not in answer["errors"][0]


async def test_a_list_as_a_body_names_its_items(client: AsyncTestClient[Litestar]) -> None:
    wrong = await client.post("/rules", json=[{"kind": "label"}, {}])
    absent = await client.post("/rules")
    assert wrong.json()["errors"][0]["details"] == {"1.kind": ["This field is required."]}
    assert absent.json()["errors"][0]["details"] == {"body": ["A JSON body is required."]}


async def test_another_content_type_is_answered_400(client: AsyncTestClient[Litestar]) -> None:
    status, answer = await send(client, '{"name": "a"}', "text/plain")
    assert (status, answer["errors"][0]["code"]) == (400, "MALFORMED_BODY")


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "Application/JSON", "application/hal+json"])
async def test_json_by_any_of_its_names_is_read(client: AsyncTestClient[Litestar], kind: str) -> None:
    status, answer = await send(client, '{"name": "a", "unknown": 1, "name": "b"}', kind)
    assert (status, answer["data"]["name"]) == (201, "b")


async def test_an_escaped_backslash_before_u0000_is_only_text(client: AsyncTestClient[Litestar]) -> None:
    status, answer = await send(client, '{"name": "a", "unknown": "\\\\u0000"}')
    assert (status, answer["errors"]) == (201, None)


async def test_a_wrong_query_parameter_is_named(client: AsyncTestClient[Litestar]) -> None:
    answer = await client.get("/orders?limit=many")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["details"] == {"limit": ["Must be a whole number, not text."]}


@pytest.mark.parametrize("path", ["/nowhere", "/orders/abc", f"/orders/{2**70}"])
async def test_what_does_not_exist_is_answered_404(client: AsyncTestClient[Litestar], path: str) -> None:
    answer = await client.get(path)
    assert answer.status_code == 404
    assert answer.json() == {
        "data": None,
        "meta": None,
        "errors": [{"code": "NOT_FOUND", "message": "Not found."}],
    }


async def test_a_wrong_method_is_answered_405_with_the_allowed_ones(client: AsyncTestClient[Litestar]) -> None:
    answer = await client.delete("/orders/1")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (405, "METHOD_NOT_ALLOWED")
    assert "GET" in answer.headers["allow"]


async def test_a_body_over_the_limit_is_answered_413(client: AsyncTestClient[Litestar]) -> None:
    answer = await client.post("/raw", content=b"x" * 11)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (413, "PAYLOAD_TOO_LARGE")


async def test_a_refusal_carries_its_details(client: AsyncTestClient[Litestar]) -> None:
    answer = await client.get("/failures/0")
    assert answer.status_code == 409
    assert answer.json()["errors"] == [{"code": "CONFLICT", "message": "Taken.", "details": {"reason": "busy"}}]


@pytest.mark.parametrize(("number", "status", "seconds"), [(1, 429, "7"), (2, 503, "2"), (4, 503, "2")])
async def test_what_may_be_tried_again_says_when(client: AsyncTestClient[Litestar], number: int, status: int, seconds: str) -> None:
    answer = await client.get(f"/failures/{number}")
    assert (answer.status_code, answer.headers["retry-after"]) == (status, seconds)


async def test_our_own_failure_is_logged_and_tells_the_caller_nothing(
    client: AsyncTestClient[Litestar], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, "plixa.http"):
        answer = await client.get("/failures/3")
    assert answer.status_code == 500
    assert answer.json()["errors"] == [{"code": "INTERNAL_ERROR", "message": PlixaError.default}]
    assert caplog.records[0].exc_info


@pytest.mark.parametrize(
    "error",
    [
        TimeoutError(),
        ConnectionRefusedError(),
        asyncpg.InterfaceError("connection is closed"),
        asyncpg.ConnectionDoesNotExistError("gone"),
        asyncpg.CannotConnectNowError("starting up"),
        asyncpg.AdminShutdownError("terminated"),
        asyncpg.QueryCanceledError("statement timeout"),
        asyncpg.LockNotAvailableError("lock timeout"),
        asyncpg.DeadlockDetectedError("deadlock"),
        asyncpg.ReadOnlySQLTransactionError("failover"),
        redis.exceptions.ConnectionError("refused"),
        asyncpg.TooManyConnectionsError("too many"),
    ],
)
def test_a_database_that_is_away_or_full_is_answered_503(error: Exception) -> None:
    assert isinstance(refusal(error), Unavailable)


def test_a_value_that_the_database_cannot_hold_is_answered_422() -> None:
    surrogate = asyncpg.DataError("invalid input")
    surrogate.__cause__ = UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed")
    assert isinstance(refusal(surrogate), Invalid)
    assert isinstance(refusal(asyncpg.CharacterNotInRepertoireError("0x00")), Invalid)


@pytest.mark.parametrize("error", [asyncpg.UniqueViolationError("x"), asyncpg.DataError("a bug"), KeyError("x")])
def test_everything_else_is_our_fault(error: Exception) -> None:
    assert refusal(error).code == "INTERNAL_ERROR"


def test_a_refusal_passes_as_it_is() -> None:
    error = NotFound()
    assert refusal(error) is error


async def test_the_document_shows_the_envelope(client: AsyncTestClient[Litestar]) -> None:
    schemas = client.app.openapi_schema.to_schema()["components"]["schemas"]
    [envelope] = [schema for name, schema in schemas.items() if name.endswith("Order_")]
    assert set(envelope["properties"]) == {"data", "meta", "errors"}
