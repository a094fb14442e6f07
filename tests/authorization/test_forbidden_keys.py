"""Fields that no caller may set, added to every object of every body: what is done, kept and answered is the same without them."""

import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec
import pytest

from plixa.kernel.audit import PLATFORM
from plixa.kernel.log import read_log
from plixa.kernel.uow import Kernel
from tests.authorization.asking import Question, ask, question
from tests.authorization.stage import Scene, Stage, set_stage
from tests.authorization.table import ROUTES, Route
from tests.authorization.twins import rows
from tests.inbox.test_deleting import TABLES
from tests.support.operations import variants

NUMBER, TEXT, TIME = 424_242_424_242, "forbidden-canary", "2042-04-02T04:02:42Z"
FORBIDDEN: dict[str, Any] = {
    **dict.fromkeys(("id", "number", "account_id", "workspace_id", "user_id", "member_id", "owner_id", "staff_id", "created_by"), NUMBER),
    **dict.fromkeys(("invited_by", "impersonated_by", "assigned_user_id", "contact_id", "position", "version", "unread_count"), NUMBER),
    **dict.fromkeys(("uuid", "slug", "hash", "token_hash", "password_hash", "two_factor_secret", "kind", "prefix", "logo_key"), TEXT),
    **dict.fromkeys(("stripe_customer_id", "stripe_subscription_id", "sealed_token", "gateway_name", "webhook_secret"), TEXT),
    **dict.fromkeys(("created_at", "updated_at", "deleted_at", "purge_at", "suspended_at", "license_expires_at", "accepted_at"), TIME),
    **dict.fromkeys(("two_factor_confirmed_at", "expires_at", "last_used_at", "email_verified_at"), TIME),
    **dict.fromkeys(("is_admin", "is_staff", "is_owner", "is_override", "agent_restricted", "allow_support_access"), True),
    "role": "owner",
    "status": "closed",
    "plan": "business",
    "plan_key": "business",
    "abilities": ["read", "write", TEXT],
    "features": ["ai", TEXT],
    "limits": {"seats": NUMBER},
    "permissions": [TEXT],
}
BODIES = [route for route in ROUTES if (route.row.json or route.row.files) and not route.path.startswith("/v1/webhooks")]
AREAS = sorted({route.area for route in BODIES})


@pytest.mark.parametrize("area", AREAS)
async def test_they_change_nothing(scene: Scene, area: str) -> None:
    assert len(FORBIDDEN) >= 40
    await scene.client.post("/v1/waitlist", json={"email": f"first-in-{area.replace('/', '-')}@example.com"})
    victim, wrong = await set_stage(scene, "owner"), []
    before = await rows(victim)
    for route in BODIES:
        if route.area == area:
            wrong += [f"{route.name}: {fault}" async for fault in faults(scene, route, victim.tenant)]
    assert not wrong, "\n".join(wrong)
    assert await rows(victim) == before


async def test_a_key_that_has_an_effect_is_found(scene: Scene) -> None:
    victim = await set_stage(scene, "owner")
    route = next(route for route in BODIES if route.name == "PUT /v1/security-config")
    assert [fault async for fault in faults(scene, route, victim.tenant, {"agents_can_delete_conversations": True})]
    assert [fault async for fault in faults(scene, route, victim.tenant, {"tenant_id": victim.tenant})] == []


async def faults(scene: Scene, route: Route, victim: int, keys: dict[str, Any] | None = None) -> AsyncIterator[str]:
    """What is different with the keys, on two workspaces that are alike."""
    without = await outcome(await set_stage(scene, route.does), route, {})
    told = await outcome(await set_stage(scene, route.does), route, keys or allowed(scene, route, victim))
    text = msgspec.json.encode(told.parts).decode()
    for mark in re.finditer(rf"\b{NUMBER}\b|{TEXT}|2042-04-02|\b{victim}\b", text):
        yield f"{mark[0]} is kept or answered: {text[max(0, mark.start() - 200) : mark.end() + 40]}"
    if without.status >= 300 or told.status != without.status:
        yield f"answered {told.status} instead of {without.status}: {text[:300]}"
    common = set(words(without.parts)) & set(words(told.parts)) | set(words(FORBIDDEN))
    these, those = ({msgspec.json.encode(plain(part, common)).decode() for part in one.parts} for one in (told, without))
    for part in sorted(these ^ those):
        yield f"{'more' if part in these else 'less'}: {part[:600]}"


