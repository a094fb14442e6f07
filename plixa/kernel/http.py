"""Routes: ``get post put patch delete`` as Litestar's, with ``access=`` to be stated; one unit of work a request.

A mutating handler runs, its answer is encoded, everything is committed, and only then is the answer sent. A command that lost a race
runs again from its start. A handler's ``uow`` is closed when it returns.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from http import HTTPMethod
from typing import Any, TypeVar, cast

import msgspec
from litestar import Litestar, Request, Response
from litestar import delete as litestar_delete
from litestar import get as litestar_get
from litestar import patch as litestar_patch
from litestar import post as litestar_post
from litestar import put as litestar_put
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.handlers.base import BaseRouteHandler
from litestar.routes import HTTPRoute

from plixa.kernel.audit import complete
from plixa.kernel.auth import Access, Principal
from plixa.kernel.idempotency import Answer, IdempotencyKey, read_key
from plixa.kernel.metrics import COMMANDS
from plixa.kernel.requests import current_request_id
from plixa.kernel.settings import Settings, Throttle
from plixa.kernel.uow import Kernel, UnitOfWork, perform

H = TypeVar("H", bound=Callable[..., Awaitable[Any]])
Handler = Callable[..., Awaitable[Any]]

Uow = NamedDependency[UnitOfWork]
Caller = NamedDependency[Principal]
Machinery = NamedDependency[Kernel]

JSON = "application/json"
BOUNDARY = re.compile(r'^multipart/.*;\s*boundary="?([^";]+)', re.IGNORECASE)


class Undeclared(Exception):
    """An operation under ``/v1`` does not say who may call it, or how often; the start is refused."""


def provide_kernel(request: Request[Any, Any, Any]) -> Kernel:
    """The process's kernel."""
    return cast("Kernel", request.app.state.kernel)


def provide_settings(request: Request[Any, Any, Any]) -> Settings:
    """What the deployment decided."""
    return cast("Settings", request.app.state.settings)


def provide_caller(request: Request[Any, Any, Any]) -> Principal:
    """Who calls."""
    return cast("Principal", request.scope["state"]["principal"])


def provide_uow(request: Request[Any, Any, Any]) -> UnitOfWork:
    """The request's unit of work, for the caller's tenant."""
    principal: Principal = request.scope["state"]["principal"]
    uow: UnitOfWork = request.app.state.kernel.unit(principal.tenant, principal.actor, current_request_id())
    uow.idempotency = request.scope["state"].get("idempotency")
    uow.principal = principal
    return uow


async def remember_key(connection: ASGIConnection[Any, Any, Any, Any], principal: Principal) -> None:
    """Take the idempotency key of a POST before its body is consumed."""
    header = connection.headers.get("idempotency-key") if connection.scope.get("method") == HTTPMethod.POST else None
    if header is None:
        return
    request = cast("Request[Any, Any, Any]", connection)
    place = f"{request.method} {request.url.path}?{request.url.query} ".encode()
    body = without_boundary(await request.body(), request.headers.get("content-type", ""))
    connection.scope["state"]["idempotency"] = read_key(principal.scope, header, place + body)


def without_boundary(body: bytes, content_type: str) -> bytes:
    """A form's body without the text that separates its parts: every repetition has another."""
    boundary = BOUNDARY.search(content_type)
    return body if boundary is None else body.replace(b"--" + boundary[1].encode(), b"--")


def reading(handler: Handler) -> Handler:
    """A query: its unit of work ends with it."""

    @wraps(handler)
    async def run(*arguments: Any, **named: Any) -> Any:
        uow: UnitOfWork | None = named.get("uow")
        try:
            result = await handler(*arguments, **named)
        finally:
            if uow is not None:
                uow.close()
        return result if isinstance(result, Response) else Response(msgspec.json.encode(result), media_type=JSON)

    return run


