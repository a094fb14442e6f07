"""Every operation says who may call it, and every table whose rows it holds."""

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from litestar import Controller, Litestar, Router
from litestar import get as plain_get
from litestar.routes import HTTPRoute

from plixa.kernel.auth import Access
from plixa.kernel.database import APP_ROLE, SYSTEM_ROLE
from plixa.kernel.http import Undeclared, get, refuse_undeclared
from plixa.kernel.settings import Settings

TABLES = """SELECT c.relname AS name, c.relrowsecurity AND c.relforcerowsecurity AS is_guarded,
    (SELECT array_agg(a.attname ORDER BY k.place) FROM pg_index i, unnest(i.indkey) WITH ORDINALITY k(number, place)
     JOIN pg_attribute a ON a.attnum = k.number WHERE i.indrelid = c.oid AND i.indisprimary AND a.attrelid = c.oid) AS key,
    EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND a.attnotnull) AS has_tenant
FROM pg_class c WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace ORDER BY 1"""
FOREIGN_KEYS = """SELECT c.conrelid::regclass::text AS source, c.confrelid::regclass::text AS target,
    (SELECT array_agg(a.attname) FROM pg_attribute a WHERE a.attrelid = c.conrelid AND a.attnum = ANY(c.conkey)) AS columns
FROM pg_constraint c WHERE c.contype = 'f'"""
POLICIES = """SELECT tablename AS name, array_agg(policyname || ' ' || array_to_string(roles, ',') ORDER BY policyname) AS policies
FROM pg_policies GROUP BY 1"""
ROLES = "SELECT rolname FROM pg_roles WHERE rolname = ANY($1::text[]) AND (rolsuper OR rolbypassrls)"
OWNED = """SELECT c.relname FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner
WHERE r.rolname = ANY($1::text[]) AND c.relnamespace = 'public'::regnamespace"""
WITHOUT_TENANT = {"schema_version"}
"""Tables that are nobody's."""


@pytest.fixture
async def catalog(fresh_database: str) -> AsyncIterator["asyncpg.Connection[Any]"]:
    """The schema, as its owner sees it."""
    connection = await asyncpg.connect(fresh_database)
    yield connection
    await connection.close()


def test_every_operation_declares_who_may_call_it(app: Litestar) -> None:
    handlers = [
        (route.path, handler)
        for route in app.routes
        if isinstance(route, HTTPRoute) and route.path.startswith("/v1")
        for handler in route.route_handlers
        if "OPTIONS" not in handler.http_methods
    ]
    assert len(handlers) > 25
    assert [path for path, handler in handlers if not isinstance(handler.opt.get("access"), Access)] == []


def test_one_that_does_not_stops_the_start() -> None:
    class Forgetful(Controller):
        path = "/secrets"

        @plain_get("/")
        async def index(self) -> str:
            return "all of them"

    app = Litestar([Router("/v1", route_handlers=[Forgetful])], openapi_config=None)
    with pytest.raises(Undeclared, match="/v1/secrets"):
        refuse_undeclared(app)


@pytest.mark.parametrize(
    ("name", "who", "fault"),
    [
        ("send_mesage", Access.MEMBER, "not in the settings: send_mesage"),
        ("send_message", Access.PUBLIC, "send_message could only count per ip"),
    ],
)
def test_a_throttle_that_cannot_be_counted_stops_the_start(name: str, who: Access, fault: str, settings: Settings) -> None:
    @get("/things", access=who, throttle=name)
    async def index() -> str:
        return "all of them"

    app = Litestar([Router("/v1", route_handlers=[index])], openapi_config=None)
    app.state.settings = settings
    with pytest.raises(Undeclared, match=fault):
        refuse_undeclared(app)


def test_only_signing_in_and_the_gateway_need_no_token(app: Litestar) -> None:
    open_to_all = {
        route.path
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        if handler.opt.get("access") in (Access.PUBLIC, Access.GATEWAY)
    }
    assert open_to_all == {
        "/v1/auth/register",
        "/v1/auth/login",
        "/v1/auth/forgot-password",
        "/v1/auth/reset-password",
        "/v1/admin/auth/login",
        "/v1/team/invitations/accept",
        "/v1/waitlist",
        "/v1/kb/articles",
        "/v1/kb/articles/{slug:str}",
        "/v1/kb/categories",
        "/v1/email/unsubscribe/{link_token:str}",
        "/v1/webhooks/resend",
        "/v1/webhooks/evolution/{instance:str}",
        "/v1/webhooks/google-calendar",
        "/v1/scheduling/calendar/google/callback",
        "/v1/scheduling/feeds/{feed_token:str}",
        "/v1/dev/mailbox",
    }


async def test_every_table_belongs_to_tenants_and_is_guarded(catalog: "asyncpg.Connection[Any]") -> None:
    tables = [row for row in await catalog.fetch(TABLES) if row["name"] not in WITHOUT_TENANT]
    assert len(tables) > 15
    assert [row["name"] for row in tables if not row["has_tenant"]] == []
    assert [row["name"] for row in tables if not row["is_guarded"]] == []
    assert [row["name"] for row in tables if row["key"] is None or row["key"][0] != "tenant_id"] == []


async def test_every_policy_is_the_same(catalog: "asyncpg.Connection[Any]") -> None:
    tables = {row["name"] for row in await catalog.fetch(TABLES)} - WITHOUT_TENANT
    policies = {row["name"]: row["policies"] for row in await catalog.fetch(POLICIES)}
    assert policies == {table: [f"every_tenant {SYSTEM_ROLE}", f"own_tenant {APP_ROLE}"] for table in tables}


async def test_every_reference_stays_within_its_tenant(catalog: "asyncpg.Connection[Any]") -> None:
    rows = await catalog.fetch(FOREIGN_KEYS)
    assert len(rows) > 5
    assert [dict(row) for row in rows if row["target"] != "tenant" and (len(row["columns"]) < 2 or "tenant_id" not in row["columns"])] == []


async def test_no_role_of_ours_may_pass_the_guard(catalog: "asyncpg.Connection[Any]") -> None:
    roles = [APP_ROLE, SYSTEM_ROLE]
    assert await catalog.fetch(ROLES, roles) == []
    assert await catalog.fetch(OWNED, roles) == []


@pytest.mark.parametrize("role", [APP_ROLE, SYSTEM_ROLE])
@pytest.mark.parametrize("statement", ["UPDATE event SET position = position", "DELETE FROM event", "TRUNCATE event"])
async def test_what_happened_stays(catalog: "asyncpg.Connection[Any]", role: str, statement: str) -> None:
    await catalog.execute(f"SET ROLE {role}")
    with pytest.raises(asyncpg.InsufficientPrivilegeError) as refusal:
        await catalog.execute(statement)
    assert refusal.value.sqlstate == "42501"
