"""Two tenants that look alike, and every question to the one in which an id of the other may stand."""

import re
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import asyncpg
import pytest
from httpx import Response
from msgspec import Struct

from plixa.kernel import loading, log, saving, uow
from plixa.kernel.audit import PLATFORM
from plixa.kernel.tenancy import scoped
from tests.authorization.asking import Position, ask, question
from tests.authorization.making import thing
from tests.authorization.stage import Scene, Stage, hire, set_stage
from tests.authorization.table import ROUTES, TABLE, Route
from tests.authorization.things import THINGS
from tests.identity.people import bearer
from tests.identity.tokens import new_token
from tests.inbox.test_deleting import TABLES
from tests.support.operations import Operation, operations
from tests.support.trail import follow_log

EVERYTHING = (
    *(
        "conversation",
        "message",
        "file_message",
        "label",
        "labelled",
        "contact_labelled",
        "sector",
        "definition",
        "reply",
        "member",
        "rule",
        "ticket",
    ),
    *("service", "resource", "closure", "calendar_filter"),
    *("token", "session", "invitation", "number", "logo"),
)
TWICE = ("token", "asked", "file_message", "session", "ticket", "service", "resource", "closure")
"""Of what is listed page by page, so that there is a second."""
NOT_THEIRS = ("access_token", "idempotency_key")
"""Tables that change because somebody looks: when a token was last used."""
BULK: dict[str, list[dict[str, Any]]] = {
    "ids": [{"action": action} for action in ("close", "reopen", "delete")],
    "assignee_id": [{"action": "assign"}],
    "label_id": [{"action": "add_label"}, {"action": "remove_label"}],
}
LISTED = ("ids", "user_ids", "provider_ids", "service_ids", "resource_ids")
"""Places that take a list of ids."""
ENDING = [route for route in ROUTES if not route.row.endless]
LATER: dict[str, Any] = {"as_of": "2098-01-01T00:00:00Z"}
ELSE_NOBODYS: dict[str, Callable[[int], Any]] = {
    "instance": lambda number: f"plx_{number:016x}",
    "label_text": str,
    "values": lambda number: {str(number): "x"},
}
"""How an id that nobody has is written where it is no number."""
_nobody = count(2**52)


class Ask(Struct, frozen=True):
    """One place of a route in which an id stands, and what else it is asked with."""

    route: Route
    place: Position
    thing: str
    extra: dict[str, Any]
    is_list: bool

    def __str__(self) -> str:
        return f"{self.route.name} {'/'.join(self.place)} {self.extra or ''}"

    @property
    def refusal(self) -> int:
        """What a foreign id is answered; filters find nothing."""
        where, name = self.place
        if name in self.route.row.foreign:
            return self.route.row.foreign[name]
        return 200 if where == "query" and name not in ("before", "after") else 404


async def twin(scene: Scene) -> Stage:
    """Of every table a row or two, every text a canary."""
    stage = await set_stage(scene, "owner")
    for name in EVERYTHING:
        await thing(stage, name)
    for name in TWICE:
        await THINGS[name](stage)
    await follow_log(scene.kernel, stage.tenant)
    stage.made["staff_headers"] = bearer(await new_token(scene.kernel, "staff", PLATFORM, await hire(stage)))
    return stage


async def rows(stage: Stage) -> list[str]:
    """Everything it has, row by row."""
    found = []
    for table in await stage.workspace.rows(f"SELECT name FROM ({TABLES}) t WHERE $1::bigint > 0 ORDER BY 1"):
        if table["name"] not in NOT_THEIRS:
            text = await stage.workspace.rows(f"SELECT t::text AS row FROM {table['name']} t WHERE tenant_id = $1 ORDER BY 1")
            found += [f"{table['name']} {one['row']}" for one in text]
    return found


