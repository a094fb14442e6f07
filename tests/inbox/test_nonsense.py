"""Whatever is sent, the answer is a refusal in the envelope: never a 500, never a word about our insides."""

import json
import re
from typing import Any

import pytest
from httpx import Response
from litestar import Litestar

from tests.inbox.desk import Desk
from tests.inbox.test_commands import PNG
from tests.support.operations import Operation, operations

HUGE = 2**63
NUMBERS = [
    "0",
    "-1",
    "1e3",
    "1.5",
    "true",
    "null",
    "[1]",
    " 1",
    "1_0",
    "0x10",
    "١٢",
    "9" * 15,
    str(HUGE - 1),
    str(HUGE),
    "9" * 40,
    "1;2",
    "%00",
    "é",
]
WORDS = ["", "x" * 5000, "\ud7ff", "🙂" * 60, "' OR 1=1 --", "${7*7}", "%", "\\", "a%00b", "\r\nX: y", "[]"]
CURSORS = [
    "", "x", "e30", "W10", "WzFd", "WyJhIiwxXQ", "WyIwMDAxLTAxLTAxVDAwOjAwOjAwKzE0OjAwIiwxXQ", "WyI5OTk5LTEyLTMxVDIzOjU5OjU5LTE0OjAwIiwxXQ",
    "WzkyMjMzNzIwMzY4NTQ3NzU4MDdd", "Wy05MjIzMzcyMDM2ODU0Nzc1ODA3XQ", "W05hTl0", "A" * 2000,
]  # fmt: skip
VALUES: list[Any] = [
    None,
    True,
    0,
    -1,
    1.5,
    HUGE,
    -HUGE,
    10**400,
    "",
    "1",
    "\0",
    "x\0y",
    "x" * 70_000,
    [],
    [[]],
    {},
    {"a": {}},
    [None],
    [HUGE],
    ["1"],
]
RAW = [
    b"", b"{", b"[]", b"null", b"1", b'"x"', b"NaN", b'{"body": NaN}', b'{"body": "\\ud800"}', b'{"body": "a\\u0000b"}', b"\xff\xfe",
    b"[" * 10_000, b'{"a":' * 10_000 + b"1" + b"}" * 10_000, b'{"body": 1, "body": "x"}', b'{"body": "' + b"\\ud83d" + b'"}',
]  # fmt: skip
FIELDS = [
    "body",
    "type",
    "quoted_message_id",
    "until",
    "contact_name",
    "notes",
    "assigned_user_id",
    "action",
    "ids",
    "assignee_id",
    "label_id",
    "label",
]
INSIDES = re.compile(r"Traceback|asyncpg|sqlalchemy|SELECT |litestar|/site-packages|0x[0-9a-f]{8}")


def inbox(app: Litestar) -> list[Operation]:
    """The operations of conversations: those that need no gateway."""
    return [one for one in operations(app) if one.path.startswith("/v1/conversations")]


def check(answer: Response, what: Any) -> None:
    """A refusal, or something done; in any case an envelope that gives nothing away."""
    assert answer.status_code < 500, (what, answer.text)
    assert not INSIDES.search(answer.text), what
    if answer.status_code >= 400:
        told = answer.json()
        assert (told["data"], told["meta"]) == (None, None), what
        assert all(one["code"] and one["message"] for one in told["errors"]), what


@pytest.fixture
async def place(desk: Desk) -> dict[str, Any]:
    """A conversation, a message with a file, a label."""
    number = (await desk.open())["id"]
    message = await desk.do("POST", f"/{number}/media-messages", files={"file": ("a.png", PNG)})
    return {"conversation": number, "message": message["id"], "label": await desk.label("VIP")}


async def test_in_paths(desk: Desk, app: Litestar, place: dict[str, Any]) -> None:
    for operation in inbox(app):
        for where, name in operation.ids:
            for value in NUMBERS if where == "path" else ():
                path = operation.path.replace(f"{{{name}}}", value).format(**place)
                answer = await desk.client.request(operation.method, path, headers=desk.workspace.owner.headers)
                check(answer, (operation.name, value))
                assert answer.status_code in (400, 404, 405, 415, 422), (operation.name, value)
    assert (await desk.call("GET", f"/{place['conversation']}")).status_code == 200