class Outcome(msgspec.Struct, frozen=True):
    """What a request left: the status, and every changed row, event and answer."""

    status: int
    parts: list[Any]


async def outcome(stage: Stage, route: Route, forbidden: dict[str, Any]) -> Outcome:
    """Do it, and look at what is there now that was not there before."""
    asked = spoilt(await question(stage, route), forbidden)
    tenants = (stage.tenant, PLATFORM)
    since = [await kept(stage.kernel, tenant) for tenant in tenants]
    answer = await ask(stage, asked)
    found = [row for tenant, old in zip(tenants, since, strict=True) for row in await kept(stage.kernel, tenant) - old]
    if route.row.log == "new":
        found += await kept(stage.kernel, int(answer.json()["data"]["tenant"]["id"]))
    found.append(answer.text or "null")
    return Outcome(answer.status_code, [msgspec.json.decode(part.replace(stage.canary, "canary")) for part in found])


async def kept(kernel: Kernel, tenant: int) -> set[str]:
    """Every row and every event of a tenant, as JSON."""
    async with kernel.system.connection() as connection:
        found = {
            row["row"]
            for table in await connection.fetch(f"{TABLES} ORDER BY 1")
            for row in await connection.fetch(f"SELECT to_jsonb(t)::text AS row FROM {table['name']} t WHERE tenant_id = $1", tenant)
        }
    return found | {msgspec.json.encode(fact.event).decode() for fact in await read_log(kernel, tenant, 0)}


def words(value: Any) -> Iterator[str]:
    """Every text in it."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from words(part)


def plain(value: Any, common: set[str]) -> Any:
    """Without ids and times, and without texts that differ each time: codes, addresses, what is sealed."""
    if isinstance(value, dict):
        return {"#" if name.isdigit() else name: plain(part, common) for name, part in sorted(value.items())}
    if isinstance(value, list):
        return [plain(part, common) for part in value]
    if isinstance(value, str):
        return value if value in common else "*"
    return "#" if isinstance(value, int | float) and not isinstance(value, bool) else value


def allowed(scene: Scene, route: Route, victim: int) -> dict[str, Any]:
    """The keys that this body has no fields for."""
    operation = scene.app.openapi_schema.to_schema()["paths"][route.path][route.method.lower()]
    fields = set(fields_of(scene.app.openapi_schema.to_schema(), operation))
    keys = FORBIDDEN | {"tenant_id": victim, "tenant": {"id": victim}}
    return {name: value for name, value in keys.items() if name not in fields}


def fields_of(document: dict[str, Any], operation: dict[str, Any]) -> Iterator[str]:
    """The fields of a body's outermost object."""
    for media in operation["requestBody"]["content"].values():
        for schema in variants(document, media["schema"]):
            yield from schema.get("properties") or {}


def spoilt(asked: Question, forbidden: dict[str, Any]) -> Question:
    """The request with the keys added."""
    form = asked.form | ({name: str(value) for name, value in forbidden.items()} if asked.files else {})
    return msgspec.structs.replace(asked, json=added(asked.json, forbidden), form=form)


def added(value: Any, forbidden: dict[str, Any]) -> Any:
    """The keys in every object of a body, but where keys are ids themselves."""
    if isinstance(value, list):
        return [added(part, forbidden) for part in value]
    if not isinstance(value, dict) or any(key.isdigit() for key in value):
        return value
    return {name: added(part, forbidden) for name, part in value.items()} | {
        name: part for name, part in forbidden.items() if name not in value
    }
