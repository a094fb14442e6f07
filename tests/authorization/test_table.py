"""The table and the application have the same routes, and every place in a request where an id stands is known."""

from collections.abc import Iterator
from typing import Any

from litestar import Litestar

from tests.authorization.table import ROUTES, TABLE, offered
from tests.authorization.things import THINGS
from tests.support.operations import operations

ADVICE = """
tests/authz.yaml says nothing of {missing}.
Add a row to its `routes`: `may` (the line of `lines` it follows), `but` (the cells in which it differs), a valid request where
it takes one, and, where it changes something, what its `entry` in the audit trail is called. A `$name` or `{{name}}` that is new is made in
tests/authorization/things.py."""
IDS = """
{places} are integers. Say in tests/authz.yaml whose id stands there (`ids`, of the file or of the row), or that it is none (`numbers`)."""


def test_every_route_has_a_row(app: Litestar) -> None:
    missing = sorted(offered(app) - {route.name for route in ROUTES})
    assert not missing, ADVICE.format(missing=", ".join(missing))


def test_every_row_has_a_route(app: Litestar) -> None:
    gone = sorted({route.name for route in ROUTES} - offered(app))
    assert not gone, f"tests/authz.yaml has rows without a route: {', '.join(gone)}"


def test_every_row_says_what_it_leaves_in_the_trail() -> None:
    silent = [
        route.name for route in ROUTES if route.changes and (route.row.entry is None or (route.row.entry == "none") != bool(route.row.why))
    ]
    assert not silent, f"They change something: say how their `entry` is called, or `none` and `why`: {', '.join(silent)}"


def test_every_place_of_an_id_is_known(app: Litestar) -> None:
    known = {route.name: route for route in ROUTES}
    told = set(TABLE.ids) | set(TABLE.numbers) | set(TABLE.staff_ids)
    unknown = [
        f"{one.name}: {where} {name}"
        for one in operations(app)
        if one.name in known
        for where, name in one.ids
        if where != "path" and name not in told and name not in known[one.name].row.ids
    ]
    assert not unknown, IDS.format(places=", ".join(unknown))


def test_every_name_stands_for_something() -> None:
    named = {
        (route.name, route.row.ids.get(name, name))
        for route in ROUTES
        for name in [*route.names, *route.row.given, *dollars(route.row.json)]
    }
    named |= {("ids", name) for name in TABLE.ids.values()}
    assert sorted((where, name) for where, name in named if name not in THINGS) == []


def dollars(value: Any) -> Iterator[str]:
    """The ``$names`` of a part of a row."""
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from dollars(part)
    elif isinstance(value, str) and value.startswith("$"):
        yield value[1:]


def test_every_cell_of_every_route_is_said() -> None:
    assert [(route.name, set(TABLE.principals) ^ set(route.cells)) for route in ROUTES if set(route.cells) != set(TABLE.principals)] == []


def test_tokens_that_ended_are_worth_nothing() -> None:
    """Nobody unknown may do more than nobody."""
    worthless = ("garbage", "removed_member", "token_expired", "token_revoked", "other_plan")
    beyond = [(route.name, who) for route in ROUTES for who in worthless if route.cells[who] == "ok" and route.cells["anon"] != "ok"]
    assert beyond == []
