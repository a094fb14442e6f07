"""Two tenants that look alike: wherever an id may stand, the other's answers as one that nobody has."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import asyncpg
import pytest
from httpx import AsyncClient, Response
from litestar import Litestar
from msgspec import Struct
from msgspec.structs import replace

from plixa.app import create_app
from plixa.identity.commands import Entrance
from plixa.kernel import log, uow
from plixa.kernel.settings import Settings
from plixa.kernel.tenancy import scoped
from tests.inbox.desk import Desk
from tests.inbox.operations import Operation, operations
from tests.inbox.test_commands import PNG
from tests.inbox.test_deleting import TABLES
from tests.support.apps import calling, started
from tests.support.numbers import connect_number
from tests.support.world import add_agent, register_workspace

CANARY = "canary-of-the-twin"
BODIES: dict[str, dict[str, Any]] = {
    "POST /v1/conversations/bulk": {"action": "close", "ids": []},
    "PATCH /v1/conversations/{conversation}": {},
    "POST /v1/conversations/{conversation}/messages": {"body": "Oi"},
    "POST /v1/conversations/{conversation}/snooze": {"until": None},
    "POST /v1/phone-instances": {"label": "x"},
}
"""A body that is accepted, for every operation in which a body has ids, or is needed where the path has."""
ACTIONS: dict[str, list[dict[str, Any]]] = {
    "ids": [{"action": action} for action in ("close", "reopen", "delete")],
    "assignee_id": [{"action": "assign"}],
    "label_id": [{"action": "add_label"}, {"action": "remove_label"}],
}
_nobody = count(2**52)


class Twin(Struct, frozen=True):
    """A tenant with something of everything."""

    desk: Desk
    ids: dict[str, Any]
    cursor: str

    async def rows(self) -> list[str]:
        """Everything it has, row by row."""
        found = []
        for table in await self.desk.workspace.rows(f"SELECT name FROM ({TABLES}) t WHERE $1::bigint > 0 ORDER BY 1"):
            if table["name"] not in ("access_token", "idempotency_key"):
                text = await self.desk.workspace.rows(f"SELECT t::text AS row FROM {table['name']} t WHERE tenant_id = $1 ORDER BY 1")
                found += [f"{table['name']} {one['row']}" for one in text]
        return found


async def twin(entrance: Entrance, app: Litestar, client: AsyncClient) -> Twin:
    """Of every table a row or two, every text a canary."""
    workspace = await register_workspace(entrance, CANARY, "Lucia")
    agent = await add_agent(entrance, workspace, CANARY)
    desk = Desk(workspace, await connect_number(entrance.settings, workspace), client, app)
    number = (await desk.open(name=CANARY))["id"]
    await desk.open("5511900000009", name=CANARY)
    await desk.do("POST", f"/{number}/messages", json={"body": CANARY})
    message = await desk.do("POST", f"/{number}/media-messages", files={"file": (f"{CANARY}.png", PNG)}, data={"caption": CANARY})
    label = await desk.label(CANARY)
    await desk.do("POST", "/bulk", json={"action": "add_label", "ids": [number], "label_id": label})
    await desk.do("PATCH", f"/{number}", json={"assigned_user_id": agent.id, "notes": CANARY})
    ids = {"conversation": number, "ids": number, "label_id": label, "sector_id": label}
    ids |= dict.fromkeys(("message", "quoted_message_id", "before", "after"), message["id"])
    ids |= dict.fromkeys(("phone_instance", "phone_instance_id"), desk.number.id)
    ids |= dict.fromkeys(("assigned_user_id", "assignee_id"), agent.id)
    page = (await desk.call("GET", params={"limit": 1})).json()
    return Twin(desk, ids, page["meta"]["next_cursor"])


@asynccontextmanager
async def application(settings: Settings, url: str) -> AsyncIterator[tuple[Entrance, Litestar, AsyncClient]]:
    """An application on a database of its own."""
    mine = replace(settings, database_url=url)
    async with started(create_app(mine)) as app, calling(app) as client:
        state = app.state
        yield Entrance(state.kernel, mine, state.passwords, state.throttler), app, client


async def unlock(url: str) -> None:
    """Row-level security no longer guards anything."""
    connection = await asyncpg.connect(url)
    for row in await connection.fetch("SELECT oid::regclass::text AS name FROM pg_class WHERE relrowsecurity"):
        await connection.execute(f"ALTER TABLE {row['name']} DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY")
    await connection.close()


def unfiltered(query: str) -> str:
    """A query that forgot to ask for its tenant."""
    return scoped(re.sub(r"(\w+\.)?tenant_id = scope\.tenant", "scope.tenant IS NOT NULL", query))


def forget_the_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every read be such a query."""
    for module in (uow, log):
        monkeypatch.setattr(module, "scoped", unfiltered)


