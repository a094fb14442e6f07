"""Tokens and who may call: every operation declares its ``Access``, and a caller is one ``Principal``.

A token is shown once as ``<id>|<prefix><40 base62><6 base62 of CRC-32>``; only its SHA-256 is stored. The checksum lets secret
scanners, and us, refuse a typo without asking the database.
"""

import secrets
import string
import zlib
from collections.abc import Awaitable, Callable, Mapping
from enum import Enum
from hashlib import sha256
from typing import Any

from msgspec import Struct

from plixa.kernel.errors import Forbidden, PlixaError, Unauthenticated
from plixa.kernel.event_store import Actor, Person
from plixa.kernel.recall import Recall

BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
SECRET = 40
CHECKSUM = 6
PREFIXES = {"panel": "plxp_", "api": "plx_", "staff": "plxa_", "impersonation": "plxi_", "challenge": "plxc_"}
"""How a token of each kind begins: none can stand in for another."""
UNENROLLED, SUSPENDED, DELETING = "unenrolled", "suspended", "deleting"
"""What else may stand between a member and an operation, unless that declares ``even={…}``: a second factor that is demanded and not
set up, a suspended workspace and, for what changes something, one that is about to be deleted."""


class Access(Enum):
    """Who may call an operation."""

    PUBLIC = "public"
    CHALLENGE = "challenge"
    MEMBER = "member"
    OWNER = "owner"
    STAFF = "staff"
    GATEWAY = "gateway"


class Principal(Struct, frozen=True, kw_only=True):
    """Who calls, and by which kind of token.

    ``user_id`` and ``name`` are the member's, or the staff person's; for an API token those of whoever made it.
    """

    kind: str
    token_id: int
    token_name: str = ""
    tenant: int
    user_id: int
    name: str
    role: str
    abilities: frozenset[str] = frozenset()
    features: frozenset[str] = frozenset()
    barred: frozenset[str] = frozenset()
    """Which of ``UNENROLLED``, ``SUSPENDED`` and ``DELETING`` holds."""
    restricted: bool = False
    impersonated_by: Person | None = None

    @property
    def scope(self) -> str:
        """Within what idempotency keys are unique."""
        return f"{self.kind}/{self.token_id}"

    @property
    def actor(self) -> Actor:
        """The caller as events name them."""
        if self.kind == "api":
            return Actor("token", self.token_id, self.token_name)
        if self.kind == "staff":
            return Actor("staff", self.user_id, self.name)
        return Actor("member", self.user_id, self.name, self.impersonated_by)


Authenticate = Callable[[int, bytes], Awaitable[Principal | None]]
"""Finds the principal of a token by its id and the SHA-256 of its secret."""


class TokenAbilityRequired(Forbidden):
    code = "TOKEN_ABILITY_REQUIRED"
    default = "This token does not have the ability this needs."


class PlanRequired(Forbidden):
    code = "PLAN_REQUIRED"
    default = "Your plan does not include this."


class AiPlanRequired(Forbidden):
    code = "AI_PLAN_REQUIRED"
    default = "Your plan does not include AI."


class WorkspaceSuspended(Forbidden):
    code = "WORKSPACE_SUSPENDED"
    default = "This workspace is suspended. Please contact support."


class TwoFactorSetupRequired(Forbidden):
    code = "TWO_FACTOR_SETUP_REQUIRED"
    default = "This workspace asks for a second factor. Set it up at /v1/me/2fa first."


class WorkspaceDeletionScheduled(Forbidden):
    code = "WORKSPACE_DELETION_SCHEDULED"
    default = "This workspace is about to be deleted. Its owner can cancel that."


BARS: dict[str, type[Forbidden]] = {
    SUSPENDED: WorkspaceSuspended,
    UNENROLLED: TwoFactorSetupRequired,
    DELETING: WorkspaceDeletionScheduled,
}


def base62(number: int, width: int) -> str:
    """The number in ``width`` base-62 digits."""
    digits = ""
    for _ in range(width):
        number, digit = divmod(number, 62)
        digits = BASE62[digit] + digits
    return digits


def mint(kind: str) -> str:
    """A new secret: the prefix of its kind, 238 random bits, a checksum."""
    secret = "".join(secrets.choice(BASE62) for _ in range(SECRET))
    return f"{PREFIXES[kind]}{secret}{base62(zlib.crc32(secret.encode()), CHECKSUM)}"


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


def refusal(principal: Principal, declared: Mapping[str, Any], method: str) -> PlixaError | None:
    """Why the caller may not call an operation that has ``declared`` these options, or None."""
    return mistaken(principal, declared.get("access")) or barred(principal, declared, method) or lacking(principal, declared)


def mistaken(principal: Principal, access: Access | None) -> PlixaError | None:
    """A token of a kind this operation is not for. One that only proves a password is no token anywhere but at the challenge."""
    if principal.kind == "challenge" or access is Access.CHALLENGE:
        return None if principal.kind == "challenge" and access is Access.CHALLENGE else Unauthenticated()
    if principal.kind == "staff" or access is Access.STAFF:
        return None if principal.kind == "staff" and access is Access.STAFF else Forbidden()
    return None if access in (Access.MEMBER, Access.OWNER) else Forbidden()


def barred(principal: Principal, declared: Mapping[str, Any], method: str) -> PlixaError | None:
    """What stands between the caller's whole workspace, or their account, and the operation."""
    let_in = declared.get("even", ())
    standing = (bar for bar in BARS if bar in principal.barred and bar not in let_in and (bar != DELETING or method != "GET"))
    return next((BARS[bar]() for bar in standing), None)


def lacking(principal: Principal, declared: Mapping[str, Any]) -> PlixaError | None:
    """What the operation needs and the caller has not."""
    feature = declared.get("feature")
    if principal.kind == "api" and declared.get("ability") not in principal.abilities:
        return TokenAbilityRequired()
    if principal.kind == "impersonation" and declared.get("own"):
        return Forbidden("Only the person themself can do this, not staff on their behalf.")
    if declared.get("access") is Access.OWNER and principal.role != "owner":
        return Forbidden("Only the owner of the workspace can do this.")
    if feature is None or feature in principal.features:
        return None
    return AiPlanRequired() if feature == "ai" else PlanRequired(details={"feature": feature})
