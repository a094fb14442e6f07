"""API tokens: shown once, good for what they say, and for nothing once revoked, expired or no longer in the plan."""

from typing import Any

import httpx
import pytest
from litestar import Litestar
from litestar.routes import HTTPRoute

from plixa.kernel.auth import hashed
from plixa.kernel.uow import Kernel
from tests.identity.people import bearer, change, entries, mails, registered, value
from tests.identity.tokens import impersonating, new_token, set_plan, staff_token
from tests.support.world import Member, Workspace

CRM = {"name": "CRM integration", "abilities": ["read", "write"], "expires_in_days": 90}
READABLE = (
    *("/v1/conversations", "/v1/messages", "/v1/contacts", "/v1/labels", "/v1/realtime"),
    *("/v1/scheduling/appointments", "/v1/scheduling/services", "/v1/scheduling/availability", "/v1/scheduling/waitlist"),
)
"""What the decisions let integrations read; with later issues also reports."""
WRITABLE = (
    *("/v1/messages/send", "/v1/contacts", "/v1/conversations/{conversation:int}/labels", "/v1/contacts/{contact:int}/labels"),
    *("/v1/scheduling/appointments", "/v1/scheduling/holds", "/v1/scheduling/waitlist"),
)


@pytest.fixture(autouse=True)
def cold(app: Litestar) -> None:
    """Nothing is remembered of the test before."""
    app.state.gatekeeper.forget()


@pytest.fixture
async def owner(client: httpx.AsyncClient, kernel: Kernel) -> dict[str, Any]:
    """Somebody whose plan has API access."""
    data = await registered(client)
    await set_plan(kernel, data["tenant"]["id"], "professional")
    return data


async def test_a_token_is_shown_once_and_only_its_hash_is_kept(client: httpx.AsyncClient, kernel: Kernel, owner: dict[str, Any]) -> None:
    made = await create(client, owner["token"])
    number, _, secret = made.pop("plain_text_token").partition("|")
    assert secret.startswith("plx_")
    assert (made["id"], made["name"], made["abilities"], made["token_prefix"]) == (int(number), CRM["name"], CRM["abilities"], secret[:8])
    assert made["created_by"] == {"id": owner["user"]["id"], "name": "Lucia Pereira"}
    assert (made["last_used_at"], made["expires_at"] > made["created_at"]) == (None, True)
    listed = (await client.get("/v1/api-tokens", headers=bearer(owner["token"]))).json()
    assert (listed["data"], listed["meta"]) == ([made], {"next_cursor": None, "limit": 50})
    row = await value(kernel, "SELECT (kind, name, hash)::text FROM access_token WHERE id = $1", int(number))
    assert row == rf'(api,"api:CRM integration","\\x{hashed(secret).hex()}")'
    assert (await client.get("/v1/conversations", headers=bearer(f"{number}|{hashed(secret).hex()}"))).status_code == 401


async def test_whoever_owns_the_workspace_hears_of_it(client: httpx.AsyncClient, kernel: Kernel, owner: dict[str, Any]) -> None:
    made = await create(client, owner["token"])
    await client.delete(f"/v1/api-tokens/{made['id']}", headers=bearer(owner["token"]))
    (mail,) = await mails(kernel, owner["tenant"]["id"])
    told = {"name": "Lucia Pereira", "workspace": "Lucia Studios", "token_name": CRM["name"]}
    assert (mail.template, mail.to, mail.locale, mail.values) == ("api_token_created", owner["user"]["email"], "pt", told)
    trail = (await entries(kernel, owner["tenant"]["id"]))[1:]
    assert [(entry.action, entry.subject_id) for _, entry in trail] == [
        ("api_token.created", made["id"]),
        ("api_token.revoked", made["id"]),
    ]
    assert made["plain_text_token"].partition("|")[2] not in repr(trail)


async def test_a_token_does_what_its_abilities_say_and_write_is_not_read(client: httpx.AsyncClient, owner: dict[str, Any]) -> None:
    made = await create(client, owner["token"], abilities=["write", "read", "read"])
    assert made["abilities"] == ["read", "write"]
    for abilities, status in ((["read"], 200), (["write"], 403), (["write", "read"], 200)):
        made = await create(client, owner["token"], abilities=abilities)
        answer = await client.get("/v1/conversations", headers=bearer(made["plain_text_token"]))
        assert answer.status_code == status, abilities
    for path in ("/v1/me", "/v1/api-tokens", "/v1/me/sessions", "/v1/me/availability"):
        answer = await client.get(path, headers=bearer(made["plain_text_token"]))
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (403, "TOKEN_ABILITY_REQUIRED"), path


def test_integrations_reach_what_was_decided_and_nothing_else(app: Litestar) -> None:
    declared = [
        (method, route.path, handler.opt["ability"])
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        if handler.opt.get("ability")
        for method in handler.http_methods - {"OPTIONS", "HEAD"}
    ]
    reads = {(method, path) for method, path, ability in declared if ability == "read"}
    assert {method for method, _ in reads} == {"GET"}
    assert [path for _, path in reads if not path.startswith(READABLE)] == []
    assert {("GET", "/v1/conversations"), ("GET", "/v1/realtime")} <= reads
    writes = {path for _, path, ability in declared if ability != "read"}
    assert [path for path in writes if not path.startswith(WRITABLE)] == []
    assert {ability for _, _, ability in declared} <= {"read", "write"}


