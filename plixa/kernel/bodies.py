"""JSON bodies: decoded once, strictly, straight into the declared struct; every wrong field named in ordinary words."""

import re
from collections.abc import Iterator
from enum import Enum, EnumMeta
from functools import lru_cache
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, cast, get_args, get_origin

import msgspec
from litestar import Request
from litestar.handlers import BaseRouteHandler
from litestar.serialization import default_deserializer
from litestar.utils.scope.state import ScopeState

from plixa.kernel.errors import Invalid, MalformedBody

LARGEST: Final = 2**63 - 1
"""What PostgreSQL's ``bigint`` holds."""

_JSON: Final = re.compile(rb"application/(?:[\w.+-]+\+)?json\s*(?:;|$)", re.IGNORECASE)
_PLACE: Final = re.compile(r"^(?P<text>.*?)(?: - at (?:`key` in )?`\$(?P<path>.*)`)?$", re.DOTALL)
_DIGITS: Final = bytes.maketrans(b"123456789", b"000000000")
_MISSING: Final = re.compile(r"missing required field `(.+?)`")
_NAMES: Final = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "null": "null",
    "array": "a list",
    "object": "an object",
    "datetime": "a date and time",
    "date": "a date",
    "time": "a time",
}
_WORDS: Final[tuple[tuple[re.Pattern[str], str], ...]] = tuple(
    (re.compile(pattern), words)
    for pattern, words in (
        (r"missing required field", "This field is required."),
        (r"contains unknown field", "This field is not known."),
        (r"Expected `str` of length >= 1$", "Must not be empty."),
        (r"Expected `str` of length >= (\d+)", r"Must have at least \1 characters."),
        (r"Expected `str` of length <= (\d+)", r"Must have at most \1 characters."),
        (r"Expected `\w+` of length >= (\d+)", r"Must have at least \1 items."),
        (r"Expected `\w+` of length <= (\d+)", r"Must have at most \1 items."),
        (r"Expected `\w+` of length (\d+)", r"Must have exactly \1 items."),
        (r"matching regex", "Has the wrong format."),
        (r"Expected `\w+` >= (\S+)", r"Must be at least \1."),
        (r"Expected `\w+` <= (\S+)", r"Must be at most \1."),
        (r"Expected `\w+` > (\S+)", r"Must be greater than \1."),
        (r"Expected `\w+` < (\S+)", r"Must be less than \1."),
        (r"multiple of (\S+)", r"Must be a multiple of \1."),
        (r"with a timezone", "Must be a date and time with an offset."),
        (r"Invalid RFC3339 encoded datetime|ISO8601.*datetime", "Must be an ISO-8601 date and time."),
        (r"Invalid RFC3339 encoded date", "Must be a date like 2026-06-10."),
        (r"Invalid RFC3339 encoded time", "Must be a time like 09:30."),
        (r"out of range", "Is too large."),
        (r"Invalid (?:enum )?value", "Is not one of the allowed values."),
        (r"Invalid UUID", "Must be a UUID."),
    )
)
_WRONG_TYPE: Final = re.compile(r"Expected `(.+?)`(?:, got `(.+?)`)?")


class JsonRequest(Request[Any, Any, Any]):
    """``Litestar(request_class=JsonRequest)``; raw bodies (``body()``, ``stream()``, ``form()``) stay as they are."""

    async def json(self) -> Any:
        """The body as the handler's declared type; raises ``MalformedBody`` or ``Invalid``."""
        kind = next((value for name, value in self.scope["headers"] if name == b"content-type"), None)
        if kind and not _JSON.match(kind):
            raise MalformedBody("The body must be JSON: send it with Content-Type: application/json.")
        return decode_body(await self.body() or b"null", declared_body(self.route_handler))


async def take_json(request: Request[Any, Any, Any]) -> None:
    """Before a handler that takes a form: let the same fields come as JSON, then without files. Raises MalformedBody, Invalid."""
    if _JSON.match(request.headers.get("content-type", "").encode("latin-1")):
        ScopeState.from_scope(request.scope).form = decode_body(await request.body() or b"null", dict[str, Any])


@lru_cache(maxsize=1024)
def declared_body(handler: BaseRouteHandler) -> Any:
    """The type of a handler's ``data``; ``Any`` where it takes none."""
    field = handler.parsed_fn_signature.parameters.get("data")
    return field.annotation if field else Any


def decode_body(body: bytes, target: Any) -> Any:
    """Strict: no text for numbers; unknown fields are ignored; what PostgreSQL cannot store is refused."""
    try:
        value = _decoder(target).decode(body)
    except msgspec.ValidationError as error:
        raise Invalid(details=_complaints(target, _plain(body)) or _complaint(error, "")) from error
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise MalformedBody from error
    if _is_suspect(body) and (details := dict(_unstorable(_plain(body), ""))):
        raise Invalid(details=details)
    return value