async def test_every_id_of_the_twin_is_nobodys(app: Litestar, client: AsyncClient, entrance: Entrance) -> None:
    await probe(app, [await twin(entrance, app, client) for _ in range(2)])


async def test_the_filter_holds_alone(settings: Settings, fresh_database: str) -> None:
    await unlock(fresh_database)
    async with application(settings, fresh_database) as (entrance, app, client):
        await probe(app, [await twin(entrance, app, client) for _ in range(2)])


async def test_row_level_security_holds_alone(
    app: Litestar, client: AsyncClient, entrance: Entrance, monkeypatch: pytest.MonkeyPatch
) -> None:
    twins = [await twin(entrance, app, client) for _ in range(2)]
    forget_the_filter(monkeypatch)
    await probe(app, twins)


async def test_without_either_the_probe_finds_the_leak(settings: Settings, fresh_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    await unlock(fresh_database)
    async with application(settings, fresh_database) as (entrance, app, client):
        twins = [await twin(entrance, app, client) for _ in range(2)]
        forget_the_filter(monkeypatch)
        with pytest.raises(AssertionError):
            await probe(app, twins)


async def probe(app: Litestar, twins: list[Twin]) -> None:
    """Every operation with every id replaced by the twin's, beside the same with an id that nobody has."""
    me, other = twins
    before, probed = await other.rows(), 0
    for operation in operations(app):
        for where, name in operation.ids:
            for extra in variations(operation, name):
                answers = [await ask(me, operation, (where, name, value), extra) for value in (other.ids[name], next(_nobody))]
                assert shown(answers[0]) == shown(answers[1]), (operation.name, name, extra)
                assert answers[0].status_code == (200 if is_filter(where, name) else 404), (operation.name, name, answers[0].text)
                assert CANARY not in answers[0].text
                probed += 1
        if "cursor" in operation.query and operation.path == "/v1/conversations":
            page = await me.desk.call("GET", params={"cursor": other.cursor, "status": "all"})
            assert {one["id"] for one in page.json()["data"]} <= {one["id"] for one in await me.desk.all(status="all")}
    assert await other.rows() == before
    assert probed >= 38


def variations(operation: Operation, name: str) -> list[dict[str, Any]]:
    """What else the operation may be asked with."""
    if operation.path.endswith("/bulk"):
        return ACTIONS[name]
    return [{}, {"as_of": "2098-01-01T00:00:00Z"}] if "as_of" in operation.query else [{}]


def is_filter(where: str, name: str) -> bool:
    """A place where nothing found is no refusal."""
    return (where == "query" and name not in ("before", "after")) or name == "ids"


async def ask(me: Twin, operation: Operation, position: tuple[str, str, int], extra: dict[str, Any]) -> Response:
    """The operation as the one tenant calls it, with one id of another origin."""
    where, name, value = position
    path = operation.path
    for place in re.findall(r"{(\w+)}", path):
        path = path.replace(f"{{{place}}}", str(value if (where, name) == ("path", place) else me.ids[place]))
    more: dict[str, Any] = {"params": ({name: value} if where == "query" else {}) | (extra if operation.query else {})}
    if operation.media == "multipart/form-data":
        more["files"] = {"file": ("a.png", PNG)}
    elif operation.media is not None:
        body = BODIES[operation.name] | extra
        if operation.path.endswith("/bulk"):
            body["ids"] = [me.ids["conversation"]]
        more["json"] = body | ({name: [value] if name == "ids" else value} if where == "body" else {})
    return await me.desk.client.request(operation.method, path, headers=me.desk.workspace.owner.headers, **more)


def shown(answer: Response) -> tuple[int, str, list[str]]:
    """What a caller can tell answers apart by."""
    return answer.status_code, answer.text, sorted(name for name in answer.headers if name != "x-request-id")
