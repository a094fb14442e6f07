"""Refusals: every one carries the contract's code, its HTTP status and a sentence that says what to do."""

from typing import Any, ClassVar


class PlixaError(Exception):
    """A refusal that reaches the caller in the envelope."""

    code: ClassVar[str] = "INTERNAL_ERROR"
    status: ClassVar[int] = 500
    default: ClassVar[str] = "Something went wrong on our side. Try again in a moment."

    def __init__(self, message: str | None = None, details: dict[str, Any] | None = None) -> None:
        super().__init__(message or self.default)
        self.message = message or self.default
        self.details = details


class Invalid(PlixaError):
    """The request is malformed; ``details`` maps field to messages."""

    code = "VALIDATION_FAILED"
    status = 422
    default = "The given data was invalid."

    @classmethod
    def field(cls, name: str, message: str) -> "Invalid":
        """A refusal of one field."""
        return cls(details={name: [message]})


class MalformedBody(PlixaError):
    code = "MALFORMED_BODY"
    status = 400
    default = "The body is not valid JSON."


class Unauthenticated(PlixaError):
    code = "UNAUTHENTICATED"
    status = 401
    default = "Authentication required."


class Forbidden(PlixaError):
    """A denied permission, which leaves a security event; ``is_told`` where the refusal left one of its own."""

    code = "FORBIDDEN"
    status = 403
    is_told: ClassVar[bool] = False
    default = "You are not allowed to do this."


class NotFound(PlixaError):
    """Missing, or another tenant's: the answer is the same."""

    code = "NOT_FOUND"
    status = 404
    default = "Not found."


class MethodNotAllowed(PlixaError):
    code = "METHOD_NOT_ALLOWED"
    status = 405
    default = "This method is not allowed here."


class Conflict(PlixaError):
    """A business rule refuses."""

    code = "CONFLICT"
    status = 409
    default = "This conflicts with the present state."


class StreamConflict(Conflict):
    """Somebody else wrote the same stream first, more often than we retry."""

    code = "STREAM_CONFLICT"
    default = "Somebody else changed this at the same moment. Reload and try again."


class PayloadTooLarge(PlixaError):
    code = "PAYLOAD_TOO_LARGE"
    status = 413
    default = "The body is larger than allowed."


class RateLimited(PlixaError):
    """``retry_after`` in seconds goes out as ``Retry-After``."""

    code = "RATE_LIMITED"
    status = 429
    default = "Too many requests. Wait a moment and try again."

    def __init__(self, retry_after: int, message: str | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class UpstreamUnavailable(PlixaError):
    code = "UPSTREAM_UNAVAILABLE"
    status = 502
    default = "The provider did not answer. Try again in a moment."


class Unavailable(PlixaError):
    """We are overloaded or a part of us is down; ``retry_after`` in seconds."""

    code = "UNAVAILABLE"
    status = 503
    default = "Plixa is busy. Try again in a moment."
    retry_after = 2
