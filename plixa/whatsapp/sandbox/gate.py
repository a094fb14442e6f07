"""The way in: the keys, the order of the guards, the error envelope, and faults on demand."""

import asyncio
import hmac
from http import HTTPStatus
from typing import Any, cast

import msgspec
from litestar import Request, Response
from litestar.connection import ASGIConnection
from litestar.exceptions import HTTPException
from litestar.handlers import BaseRouteHandler
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from msgspec import UNSET, Struct

from plixa.whatsapp.sandbox.store import Instance, Json
from plixa.whatsapp.sandbox.world import World


class Refusal(Exception):
    """An answer in Evolution's error envelope; ``message`` is a string or a list."""

    def __init__(self, status: int, message: Any) -> None:
        super().__init__(message)
        self.status, self.message = status, message


def bad_request(message: Any) -> Refusal:
    return Refusal(HTTPStatus.BAD_REQUEST, [message])


def envelope(status: int, message: Any) -> Response[Json]:
    phrase = HTTPStatus(status).phrase
    body = {"status": status, "error": phrase, "response": {"message": message}}
    return Response(body, status_code=status, media_type="application/json")


def refused(_: Request[Any, Any, Any], error: Refusal) -> Response[Json]:
    return envelope(error.status, error.message)


def unknown_route(request: Request[Any, Any, Any], error: HTTPException) -> Response[Json]:
    if error.status_code in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED):
        return envelope(HTTPStatus.NOT_FOUND, [f"Cannot {request.method} {request.url.path}"])
    return envelope(error.status_code, error.detail)


def crashed(_: Request[Any, Any, Any], error: Exception) -> Response[Json]:
    """The real one also answers its own crashes in the envelope, with the bare text of the error."""
    return envelope(HTTPStatus.INTERNAL_SERVER_ERROR, f"{type(error).__name__}: {error}")


def world_of(connection: ASGIConnection[Any, Any, Any, Any]) -> World:
    return cast(World, connection.app.state.world)


def instance_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Instance:
    """The instance in the path; 404 before any look at the key."""
    name = connection.path_params["instance"]
    instance = world_of(connection).store.instance(name)
    if instance is None:
        raise Refusal(HTTPStatus.NOT_FOUND, [f'The "{name}" instance does not exist'])
    return instance


async def body_of(request: Request[Any, Any, Any]) -> Json:
    """The JSON object of the request; an empty body is an empty object."""
    try:
        body = msgspec.json.decode(await request.body() or b"{}")
    except msgspec.DecodeError as error:
        raise Refusal(HTTPStatus.INTERNAL_SERVER_ERROR, str(error)) from error
    return body if isinstance(body, dict) else {}


def required(body: Json, *names: str) -> None:
    """The schema check: every missing property, in a list inside the list."""
    missing = [f'instance requires property "{name}"' for name in names if name not in body]
    if missing:
        raise bad_request(missing)


async def key_guard(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Exists, then key: the global one, or the instance's own token on its own routes."""
    if "instance" in connection.path_params:
        check_key(connection, instance_of(connection).token)
    else:
        check_key(connection)


def check_key(connection: ASGIConnection[Any, Any, Any, Any], *tokens: str) -> None:
    """401 unless the call carries the global key or one of the tokens."""
    key = connection.headers.get("apikey", "").encode()
    if not any(hmac.compare_digest(key, good.encode()) for good in (connection.app.state.api_key, *tokens)):
        raise Refusal(HTTPStatus.UNAUTHORIZED, "Unauthorized")


class Fault(Struct, kw_only=True):
    """What goes wrong with the next ``count`` requests whose path contains ``path``.

    ``delay`` seconds before the answer; ``status`` (with ``message`` or a whole ``body``) in place of the answer;
    ``drop_response`` cuts the connection in the middle of it. ``handled`` says whether the request has its effect.
    """

    path: str = "/message/"
    count: int = 1
    delay: float = 0.0
    status: int | None = None
    message: Any = "Internal Server Error"
    body: Any = UNSET
    drop_response: bool = False
    handled: bool | None = None

    def answer(self, status: int) -> bytes:
        error = {"status": status, "error": HTTPStatus(status).phrase, "response": {"message": self.message}}
        return msgspec.json.encode(error if self.body is UNSET else self.body)


class Faults:
    """ASGI middleware around every route but the control ones."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        fault = self._due(scope)
        if fault is None:
            await self.app(scope, receive, send)
            return
        handled = fault.handled if fault.handled is not None else fault.status is None
        answer = _Answer()
        if handled:
            await self.app(scope, receive, answer.collect)
        await asyncio.sleep(fault.delay)
        await answer.release(send, fault)

    @staticmethod
    def _due(scope: Scope) -> Fault | None:
        faults: list[Fault] = scope["litestar_app"].state.faults
        fault = next((fault for fault in faults if fault.path in scope["path"]), None)
        if fault is None or scope["path"].startswith("/sandbox/"):
            return None
        fault.count -= 1
        if fault.count <= 0:
            faults.remove(fault)
        return fault


class _Answer:
    """An answer held back until the fault says what becomes of it."""

    def __init__(self) -> None:
        self._status: int | None = None
        self._body = b""

    async def collect(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
        elif message["type"] == "http.response.body":
            self._body += message["body"]

    async def release(self, send: Send, fault: Fault) -> None:
        status = fault.status or self._status or HTTPStatus.INTERNAL_SERVER_ERROR
        if fault.status is not None or self._status is None:
            self._body = fault.answer(status)
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(self._body)).encode())]
        start = {"type": "http.response.start", "status": int(status), "headers": headers}
        await send(cast(Message, start))
        body = self._body[: len(self._body) // 2] if fault.drop_response else self._body
        more = fault.drop_response
        await send(cast(Message, {"type": "http.response.body", "body": body, "more_body": more}))
