"""Every page of every list comes from an index, however many rows there are: what each list sends is explained and counted."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import asyncpg
from httpx import Response
from msgspec import Struct

from plixa.kernel.settings import Settings
from plixa.scheduling.queries.appointments import State
from tests.authorization.asking import ask, question
from tests.authorization.conftest import setting
from tests.authorization.making import thing
from tests.authorization.stage import Stage
from tests.authorization.table import ROUTES, TABLE, Route
from tests.support.busy import COMMON, OWN, RARE, STAFF, SUBJECT, busy_workspace
from tests.support.crowds import BASE, sizes
from tests.support.operations import variants
from tests.support.plans import Judge, Listener, brief

LARGE = 3_000
"""Rows of a table of size."""
LIMIT = 50
MOST = 25 * LIMIT
"""Rows that one statement of a page may read."""
MORE = {
    "/v1/conversations/search?": 5_000,  # thousands of the newest texts, before the index is asked: see find_texts
    "/v1/scheduling/appointments?from&to&as_of": 6_000,  # whatever was ever to begin in this time: the past is read from their streams
    "/v1/kb/articles?q": 8_000,  # every article with the word, because they stand in an order of their own; there are not so many
    "/v1/contacts?has_conversation": 4_000,  # every contact beside every conversation, where the planner believes a workspace has few
}
"""And where it may be more, by the beginning of what is asked."""
SIFTED = {"/v1/admin/tenants", "/v1/admin/waitlist", "/v1/admin/campaigns", "/v1/admin/kb/articles"}
"""Plixa's staff look for parts of names in what is no workspace's: only pages without a filter come from an index."""
DEEP = 6
"""Pages of 200 before a page that is deep."""
ALWAYS = {"limit": LIMIT}
SPAN = {"from": 40, "to": 50}
SAID: dict[str, list[Any]] = {
    "q": [COMMON, RARE],
    "rating": [3],
    "subject": ["sector"],
    "subject_id": [SUBJECT],
    "action": ["sector.updated"],
    "actor_type": ["member"],
    "admin_id": [STAFF],
    "tenant_id": [BASE + 7],
    "assigned": ["none", STAFF],
    "locale": ["pt"],
    "plan": ["business"],
    "as_of": ["2098-01-01T00:00:00Z"],
    "category": ["Numbers"],
    **{path: ["es"] for path in ("/v1/kb/articles?locale", "/v1/kb/categories?locale", "/v1/admin/kb/articles?locale")},
    "/v1/dev/mailbox?to": ["ana@example.com"],
    "/v1/scheduling/appointments?to": ["2099-01-01T00:00:00Z"],
    **{f"/v1/scheduling/appointments?{name}": list(get_args(State)) for name in ("status", "status[]")},
    **{f"/v1/scheduling/availability?{name}": [f"{datetime.now(UTC) + timedelta(days):%Y-%m-%d}"] for name, days in SPAN.items()},
}
"""What is typed into filters whose type does not tell."""
DAYS = ["2029-06-01"]


class Lister(Struct, frozen=True):
    """A list, and the filters it has besides its cursor, by their schemas."""

    route: Route
    filters: dict[str, dict[str, Any]]
    has_cursor: bool

    async def values(self, document: dict[str, Any], stage: Stage, name: str) -> list[Any]:
        """With what one of its filters is tried."""
        typed = SAID.get(f"{self.route.path}?{name}") or SAID.get(name)
        if typed is not None:
            return typed
        kinds = list(variants(document, self.filters[name]))
        told = [value for kind in kinds for value in kind.get("enum", ()) if value is not None]
        if told or any(kind.get("type") == "boolean" for kind in kinds):
            return told or [True, False]
        formats = {kind.get("format") for kind in kinds}
        if formats & {"date", "date-time"}:
            return DAYS if "date" in formats else [(datetime.now(UTC) - timedelta(hours=1)).isoformat()]
        whose = (TABLE.ids | self.route.row.ids).get(name)
        assert whose is not None, f"Say in SAID what the filter {name} of {self.route.name} is tried with."
        return [await thing(stage, whose)]


def lists(document: dict[str, Any]) -> list[Lister]:
    """Every route that answers a list."""
    found = []
    for route in ROUTES:
        told = document["paths"].get(route.path, {}).get(route.method.lower())
        if told and not route.changes and is_list(document, told):
            query = {one["name"]: one["schema"] for one in told.get("parameters") or () if one["in"] == "query"}
            filters = {name: schema for name, schema in query.items() if name not in ("cursor", "limit")}
            found.append(Lister(route, filters, "cursor" in query))
    return found


def is_list(document: dict[str, Any], told: dict[str, Any]) -> bool:
    """Is what an operation answers a list?"""
    content = told["responses"].get("200", {}).get("content", {}).values()
    answers = [answer for media in content for answer in variants(document, media["schema"])]
    return any(data.get("type") == "array" for one in answers for data in variants(document, one.get("properties", {}).get("data", {})))


async def asked_with(document: dict[str, Any], stage: Stage, one: Lister) -> AsyncIterator[dict[str, Any]]:
    """The first page, one far behind it, and the first page of every filter."""
    needed = {name: await said_of(stage, one.route.path, name, given) for name, given in one.route.row.query.items()}
    yield needed
    if one.has_cursor and (cursor := await deep(stage, one, needed)) is not None:
        yield needed | {"cursor": cursor}
    for name in one.filters:
        for value in await one.values(document, stage, name):
            yield needed | {name: value}


async def said_of(stage: Stage, path: str, name: str, given: str) -> Any:
    """What stands in a filter that every request of a list has."""
    known = SAID.get(f"{path}?{name}") or SAID.get(name)
    if known is not None:
        return known[0]
    return await thing(stage, given[1:]) if given.startswith("$") else given


async def deep(stage: Stage, one: Lister, needed: dict[str, Any]) -> str | None:
    """The cursor some pages on, None where the list has only one."""
    cursor = None
    for limit in (1, *[200] * DEEP):
        answer = await call(stage, one, needed | {"limit": limit} | ({"cursor": cursor} if cursor else {}))
        if answer.json()["meta"].get("next_cursor") is None:
            return cursor
        cursor = answer.json()["meta"]["next_cursor"]
    return cursor


async def call(stage: Stage, one: Lister, said: dict[str, Any], member: str = "owner") -> Response:
    """Ask for a page."""
    asked = await question(stage, one.route, {("query", name): value for name, value in said.items()})
    if one.route.row.may == "staff":
        asked.headers |= stage.made["staff_headers"]
    elif member == "agent_restricted":
        asked.headers |= stage.agent.headers
    answer = await ask(stage, asked)
    assert answer.status_code == 200, (one.route.name, said, answer.text)
    return answer


@asynccontextmanager
async def judging(url: str, roles: list[str]) -> AsyncIterator[Judge]:
    """A judge with a connection of each role."""
    async with AsyncExitStack() as stack:
        connections = {}
        for role in roles:
            connections[role] = await asyncpg.connect(url, server_settings={"role": role, "timezone": "UTC", "jit": "off"})
            stack.push_async_callback(connections[role].close)
        yield Judge(connections, await sizes(connections[roles[0]]), LARGE)


async def faults_of(stage: Stage, one: Lister, said: dict[str, Any], listener: Listener, judge: Judge) -> AsyncIterator[str]:
    """What is wrong with what a page of a list asks, for everybody who may read it."""
    asked = f"{one.route.path}?{'&'.join(said)}"
    most = next((more for beginning, more in MORE.items() if asked.startswith(beginning)), MOST)
    for member in ("owner", "agent_restricted"):
        if member == "owner" or (one.route.row.may != "staff" and one.route.cells[member] == "ok"):
            await listener.heard()
            found = await call(stage, one, ALWAYS | said if one.has_cursor else said, member)
            if said and not found.json()["data"]:
                yield f"{one.route.name} {said} of {member} finds nothing: that tells nothing"
            for sent in await listener.heard():
                for fault in await judge.faults(sent, most):
                    yield f"{one.route.name} {said} of {member}: {fault}\n    {brief(sent.query)}"


async def test_every_page_of_every_list_uses_an_index(settings: Settings, fresh_databases: Callable[[], Awaitable[str]]) -> None:
    url, wrong = await fresh_databases(), list[str]()
    async with setting(settings, url) as scene:
        stage, document = await busy_workspace(scene, url), scene.app.openapi_schema.to_schema()
        databases = (scene.kernel.database, scene.kernel.system)
        async with Listener().listening(*databases) as listener, judging(url, [one.role for one in databases]) as judge:
            for one in lists(document):
                async for said in asked_with(document, stage, one):
                    if one.route.path not in SIFTED or not said.keys() - {"cursor", "sort"}:
                        wrong += [fault async for fault in faults_of(stage, one, said, listener, judge)]
        small, unread = (judge.met & judge.tables) - judge.large.keys(), OWN - judge.met
    assert not wrong, "\n".join(wrong)
    assert not small, "These tables are read, and have few rows."
    assert not unread, "These tables were filled, and are not read."