async def test_in_queries(desk: Desk, app: Litestar, place: dict[str, Any]) -> None:
    for operation in inbox(app):
        for name in operation.query:
            values = CURSORS if name == "cursor" else NUMBERS + WORDS
            for value in values:
                path = operation.path.format(**place) + "?" + name + "=" + (value if "%" in value else quoted(value))
                answer = await desk.client.request(operation.method, path, headers=desk.workspace.owner.headers)
                check(answer, (operation.name, name, value))


async def test_in_bodies(desk: Desk, app: Litestar, place: dict[str, Any]) -> None:
    for operation in inbox(app):
        if operation.method not in ("POST", "PATCH"):
            continue
        for raw in RAW:
            headers = desk.workspace.owner.headers | {"Content-Type": "application/json"}
            path = operation.path.format(**place)
            check(await desk.client.request(operation.method, path, headers=headers, content=raw), (operation.name, raw[:40]))


async def test_in_every_field(desk: Desk, app: Litestar, place: dict[str, Any]) -> None:
    whole: dict[str, Any] = {"body": "Oi", "until": None, "action": "assign", "assignee_id": None, "ids": [place["conversation"]]}
    for operation in inbox(app):
        if operation.media != "application/json":
            continue
        path = operation.path.format(**place)
        for field in FIELDS:
            for value in VALUES:
                content = json.dumps(whole | {field: value}).encode()
                headers = desk.workspace.owner.headers | {"Content-Type": "application/json"}
                check(await desk.client.request(operation.method, path, headers=headers, content=content), (operation.name, field, value))


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "multipart/form-data", "multipart/form-data; boundary=x", "", "é"])
async def test_under_another_name(desk: Desk, app: Litestar, place: dict[str, Any], kind: str) -> None:
    for operation in inbox(app):
        headers = desk.workspace.owner.headers | {"Idempotency-Key": f"k{abs(hash((kind, operation.name)))}"}
        raw = [(name.encode(), value.encode()) for name, value in headers.items()] + [(b"Content-Type", kind.encode("latin-1"))]
        path = operation.path.format(**place)
        if operation.method != "DELETE":
            check(await desk.client.request(operation.method, path, headers=raw, content=b'--x\r\n{"body": "Oi"}'), (operation.name, kind))


async def test_in_forms(desk: Desk, place: dict[str, Any]) -> None:
    path = f"/{place['conversation']}/media-messages"
    for field in ("caption", "voice", "duration_seconds", "waveform", "file"):
        for value in ("", "\0", "x" * 5000, "9" * 40, "-1", "1e400", "NaN", "[1,2]", "true", "é🙂"):
            check(await desk.call("POST", path, data={field: value}, files={"file": ("a.png", PNG)}), (field, value))
    for name in ("", "../../etc/passwd", "a\0b", "x" * 5000, "é🙂.png", 'a".png', "a\r\nb"):
        answer = await desk.call("POST", path, files={"file": (name, PNG)})
        check(answer, name)
        if answer.status_code == 201:
            served = await desk.client.get(answer.json()["data"]["media"]["url"], headers=desk.workspace.owner.headers)
            assert (served.status_code, served.content) == (200, PNG), name


async def test_where_there_is_nothing(desk: Desk) -> None:
    for method, path in (
        ("GET", "/nowhere/1"),
        ("PUT", ""),
        ("POST", "/1/nothing"),
        ("TRACE", ""),
        ("GET", "/1/messages/2"),
        ("DELETE", ""),
    ):
        answer = await desk.call(method, path)
        check(answer, path)
        assert answer.status_code in (404, 405)


def quoted(value: str) -> str:
    """Percent-encoded."""
    return "".join(f"%{byte:02x}" for byte in value.encode("utf-8", "surrogatepass"))
