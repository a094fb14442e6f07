"""The one guard of ``/v1``: what an operation does not declare is refused, what it throttles is counted, and who was refused is noted."""

from typing import Any, Final

from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler
from litestar.types import Scope

from plixa.kernel.audit import record
from plixa.kernel.auth import Access, Principal, refusal
from plixa.kernel.errors import Forbidden, NotFound, RateLimited
from plixa.kernel.http import remember_key
from plixa.kernel.requests import caller_network, current_request, current_request_id
from plixa.kernel.uow import Kernel, perform, working

NOTED: Final = "denial"
"""The throttle of the settings that says how many refusals of one token are noted."""


async def enforce_access(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Let the caller in, or raise what the envelope tells them."""
    principal: Principal | None = None
    if handler.opt.get("access") not in (Access.PUBLIC, Access.GATEWAY):
        principal = await identify(connection)
        refused = refusal(principal, handler.opt, method_of(connection))
        if refused is not None:
            raise refused
        refuse_disguised(connection)
    throttle = handler.opt.get("throttle")
    if throttle is not None:
        state = connection.app.state
        limit = state.settings.throttles[throttle]
        await state.throttler.count(throttle, limit, counted_together(limit.per, principal))
    if principal is not None:
        await remember_key(connection, principal)


def refuse_disguised(connection: ASGIConnection[Any, Any, Any, Any]) -> None:
    """An id is spelt in one way: what else could be read as its number (``+7``, ``07``, ``7_0``) is nobody's; raises NotFound."""
    spelt = connection.scope["path"].split("/")
    if any(isinstance(value, int) and str(value) not in spelt for value in connection.path_params.values()):
        raise NotFound


async def identify(connection: ASGIConnection[Any, Any, Any, Any]) -> Principal:
    """The caller, who from now on is known to the operation and to the log lines of the request."""
    header = next((value.decode("latin-1") for name, value in connection.scope["headers"] if name == b"authorization"), None)
    principal: Principal = await connection.app.state.gatekeeper.principal(header)
    connection.scope["state"]["principal"] = principal
    request = current_request()
    if request is not None:
        request.tenant, request.actor = principal.tenant, f"{principal.actor.type}/{principal.actor.id}"
    return principal


async def note_denial(refused: Exception, scope: Scope) -> None:
    """Leave a security event of a denied permission, whether the guard or a command refused.

    A token that does nothing but fail is noted only so often.
    """
    principal: Principal | None = scope["state"].get("principal")
    if principal is None or not isinstance(refused, Forbidden) or refused.is_told:
        return
    state = scope["litestar_app"].state
    try:
        await state.throttler.count(NOTED, state.settings.throttles[NOTED], f"{principal.kind}/{principal.token_id}")
    except RateLimited:
        return
    kernel: Kernel = state.kernel
    what = {"method": scope.get("method"), "route": scope.get("path_template"), "code": refused.code}
    async with working(kernel, principal.tenant, principal.actor, current_request_id()) as uow:
        await perform(uow, lambda: record(uow, "security.permission_denied", ("token", principal.token_id), after=what))


def method_of(connection: ASGIConnection[Any, Any, Any, Any]) -> str:
    """``GET``, ``POST`` …"""
    return str(connection.scope.get("method"))


def counted_together(per: str, principal: Principal | None) -> str:
    """Whose tries share a throttle: those of an address, of a tenant, or of a user, whose account it is."""
    if per == "ip" or principal is None:
        return caller_network()
    return str(principal.tenant if per == "tenant" else principal.user_id)