def places(offered: dict[str, Operation]) -> Iterator[Ask]:
    """Every place of every route where an id stands, but for those of staff, who see every workspace."""
    for route in ENDING:
        operation = offered[route.name]
        whose = [("path", name, route.row.ids.get(name, name)) for name in route.names]
        told = TABLE.ids | route.row.ids
        whose += [(where, name, told[name]) for where, name in operation.ids if where != "path" and name in told]
        whose += [("body", name, kind) for name, kind in route.row.ids.items() if kind in ELSE_NOBODYS]
        for where, name, kind in whose:
            if name not in TABLE.staff_ids and kind != "tenant_id":
                for extra in variations(route, operation, (where, name)):
                    yield Ask(route, (where, name), kind, extra, name in LISTED)


def variations(route: Route, operation: Operation, place: Position) -> list[dict[str, Any]]:
    """What else a route may be asked with."""
    if route.path.endswith("/bulk"):
        return BULK[place[1]]
    return [{}, LATER] if "as_of" in operation.query else [{}]


async def probe(me: Stage, other: Stage, asks: list[Ask], headers: dict[str, str] | None = None) -> list[str]:
    """Every ask with the other's id, beside the same with one that nobody has; answers what gave anything away."""
    theirs = {one.thing: await thing(other, one.thing) for one in asks}
    before, leaks = await rows(other), []
    for one in asks:
        answers = [await foreign(me, one, value, headers) for value in (theirs[one.thing], nobody(one))]
        if shown(answers[0]) != shown(answers[1]):
            leaks.append(f"{one}: {shown(answers[0])} is not what nobody's id is answered: {shown(answers[1])}")
        if answers[0].status_code != one.refusal:
            leaks.append(f"{one}: {answers[0].status_code} {answers[0].text[:200]}")
        if other.canary in answers[0].text:
            leaks.append(f"{one}: their words in {answers[0].text[:200]}")
    return leaks + [f"changed: {row}" for row in sorted(set(before) ^ set(await rows(other)))]


def nobody(one: Ask) -> Any:
    """An id that nobody has."""
    return ELSE_NOBODYS.get(one.thing, int)(next(_nobody))


async def foreign(me: Stage, one: Ask, value: Any, headers: dict[str, str] | None) -> Response:
    """The route as the one tenant calls it, with one id of another origin."""
    where = "query" if "as_of" in one.extra else "body"
    put: dict[Position, Any] = {(where, name): said for name, said in one.extra.items()}
    put[one.place] = [value] if one.is_list else value
    asked = await question(me, one.route, put)
    if headers is not None or one.route.row.may == "staff":
        asked.headers |= headers if headers is not None else me.made["staff_headers"]
    return await ask(me, asked)


def shown(answer: Response) -> tuple[int, str, list[str]]:
    """What a caller can tell answers apart by."""
    return answer.status_code, answer.text, sorted(name for name in answer.headers if name != "x-request-id")


async def pages_of_the_other(me: Stage, other: Stage, offered: dict[str, Operation]) -> tuple[int, list[str]]:
    """Every list of the one, gone on with where a list of the other stopped: how many, and what is found of theirs."""
    leaks, probed = [], 0
    for route in ENDING:
        if "cursor" in offered[route.name].query and route.cells["owner"] == "ok" and route.row.may not in ("public", "staff"):
            theirs = await ask(other, await question(other, route, {("query", "limit"): 1}))
            cursor = theirs.json()["meta"]["next_cursor"]
            if cursor is not None:
                page, probed = await ask(me, await question(me, route, {("query", "cursor"): cursor})), probed + 1
                if not page.is_success or other.canary in page.text:
                    leaks.append(f"{route.name}: {page.status_code} {page.text[:200]}")
    return probed, leaks


def offered_by(scene: Scene) -> dict[str, Operation]:
    """The application's operations by name."""
    return {one.name: one for one in operations(scene.app)}


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
    for module in (uow, log, loading, saving):
        monkeypatch.setattr(module, "scoped", unfiltered)
