"""Tokens and who may call: every operation declares its ``Access``, and a caller is one ``Principal``.

A token is shown once as ``<id>|<prefix><40 base62><6 base62 of CRC-32>``; only its SHA-256 is stored. The checksum lets secret
scanners, and us, refuse a typo without asking the database.
"""

import secrets
import string
import zlib
from collections.abc import Awaitable, Callable
from enum import Enum
from hashlib import sha256
from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler
from msgspec import Struct

from plixa.kernel.errors import Forbidden, PlixaError, Unauthenticated
from plixa.kernel.recall import Recall
from plixa.kernel.requests import caller_network, current_request

BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
SECRET = 40
CHECKSUM = 6
ACTORS = {"panel": "member", "api": "token", "staff": "staff"}
"""What the log calls each kind of principal."""


class Access(Enum):
    """Who may call an operation."""

    PUBLIC = "public"
    MEMBER = "member"
    OWNER = "owner"
    STAFF = "staff"
    GATEWAY = "gateway"


class Principal(Struct, frozen=True, kw_only=True):
    """Who calls: a member of a workspace, through the panel (``panel``) or an API token (``api``), or Plixa's staff."""

    kind: str
    token_id: int
    tenant: int
    user_id: int
    name: str
    role: str
    abilities: frozenset[str] = frozenset()
    features: frozenset[str] = frozenset()
    tenant_status: str = "active"
    restricted: bool = False

    @property
    def scope(self) -> str:
        """Within what idempotency keys are unique."""
        return f"{self.kind}/{self.token_id}"


Authenticate = Callable[[int, bytes], Awaitable[Principal | None]]
"""Finds the principal of a token by its id and the SHA-256 of its secret."""


class TokenAbilityRequired(PlixaError):
    code = "TOKEN_ABILITY_REQUIRED"
    status = 403
    default = "This token does not have the ability this needs."


class PlanRequired(PlixaError):
    code = "PLAN_REQUIRED"
    status = 403
    default = "Your plan does not include this."


class WorkspaceSuspended(PlixaError):
    code = "WORKSPACE_SUSPENDED"
    status = 403
    default = "This workspace is suspended. Please contact support."


def base62(number: int, width: int) -> str:
    """The number in ``width`` base-62 digits."""
    digits = ""
    for _ in range(width):
        number, digit = divmod(number, 62)
        digits = BASE62[digit] + digits
    return digits


def mint(prefix: str) -> str:
    """A new secret: the prefix, 238 random bits, a checksum."""
    secret = "".join(secrets.choice(BASE62) for _ in range(SECRET))
    return f"{prefix}{secret}{base62(zlib.crc32(secret.encode()), CHECKSUM)}"


def hashed(secret: str) -> bytes:
    """What is stored of a secret."""
    return sha256(secret.encode()).digest()


def parse_bearer(header: str | None) -> tuple[int, str] | None:
    """Token id and secret of an ``Authorization`` header, or None where it cannot be one of ours."""
    if header is None or len(header) > 200 or not header.isascii() or not header.startswith("Bearer "):
        return None
    number, bar, secret = header[7:].partition("|")
    if not bar or not number.isdigit() or len(number) > 15:
        return None
    random, checksum = secret[-SECRET - CHECKSUM : -CHECKSUM], secret[-CHECKSUM:]
    if len(random) != SECRET or base62(zlib.crc32(random.encode()), CHECKSUM) != checksum:
        return None
    return int(number), secret


class Gatekeeper:
    """Who a token belongs to, remembered for half a second."""

    def __init__(self, authenticate: Authenticate) -> None:
        self._authenticate = authenticate
        self._known: Recall[bytes, Principal] = Recall()

    async def principal(self, header: str | None) -> Principal:
        """The caller; raises Unauthenticated."""
        token = parse_bearer(header)
        if token is None:
            raise Unauthenticated
        number, secret = token
        digest = hashed(f"{number}|{secret}")
        known = self._known.get(digest)
        if known is not None:
            return known
        principal = await self._authenticate(number, hashed(secret))
        if principal is None:
            self._known.forget(digest)
            raise Unauthenticated
        return self._known.put(digest, principal)

    def forget(self) -> None:
        """Trust nothing remembered: a token was just revoked here."""
        self._known.forget()


async def enforce_access(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """The one guard of ``/v1``: what an operation does not declare is refused, and what it throttles is counted."""
    access = handler.opt.get("access")
    principal: Principal | None = None
    if access not in (Access.PUBLIC, Access.GATEWAY):
        principal = await identify(connection)
        refuse = refusal(principal, access, handler)
        if refuse is not None:
            raise refuse
    throttle = handler.opt.get("throttle")
    if throttle is not None:
        state = connection.app.state
        limit = state.settings.throttles[throttle]
        await state.throttler.count(throttle, limit, counted_together(limit.per, principal))


async def identify(connection: ASGIConnection[Any, Any, Any, Any]) -> Principal:
    """The caller, who from now on is known to the operation and to the log lines of the request."""
    principal: Principal = await connection.app.state.gatekeeper.principal(connection.headers.get("authorization"))
    connection.scope["state"]["principal"] = principal
    request = current_request()
    if request is not None:
        request.tenant, request.actor = principal.tenant, f"{ACTORS[principal.kind]}/{principal.user_id}"
    return principal


def counted_together(per: str, principal: Principal | None) -> str:
    """Whose tries share a throttle: those of an address, of a tenant, or of a user, whose account it is."""
    if per == "ip" or principal is None:
        return caller_network()
    return str(principal.tenant if per == "tenant" else principal.user_id)


def refusal(principal: Principal, access: Access | None, handler: BaseRouteHandler) -> PlixaError | None:
    """Why the caller may not, or None."""
    if principal.tenant_status == "suspended":
        return WorkspaceSuspended()
    feature = handler.opt.get("feature")
    if principal.kind == "api" and handler.opt.get("ability") not in principal.abilities:
        return TokenAbilityRequired()
    if principal.kind not in ("api", "panel") or access not in (Access.MEMBER, Access.OWNER):
        return Forbidden()
    if access is Access.OWNER and principal.role != "owner":
        return Forbidden("Only the owner of the workspace can do this.")
    if feature is not None and feature not in principal.features:
        return PlanRequired(details={"feature": feature})
    return None
