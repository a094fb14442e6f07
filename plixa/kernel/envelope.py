"""The one shape of every answer, and the one function that turns a failure into it."""

import asyncio
import logging
import re
from typing import Any, Final, Generic, TypeVar

import asyncpg
import msgspec
import redis.exceptions
from litestar import Request, Response
from litestar.exceptions import HTTPException, SerializationException, ValidationException

from plixa.kernel.bodies import LARGEST, absent_body, in_words
from plixa.kernel.errors import (
    Forbidden,
    Invalid,
    MalformedBody,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    PlixaError,
    RateLimited,
    Unauthenticated,
    Unavailable,
)

T = TypeVar("T")

log = logging.getLogger("plixa.http")


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """One reason for a refusal; ``details`` maps field to messages, or names what a client can act on."""

    code: str
    message: str
    details: dict[str, Any] | None = None


class Page(msgspec.Struct, frozen=True):
    """Where a list goes on; ``next_cursor`` is null on the last page.

    Named counts are fields of a subclass::

        class InboxPage(Page, frozen=True):
            unread: int
    """

    next_cursor: str | None
    limit: int


class Data(msgspec.Struct, Generic[T], frozen=True):
    """A successful answer: ``Data(view)`` for one thing, ``Data(views, Page(cursor, limit))`` for a list.

    How limits of request structs reach the OpenAPI document::

        class Minutes(msgspec.Struct):
            first_reply: Annotated[int, Meta(gt=-1)] | None = None  # a nullable field's minimum 0
            weekdays: list[Annotated[int, Meta(ge=0, le=6), Parameter(ge=0, le=6)]] = []  # limits of a list's items
    """

    data: T
    meta: Page | None = None
    errors: list[Problem] | None = None


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A refusal: only ``errors`` is filled."""

    data: None = None
    meta: None = None
    errors: list[Problem]


class UnsupportedMediaType(PlixaError):
    code = "UNSUPPORTED_MEDIA_TYPE"
    status = 415
    default = "This kind of body is not accepted here."


class BadRequest(PlixaError):
    """HTTP itself was misused: a wrong Host, a broken Content-Length."""

    code = "BAD_REQUEST"
    status = 400
    default = "The request is not valid."


_ABSENT: Final = re.compile(r"Missing required \w+ parameter '([^']+)'")
_BY_STATUS: Final[dict[int, type[PlixaError]]] = {
    400: BadRequest,
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    405: MethodNotAllowed,
    413: PayloadTooLarge,
    415: UnsupportedMediaType,
    422: Invalid,
    503: Unavailable,
}

_UNAVAILABLE: Final[tuple[type[Exception], ...]] = (
    TimeoutError,
    asyncio.TimeoutError,
    ConnectionError,
    asyncpg.PostgresConnectionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.LockNotAvailableError,
    asyncpg.TransactionRollbackError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InvalidCachedStatementError,
    asyncpg.InternalClientError,
    redis.exceptions.ConnectionError,
    redis.exceptions.TimeoutError,
)
"""The database or Redis is away, full, restarting or too slow; the same request may succeed in a moment."""


_UNSTORABLE: Final = frozenset(
    {
        asyncpg.NumericValueOutOfRangeError,
        asyncpg.CharacterNotInRepertoireError,
        asyncpg.UntranslatableCharacterError,
        asyncpg.DatetimeFieldOverflowError,
    }
)


def answer_error(request: Request[Any, Any, Any], exc: Exception) -> Response[Failure]:
    """Litestar's only exception handler: ``exception_handlers={Exception: answer_error}``."""
    error = _about(request, exc) or refusal(exc)
    if error.status == 500:
        log.error("request failed", exc_info=exc)
    elif error.status > 500:
        log.warning("request refused: %s after %s", error.code, type(exc).__name__)
    allow = exc.headers.get("allow") if isinstance(exc, HTTPException) and exc.headers else None
    headers = headers_of(error) | ({"Allow": allow} if allow else {})
    return Response(failure(error), status_code=error.status, headers=headers, media_type="application/json")


def failure(error: PlixaError) -> Failure:
    """The body that carries a refusal."""
    return Failure(errors=[Problem(error.code, error.message, error.details)])


def headers_of(error: PlixaError) -> dict[str, str]:
    """``Retry-After`` for what may be tried again, in whole seconds; the sign-in scheme for a missing token."""
    if isinstance(error, RateLimited | Unavailable):
        return {"Retry-After": str(max(1, error.retry_after))}
    return {"WWW-Authenticate": "Bearer"} if isinstance(error, Unauthenticated) else {}


def refusal(exc: Exception) -> PlixaError:
    """What the caller may know about an exception."""
    match exc:
        case PlixaError():
            return exc
        case ValidationException(extra=list(messages)):
            return Invalid(details=_fields(messages))
        case HTTPException():
            return _from_litestar(exc)
        case RecursionError():
            return MalformedBody("The body is nested too deeply.")
        case UnicodeDecodeError():
            return MalformedBody("The body is not valid text.")
    return _from_database(exc)


def _about(request: Request[Any, Any, Any], exc: Exception) -> PlixaError | None:
    """Refusals that only the request explains: an empty body, an id that no row can have."""
    if isinstance(exc, ValidationException) and _names_body(exc.extra):
        return absent_body(request.route_handler)
    if any(isinstance(value, int) and value > LARGEST for value in request.path_params.values()):
        return NotFound()
    return None


def _names_body(messages: Any) -> bool:
    return any(item.get("key") == "data" for item in messages or ())


def _from_litestar(exc: HTTPException) -> PlixaError:
    if isinstance(exc.__cause__, SerializationException):
        return MalformedBody()
    if absent := _ABSENT.match(exc.detail):
        return Invalid.field(absent[1], "This field is required.")
    error = _BY_STATUS.get(exc.status_code, PlixaError)()
    if 400 <= exc.status_code < 500 and error.status == 500:
        return BadRequest()
    return error


def _fields(messages: list[Any]) -> dict[str, list[str]]:
    """Litestar's list of ``{key, message}`` as field → messages; a body's own are found in ``bodies``."""
    details: dict[str, list[str]] = {}
    for item in messages:
        details.setdefault(item.get("key", "request"), []).append(in_words(item["message"]))
    return details


def _from_database(exc: BaseException) -> PlixaError:
    if isinstance(exc, _UNAVAILABLE) or type(exc) is asyncpg.InterfaceError:
        return Unavailable()
    if type(exc) in _UNSTORABLE or (type(exc) is asyncpg.DataError and isinstance(exc.__cause__, OverflowError | UnicodeError)):
        return Invalid("A value is outside of what can be stored.")
    return PlixaError()
