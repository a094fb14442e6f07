"""What the application offers, read from its own document: operations, and every place in them where an id stands."""

from collections.abc import Iterator
from typing import Any

from litestar import Litestar
from msgspec import Struct

ENDLESS = {"/v1/realtime", "/v1/admin/support/tickets/{ticket}/realtime"}
"""Answers that never end, and take no id."""
NO_ID = {"limit", "duration_seconds", "waveform", "expires_in_days"}


class Operation(Struct, frozen=True):
    """One operation; ``ids`` are its integer positions as (where, name), where being path, query or body."""

    method: str
    path: str
    ids: list[tuple[str, str]]
    query: list[str]
    media: str | None

    @property
    def name(self) -> str:
        """As people write it."""
        return f"{self.method} {self.path}"


def operations(app: Litestar) -> list[Operation]:
    """Every operation under ``/v1`` that ends."""
    document: dict[str, Any] = app.openapi_schema.to_schema()
    return [
        operation(document, method, path, told)
        for path, methods in document["paths"].items()
        for method, told in methods.items()
        if path.startswith("/v1") and path not in ENDLESS
    ]


def operation(document: dict[str, Any], method: str, path: str, told: dict[str, Any]) -> Operation:
    """One operation of the document."""
    parameters = told.get("parameters") or []
    ids = [(one["in"], one["name"]) for one in parameters if "integer" in types(document, one["schema"]) and one["name"] not in NO_ID]
    content = (told.get("requestBody") or {}).get("content") or {}
    for schema in (media["schema"] for media in content.values()):
        ids += [("body", name) for name in integers(document, schema)]
    query = [one["name"] for one in parameters if one["in"] == "query"]
    return Operation(method.upper(), path, ids, query, next(iter(content), None))


def integers(document: dict[str, Any], schema: dict[str, Any]) -> Iterator[str]:
    """Names of a body's fields that are integers or lists of them."""
    for one in variants(document, schema):
        for name, field in (one.get("properties") or {}).items():
            items = [item for part in variants(document, field) if (item := part.get("items"))]
            if name not in NO_ID and any("integer" in types(document, part) for part in (field, *items)):
                yield name


def types(document: dict[str, Any], schema: dict[str, Any]) -> set[str]:
    """The JSON types a schema admits."""
    found: set[str] = set()
    for one in variants(document, schema):
        told = one.get("type") or []
        found |= {told} if isinstance(told, str) else set(told)
    return found


def variants(document: dict[str, Any], schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The schemas behind references and alternatives."""
    if "$ref" in schema:
        place: Any = document
        for part in schema["$ref"].removeprefix("#/").split("/"):
            place = place[part]
        yield from variants(document, place)
        return
    yield schema
    for key in ("oneOf", "anyOf", "allOf"):
        for one in schema.get(key) or ():
            yield from variants(document, one)