def absent_body(handler: BaseRouteHandler) -> Invalid:
    """The refusal of an empty body where one is needed."""
    target = _present(declared_body(handler))
    details = _complaints(target, {}) if _is_struct(target) else {}
    return Invalid(details=details or {"body": ["A JSON body is required."]})


def in_words(message: str) -> str:
    """A complaint of msgspec as a sentence for people."""
    text = _text(message)
    for pattern, words in _WORDS:
        if found := pattern.search(text):
            return found.expand(words)
    if found := _WRONG_TYPE.search(text):
        got = f", not {_kinds(found[2])}" if found[2] else ""
        return f"Must be {_kinds(found[1])}{got}."
    return text.replace("`", "")


@lru_cache(maxsize=1024)
def _decoder(target: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(target, dec_hook=default_deserializer)


def _is_suspect(body: bytes) -> bool:
    """Whether it may hold a NUL character or an integer beyond 64 bits: two fast searches instead of a walk."""
    return b"\\u0000" in body or b"0" * 19 in body.translate(_DIGITS)


def _plain(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise MalformedBody from error


def _complaints(target: Any, value: Any, path: str = "") -> dict[str, list[str]]:
    """All fields that are wrong, not only the first; ``rules.0.kind`` for nested ones."""
    target = _present(target)
    details: dict[str, list[str]] = {}
    if _is_struct(target) and ((value is None and not path) or isinstance(value, dict)):
        for field in msgspec.structs.fields(target):
            here = f"{path}{field.encode_name}"
            if value and field.encode_name in value:
                details |= _complaints(field.type, value[field.encode_name], f"{here}.")
            elif field.required:
                details[here] = ["This field is required."]
    elif get_origin(target) is list and isinstance(value, list) and _is_struct(_present(get_args(target)[0])):
        for index, item in enumerate(value[:200]):
            details |= _complaints(get_args(target)[0], item, f"{path}{index}.")
    return details or _wrong(target, value, path)


def _wrong(target: Any, value: Any, path: str) -> dict[str, list[str]]:
    """The first complaint about one value."""
    try:
        msgspec.convert(value, target, dec_hook=default_deserializer, builtin_types=())
    except msgspec.ValidationError as error:
        details = _complaint(error, path)
        if allowed := _allowed(target):
            return {place: [f"Must be one of: {allowed}."] for place in details}
        return details
    return {}


def _complaint(error: msgspec.ValidationError, path: str) -> dict[str, list[str]]:
    """``{field: [sentence]}``, the field found in the error's ``at `$.rules[0].kind```."""
    message = str(error)
    found = _PLACE.match(message)
    inner = re.sub(r"\[(\d+|\.\.\.)\]", r".\1", (found["path"] or "") if found else "").replace("...", "*")
    missing = _MISSING.search(message)
    parts = [path.strip("."), inner.strip("."), missing[1] if missing else ""]
    return {".".join(part for part in parts if part) or "body": [in_words(message)]}


def _text(message: str) -> str:
    found = _PLACE.match(message)
    return found["text"] if found else message


def _present(target: Any) -> Any:
    """The type without ``Annotated`` limits' wrapper around structs and without ``None`` or ``UNSET``."""
    if get_origin(target) in (Union, UnionType):
        others = [item for item in get_args(target) if item not in (NoneType, msgspec.UnsetType)]
        if len(others) == 1 and _is_struct(_bare(others[0])):
            return _bare(others[0])
    return _bare(target) if _is_struct(_bare(target)) or get_origin(_bare(target)) is list else target


def _bare(target: Any) -> Any:
    return get_args(target)[0] if get_origin(target) is Annotated else target


def _is_struct(target: Any) -> bool:
    return isinstance(target, type) and issubclass(target, msgspec.Struct)


def _allowed(target: Any) -> str:
    """The values of an enumeration or a ``Literal``, with or without null."""
    values: list[str] = []
    for item in map(_bare, get_args(target) if get_origin(target) in (Union, UnionType) else (target,)):
        if get_origin(item) is Literal:
            values += [str(value) for value in get_args(item)]
        elif isinstance(item, EnumMeta):
            values += [str(member.value) for member in cast("type[Enum]", item)]
        elif item not in (NoneType, msgspec.UnsetType):
            return ""
    return ", ".join(values)


def _kinds(names: str) -> str:
    return " or ".join(_NAMES.get(name.strip(), name.strip()) for name in names.split("|"))


def _unstorable(value: Any, path: str) -> Iterator[tuple[str, list[str]]]:
    """Text with a NUL character and integers beyond 64 bits, as (field, messages)."""
    match value:
        case str() if "\0" in value:
            yield path or "body", ["Must not contain the NUL character."]
        case int() if not -LARGEST <= value <= LARGEST:
            yield path or "body", ["Is too large."]
        case dict():
            for key, item in value.items():
                yield from _unstorable(key, path)
                yield from _unstorable(item, f"{path}.{key}".lstrip("."))
        case list():
            for index, item in enumerate(value):
                yield from _unstorable(item, f"{path}.{index}".lstrip("."))