async def test_revoked_and_expired_tokens_open_nothing(client: httpx.AsyncClient, kernel: Kernel, owner: dict[str, Any]) -> None:
    revoked, expired, lasting = [await create(client, owner["token"], expires_in_days=days) for days in (1, 365, None)]
    assert lasting["expires_at"] is None
    assert await statuses(client, revoked, expired, lasting) == [200, 200, 200]
    assert (await client.delete(f"/v1/api-tokens/{revoked['id']}", headers=bearer(owner["token"]))).status_code == 204
    await change(kernel, "UPDATE access_token SET expires_at = now() WHERE id = $1", expired["id"])
    assert await statuses(client, revoked, expired, lasting) == [401, 401, 200]
    assert (await client.delete(f"/v1/api-tokens/{revoked['id']}", headers=bearer(owner["token"]))).status_code == 404


async def test_without_the_plan_tokens_sleep_and_wake_with_it(
    client: httpx.AsyncClient, kernel: Kernel, app: Litestar, owner: dict[str, Any]
) -> None:
    made = await create(client, owner["token"])
    for plan, status in (("starter", 401), ("business", 200), (None, 401), ("professional", 200)):
        await set_plan(kernel, owner["tenant"]["id"], plan)
        app.state.gatekeeper.forget()
        assert await statuses(client, made) == [status], plan


async def test_only_an_owner_with_the_plan_handles_them(
    client: httpx.AsyncClient, kernel: Kernel, lucia_studios: Workspace, ana: Member
) -> None:
    tenant, lucia = lucia_studios.tenant, lucia_studios.owner
    assert await refusals(client, lucia.token) == {(403, "PLAN_REQUIRED")}
    await set_plan(kernel, tenant, "business")
    assert await refusals(client, ana.token) == {(403, "FORBIDDEN")}
    assert await refusals(client, await impersonating(kernel, tenant, lucia.id)) == {(403, "FORBIDDEN")}
    assert await refusals(client, await staff_token(kernel)) == {(403, "FORBIDDEN")}
    assert await refusals(client, await new_token(kernel, "api", tenant, lucia.id, "read", "write")) == {(403, "TOKEN_ABILITY_REQUIRED")}
    assert await refusals(client, await new_token(kernel, "challenge", tenant, lucia.id)) == {(401, "UNAUTHENTICATED")}


async def test_other_tokens_are_neither_listed_nor_revoked(
    client: httpx.AsyncClient, kernel: Kernel, owner: dict[str, Any], other_tenant: Workspace
) -> None:
    tenant, member = owner["tenant"]["id"], owner["user"]["id"]
    await set_plan(kernel, other_tenant.tenant, "professional")
    foreign = await create(client, other_tenant.owner.token)
    panel = int(owner["token"].partition("|")[0])
    others = [int((await new_token(kernel, kind, tenant, member)).partition("|")[0]) for kind in ("challenge", "impersonation")]
    missing = await client.delete("/v1/api-tokens/999999999", headers=bearer(owner["token"]))
    for number in (foreign["id"], panel, *others):
        answer = await client.delete(f"/v1/api-tokens/{number}", headers=bearer(owner["token"]))
        assert (answer.status_code, answer.content) == (404, missing.content)
    assert (await client.get("/v1/api-tokens", headers=bearer(owner["token"]))).json()["data"] == []
    assert await statuses(client, foreign) == [200]
    assert await value(kernel, "SELECT count(*) FROM access_token WHERE tenant_id = $1", tenant) == 3


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "x" * 61},
        {"name": " "},
        {"name": None},
        {"abilities": []},
        {"abilities": ["admin"]},
        {"abilities": ["*"]},
        {"abilities": "read"},
        {"expires_in_days": 0},
        {"expires_in_days": 366},
        {"expires_in_days": "1"},
        {"expires_in_days": True},
    ],
)
async def test_malformed_wishes_are_refused(client: httpx.AsyncClient, owner: dict[str, Any], wrong: dict[str, Any]) -> None:
    answer = await client.post("/v1/api-tokens", json=CRM | wrong, headers=bearer(owner["token"]))
    assert (answer.status_code, [name.partition(".")[0] for name in answer.json()["errors"][0]["details"]]) == (422, list(wrong))


async def test_the_list_is_paged(client: httpx.AsyncClient, owner: dict[str, Any]) -> None:
    made = [(await create(client, owner["token"], name=f"token {number}"))["id"] for number in range(5)]
    seen: list[int] = []
    cursor: str | None = ""
    while cursor is not None:
        page = await client.get(
            "/v1/api-tokens", params={"limit": 2} | ({"cursor": cursor} if cursor else {}), headers=bearer(owner["token"])
        )
        seen += [one["id"] for one in page.json()["data"]]
        cursor = page.json()["meta"]["next_cursor"]
    assert seen == made[::-1]


async def create(client: httpx.AsyncClient, token: str, **changes: Any) -> dict[str, Any]:
    answer = await client.post("/v1/api-tokens", json=CRM | changes, headers=bearer(token))
    assert answer.status_code == 201, answer.text
    data: dict[str, Any] = answer.json()["data"]
    return data


async def statuses(client: httpx.AsyncClient, *made: dict[str, Any]) -> list[int]:
    """How a read by each token is answered."""
    return [(await client.get("/v1/conversations", headers=bearer(one["plain_text_token"]))).status_code for one in made]


async def refusals(client: httpx.AsyncClient, token: str) -> set[tuple[int, str]]:
    """How the three operations refuse a caller."""
    headers = bearer(token)
    answers = [
        await client.get("/v1/api-tokens", headers=headers),
        await client.post("/v1/api-tokens", json=CRM, headers=headers),
        await client.delete("/v1/api-tokens/1", headers=headers),
    ]
    return {(answer.status_code, answer.json()["errors"][0]["code"]) for answer in answers}