def committing(status: int, audited: bool) -> Callable[[Handler], Handler]:
    """A command: run, encode, commit, then answer. What is ``audited`` leaves one entry of whatever it changed."""

    def decorate(handler: Handler) -> Handler:
        @wraps(handler)
        async def run(*arguments: Any, **named: Any) -> Any:
            uow: UnitOfWork | None = named.get("uow")
            if uow is None:
                return await handler(*arguments, **named)

            async def told() -> Any:
                result = await handler(*arguments, **named)
                if audited:
                    await complete(uow)
                return result

            async def attempt() -> Answer:
                return await answer(uow, status, told)

            outcome = "refused"
            try:
                result = await perform(uow, attempt)
                outcome = "done"
            finally:
                uow.close()
                COMMANDS.labels(handler.__qualname__, outcome).inc()
            headers = {"X-Plixa-Position": str(uow.position)} if uow.position else None
            return Response(result.body, status_code=result.status, media_type=JSON, headers=headers)

        return run

    return decorate


async def answer(uow: UnitOfWork, status: int, handler: Callable[[], Awaitable[Any]]) -> Answer:
    """The kept answer of a repeated request, or a new one, kept with the commit where the caller gave a key."""
    key: IdempotencyKey | None = uow.idempotency
    kept = await key.find(await uow.begin(), uow.tenant) if key is not None else None
    if kept is not None:
        return kept
    result = await handler()
    fresh = Answer(status, b"" if result is None else msgspec.json.encode(result))
    if key is not None:
        uow.also(*key.keeping(fresh))
    return fresh


def _route(litestar_route: Callable[..., Any], method: HTTPMethod, default_status: int) -> Callable[..., Callable[[H], Any]]:
    def declare(path: str | None = None, *, access: Access, status_code: int | None = None, **options: Any) -> Callable[[H], Any]:
        """``ability=`` names what an API token needs, ``feature=`` what the plan must include, ``throttle=`` a limit of the settings.

        ``own=True`` is refused to staff who impersonate; ``even={SUSPENDED, …}`` lets members in where they would be barred;
        ``audited=False`` says that what it does is no deed of anybody's: a heartbeat, a preview.
        """
        status = status_code or default_status
        audited = options.setdefault("audited", True)
        wrap = reading if method is HTTPMethod.GET else committing(status, audited)

        def decorate(handler: H) -> Any:
            return litestar_route(path, access=access, status_code=status, **options)(wrap(handler))

        return decorate

    return declare


get = _route(litestar_get, HTTPMethod.GET, 200)
post = _route(litestar_post, HTTPMethod.POST, 201)
put = _route(litestar_put, HTTPMethod.PUT, 200)
patch = _route(litestar_patch, HTTPMethod.PATCH, 200)
delete = _route(litestar_delete, HTTPMethod.DELETE, 204)


def provide_in_turn(app: Litestar) -> None:
    """Let dependencies be provided one after the other: none of ours waits, and Litestar's task group costs more than all of them."""
    for route in app.routes:
        for _, model in route.route_handler_map.values() if isinstance(route, HTTPRoute) else ():
            model.dependency_batches = [{one} for batch in model.dependency_batches for one in batch]


def refuse_undeclared(app: Litestar) -> None:
    """Stop the start when an operation under ``/v1`` does not declare its access, or names a throttle that cannot be counted."""
    for route in app.routes:
        for handler in route.route_handlers if isinstance(route, HTTPRoute) and route.path.startswith("/v1") else ():
            fault = None if "OPTIONS" in handler.http_methods else undeclared(handler, app.state)
            if fault is not None:
                raise Undeclared(f"{sorted(handler.http_methods)} {route.path} {fault}")


def undeclared(handler: BaseRouteHandler, state: State) -> str | None:
    """What an operation's declaration lacks, or None."""
    access, name = handler.opt.get("access"), handler.opt.get("throttle")
    if not isinstance(access, Access):
        return "does not declare who may call it."
    if name is None:
        return None
    throttles: Mapping[str, Throttle] = state.settings.throttles
    if name not in throttles:
        return f"names a throttle that is not in the settings: {name}."
    if access in (Access.PUBLIC, Access.GATEWAY) and throttles[name].per != "ip":
        return f"is called by strangers, whom {name} could only count per ip."
    return None
