"""Requests as the table describes them, and who is answered what."""

import asyncio
import re
from typing import Any
from urllib.parse import quote

from httpx import Response
from msgspec import Struct, field

from tests.authorization.making import thing
from tests.authorization.stage import Stage
from tests.authorization.table import Route
from tests.authorization.things import FILES

Position = tuple[str, str]
"""Where in a request something stands, and its name: ``("path", "conversation")``."""


class Question(Struct):
    """A request, ready to be sent any number of times."""

    method: str
    path: str
    json: Any = None
    form: dict[str, Any] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    query: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, Any] = field(default_factory=dict)
    endless: bool = False

    @property
    def sent(self) -> dict[str, Any]:
        """As the client takes it."""
        more: dict[str, Any] = {"params": self.query, "headers": self.headers}
        if self.json is not None:
            more["json"] = self.json
        if self.files:
            more["files"] = {name: (filename, FILES[filename[-3:]]) for name, filename in self.files.items()}
            more["data"] = self.form
        return more


async def question(stage: Stage, route: Route, put: dict[Position, Any] | None = None) -> Question:
    """A valid request of whoever calls on this stage, or, where ``put`` says so, one with other values.

    What has to be so before is made so where it will be done.
    """
    row, is_done = route.row, put is None and route.cells[stage.principal] == "ok"
    put = put or {}
    values = {name: await value_of(stage, route, name, put) for name in route.names}
    for state in row.given if is_done else ():
        await thing(stage, state)
    json, query = await filled(stage, row.json), await filled(stage, row.query)
    for (where, name), value in put.items():
        if where == "query":
            query[name] = value
        elif where == "body":
            json = (json or {}) | {name: value}
    path = re.sub(r"{(\w+)}", lambda place: quote(str(values[place[1]]), safe=""), route.path)
    headers = stage.headers | await filled(stage, row.headers)
    return Question(route.method, path, json, dict(row.form), row.files, query, headers, row.endless)


async def value_of(stage: Stage, route: Route, name: str, put: dict[Position, Any]) -> Any:
    """What stands in a place of the path."""
    place = ("path", name)
    return put[place] if place in put else await thing(stage, route.row.ids.get(name, name))


async def filled(stage: Stage, value: Any) -> Any:
    """A part of a row with its ``$names`` looked up."""
    if isinstance(value, dict):
        return {name: await filled(stage, part) for name, part in value.items()}
    if isinstance(value, list):
        return [await filled(stage, part) for part in value]
    return await thing(stage, value[1:]) if isinstance(value, str) and value.startswith("$") else value


async def ask(stage: Stage, asked: Question, **headers: Any) -> Response:
    """Send it."""
    if asked.endless:
        return await begin(stage, asked)
    sent = asked.sent
    sent["headers"] = sent["headers"] | headers
    return await stage.scene.client.request(asked.method, asked.path, **sent)


async def begin(stage: Stage, asked: Question) -> Response:
    """The beginning of an answer that never ends; then the caller leaves."""
    started: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
    left = asyncio.Event()
    heard = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> Any:
        for message in heard:
            return message
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start" and not started.done():
            started.set_result(Response(message["status"], headers=message["headers"]))

    request = stage.scene.client.build_request(asked.method, asked.path, headers=asked.headers)
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": asked.method,
        "path": asked.path,
        "raw_path": asked.path.encode(),
        "query_string": b"",
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "scheme": "http",
        "server": ("plixa.test", 80),
        "client": ("127.0.0.1", 4711),
        "root_path": "",
    }
    answering = asyncio.create_task(stage.scene.app(scope, receive, send))  # type: ignore[arg-type]
    try:
        return await asyncio.wait_for(asyncio.shield(started), 10)
    finally:
        left.set()
        await asyncio.wait({answering}, timeout=10)
