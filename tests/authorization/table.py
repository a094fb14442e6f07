"""``tests/authz.yaml`` as the tests read it: rows with a cell for every principal."""

import re
from pathlib import Path
from typing import Any, Literal

import msgspec
import yaml
from litestar import Litestar
from litestar.routes import HTTPRoute
from msgspec import Struct, field

FILE = Path(__file__).parent.parent / "authz.yaml"
TRIED_FIRST = ("anon", "owner", "staff", "two_factor_pending", "impersonation")
"""Whoever of them may is who does it in the tests of what is done."""

Cell = int | Literal["ok", "look"]


class Row(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A route: who may, and what a valid request is."""

    may: str
    but: dict[str, Cell] = {}
    entry: str | None = None
    why: str | None = None
    log: Literal["workspace", "platform", "new"] = "workspace"
    plan: str | None = None
    given: list[str] = []
    json: Any = None
    form: dict[str, str] = {}
    files: dict[str, str] = {}
    query: dict[str, str] = {}
    headers: dict[str, str] = {}
    ids: dict[str, str] = {}
    foreign: dict[str, int] = {}
    endless: bool = False


class Table(Struct, frozen=True, forbid_unknown_fields=True):
    """The file."""

    principals: dict[str, str]
    lines: dict[str, dict[str, Cell]]
    ids: dict[str, str]
    numbers: list[str]
    staff_ids: list[str]
    routes: dict[str, Row]


class Route(Struct, frozen=True):
    """One row with its name, ``POST /v1/x/{id}``, and all its cells: ``ok``, or the status of the refusal."""

    method: str
    path: str
    row: Row
    cells: dict[str, Cell] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """As the file has it."""
        return f"{self.method} {self.path}"

    @property
    def area(self) -> str:
        """The first words of its path: what a test walks through at once."""
        parts = self.path.split("/")[2:]
        return parts[0] if parts[0] != "admin" else "/".join(parts[:2])

    @property
    def changes(self) -> bool:
        """Does it change something?"""
        return self.method != "GET"

    @property
    def names(self) -> list[str]:
        """The placeholders of its path."""
        return re.findall(r"{(\w+)}", self.path)

    @property
    def does(self) -> str:
        """Who does it in the tests of what is done; the owner where nobody can yet."""
        return next((principal for principal in TRIED_FIRST if self.cells[principal] == "ok"), "owner")


def read_table() -> Table:
    """The file; raises ValidationError for a word it does not know."""
    return msgspec.convert(yaml.safe_load(FILE.read_text()), Table)


TABLE = read_table()


def routes_of(table: Table) -> list[Route]:
    """Every row with its cells."""
    found = []
    for name, row in table.routes.items():
        method, path = name.split(" ")
        cells: dict[str, Cell] = table.lines[row.may] | row.but
        plain: dict[str, Cell] = {who: ("ok" if method == "GET" else 403) if cell == "look" else cell for who, cell in cells.items()}
        found.append(Route(method, path, row, plain))
    return found


ROUTES = routes_of(TABLE)
AREAS = sorted({route.area for route in ROUTES})


def offered(app: Litestar) -> set[str]:
    """The routes an application has under ``/v1``, as the file names them."""
    return {
        f"{method} {route.path_format.rstrip('/')}"
        for route in app.routes
        if isinstance(route, HTTPRoute) and route.path.startswith("/v1")
        for handler in route.route_handlers
        for method in handler.http_methods
        if method != "OPTIONS"
    }
