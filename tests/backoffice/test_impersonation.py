"""Impersonation: half an hour in another's name, never unseen."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from httpx import AsyncClient
from litestar import Litestar

from plixa.identity.commands.sessions import Entrance
from plixa.kernel.auth import Access
from plixa.kernel.event_store import Person
from plixa.kernel.http import get, post
from tests.backoffice.crew import Staff, bearer, codes, dismiss, hire, mails, refused_soon
from tests.identity.people import entries, value
from tests.inbox.desk import Desk
from tests.support.apps import calling, make_app
from tests.support.world import Member, Workspace

ALLOW = "UPDATE tenant SET allow_support_access = true WHERE tenant_id = $1"
AGE = """UPDATE access_token SET created_at = created_at - $2::interval, expires_at = expires_at - $2::interval
WHERE id = $1 RETURNING expires_at - created_at"""
EXPIRY = "SELECT expires_at FROM access_token WHERE id = $1"
TOKENS = "SELECT staff_id, is_override, expires_at - created_at AS lasts FROM access_token WHERE tenant_id = $1 AND kind = 'impersonation'"


async def age(workspace: Workspace, token: str, by: timedelta) -> Any:
    """Let an impersonation have begun earlier; answers how long it lasts in all."""
    return await value(workspace.kernel, AGE, int(token.partition("|")[0]), by)


async def test_it_acts_as_the_owner_and_names_both(bruna: Staff, desk: Desk, client: AsyncClient) -> None:
    workspace = desk.workspace
    number = (await desk.open())["id"]
    answer = await bruna.impersonate(workspace)
    assert (answer["user"]["id"], answer["user"]["role"], answer["tenant_id"]) == (workspace.owner.id, "owner", workspace.tenant)
    assert answer["token"].partition("|")[2].startswith("plxi_")
    theirs = bearer(answer["token"])
    me = (await client.get("/v1/me", headers=theirs)).json()["data"]
    assert (me["user"]["id"], me["impersonated_by"]) == (workspace.owner.id, {"id": bruna.id, "name": "Bruna"})
    assert (await client.post(f"/v1/conversations/{number}/close", headers=theirs)).status_code == 200
    deeds = [fact for fact in await desk.log() if fact.actor.impersonated_by is not None]
    assert len(deeds) == 2
    assert {(fact.actor.type, fact.actor.id, fact.actor.impersonated_by) for fact in deeds} == {
        ("member", workspace.owner.id, Person(bruna.id, "Bruna"))
    }
    shown = (await client.get(f"/v1/conversations/{number}/events", headers=workspace.owner.headers)).json()["data"][0]
    assert shown["actor"]["impersonated_by"] == {"id": bruna.id, "name": "Bruna"}
    assert await desk.is_sound()


async def test_it_needs_the_workspaces_leave_or_an_override(bruna: Staff, lucia_studios: Workspace, ana: Member) -> None:
    kernel, place = lucia_studios.kernel, f"/tenants/{lucia_studios.tenant}/impersonate"
    assert codes(await bruna.call("POST", place)) == (403, "SUPPORT_ACCESS_DENIED")
    assert codes(await bruna.call("POST", place, json={"override": True})) == (422, "VALIDATION_FAILED")
    assert codes(await bruna.call("POST", place, json={"override": True, "reason": " "})) == (422, "VALIDATION_FAILED")
    assert await lucia_studios.rows(TOKENS) == []
    forced = await bruna.do("POST", place, json={"override": True, "reason": "Court order", "user_id": ana.id})
    await value(kernel, ALLOW, lucia_studios.tenant)
    allowed = await bruna.do("POST", place, json={"user_id": None})
    assert (forced["is_override"], forced["user"]["id"]) == (True, ana.id)
    assert (allowed["is_override"], allowed["user"]["id"]) == (False, lucia_studios.owner.id)
    needless = await bruna.do("POST", place, json={"override": True, "reason": "In a hurry"})
    assert needless["is_override"] is False
    half_an_hour = {"staff_id": bruna.id, "lasts": timedelta(minutes=30)}
    assert sorted(await lucia_studios.rows(TOKENS), key=lambda row: row["is_override"]) == [
        half_an_hour | {"is_override": False},
        half_an_hour | {"is_override": False},
        half_an_hour | {"is_override": True},
    ]
    told = [(fact.actor.type, fact.actor.id, entry) for fact, entry in await entries(kernel, lucia_studios.tenant)][1:]
    assert [(kind, number, entry.action) for kind, number, entry in told] == [
        ("staff", bruna.id, "security.impersonation_denied"),
        ("staff", bruna.id, "tenant.impersonated"),
        ("staff", bruna.id, "tenant.impersonated"),
        ("staff", bruna.id, "tenant.impersonated"),
    ]
    said = [((entry.after or {})["is_override"], (entry.after or {})["reason"], entry.subject_id) for _, _, entry in told[1:]]
    assert said == [(True, "Court order", ana.id), (False, None, lucia_studios.owner.id), (False, "In a hurry", lucia_studios.owner.id)]
    assert all(token.partition("|")[2] not in str(told) for token in (forced["token"], allowed["token"]))
    written = await mails(kernel, lucia_studios.tenant, "support_access")
    assert [(mail.to, mail.values["staff"], mail.values["reason"]) for mail in written] == [
        (lucia_studios.owner.email, "Bruna", "Court order"),
        (lucia_studios.owner.email, "Bruna", "–"),
        (lucia_studios.owner.email, "Bruna", "In a hurry"),
    ]


async def test_nobody_but_the_workspaces_members(bruna: Staff, lucia_studios: Workspace, other_tenant: Workspace) -> None:
    for stranger in (other_tenant.owner.id, bruna.id, 0, 999_999_999_999):
        wanted = {"override": True, "reason": "Ticket 17", "user_id": stranger}
        assert codes(await bruna.call("POST", f"/tenants/{lucia_studios.tenant}/impersonate", json=wanted)) == (404, "NOT_FOUND")
    assert await lucia_studios.rows(TOKENS) == []


async def test_it_lasts_thirty_minutes_however_often_it_is_used(
    bruna: Staff, lucia_studios: Workspace, app: Litestar, client: AsyncClient
) -> None:
    answer = await bruna.impersonate(lucia_studios)
    token, theirs = answer["token"], bearer(answer["token"])
    assert abs(datetime.fromisoformat(answer["expires_at"]) - datetime.now(UTC) - timedelta(minutes=30)) < timedelta(seconds=5)
    assert await age(lucia_studios, token, timedelta(minutes=29, seconds=55)) == timedelta(minutes=30)
    expiry = await value(lucia_studios.kernel, EXPIRY, int(token.partition("|")[0]))
    for _ in range(3):
        app.state.gatekeeper.forget()
        assert (await client.get("/v1/me", headers=theirs)).status_code == 200
    assert await value(lucia_studios.kernel, EXPIRY, int(token.partition("|")[0])) == expiry
    await age(lucia_studios, token, timedelta(seconds=6))
    app.state.gatekeeper.forget()
    assert codes(await client.get("/v1/me", headers=theirs)) == (401, "UNAUTHENTICATED")


async def test_it_reaches_nothing_that_is_the_members_own(
    bruna: Staff, lucia_studios: Workspace, entrance: Entrance, client: AsyncClient
) -> None:
    theirs = bearer((await bruna.impersonate(lucia_studios))["token"])

    @post("/vault", access=Access.MEMBER, own=True, audited=False)
    async def own() -> None:
        raise AssertionError

    @get("/hall", access=Access.OWNER)
    async def hall() -> str:
        return "come in"

    async with calling(make_app(entrance, own, hall)) as there:
        assert codes(await there.post("/v1/vault", headers=theirs)) == (403, "FORBIDDEN")
        assert (await there.get("/v1/hall", headers=theirs)).json() == "come in"
    place = f"/v1/admin/tenants/{lucia_studios.tenant}"
    for method, path in (("POST", "/impersonate"), ("POST", "/suspend"), ("POST", "/license"), ("GET", "")):
        assert codes(await client.request(method, place + path, headers=theirs)) == (403, "FORBIDDEN")
    refused = (await entries(lucia_studios.kernel, lucia_studios.tenant))[-1]
    assert (refused[1].action, refused[0].actor.impersonated_by) == ("security.permission_denied", Person(bruna.id, "Bruna"))


async def test_what_stands_for_the_person_is_declared_so(app: Litestar) -> None:
    """Passwords, second factors, tokens and deletion: whatever route there is, staff cannot reach it in another's name."""
    own = ("/v1/me/password", "/v1/me/2fa", "/v1/api-tokens", "/v1/account/deletion", "/v1/billing", "/v1/me/sessions")
    handlers = [(route.path, handler) for route in app.routes for handler in getattr(route, "route_handlers", ())]
    reachable = {
        (path, method)
        for path, handler in handlers
        if path.startswith(own) and handler.opt.get("access") in (Access.MEMBER, Access.OWNER)
        for method in handler.http_methods - {"OPTIONS", "GET"}
        if not handler.opt.get("own")
    }
    assert reachable == set()


async def test_it_opens_no_door_for_later(bruna: Staff, lucia_studios: Workspace, client: AsyncClient) -> None:
    """Staff who came in against the workspace's will neither grant themselves its leave, nor let themselves in for good."""
    theirs = bearer((await bruna.impersonate(lucia_studios))["token"])
    mine = {"email": bruna.email}
    invitation = (await client.post("/v1/team/invitations", json=mine, headers=lucia_studios.owner.headers)).json()["data"]
    for method, path, body in (
        ("PUT", "/security-config", {"allow_support_access": True}),
        ("POST", "/team/invitations", mine | {"email": "bruna@example.com"}),
        ("POST", f"/team/invitations/{invitation['id']}/resend", None),
    ):
        assert codes(await client.request(method, f"/v1{path}", json=body, headers=theirs)) == (403, "FORBIDDEN")
    assert (await bruna.impersonate(lucia_studios))["is_override"] is True


async def test_it_can_be_left(bruna: Staff, lucia_studios: Workspace, lucia: Member, client: AsyncClient) -> None:
    first, second = [bearer((await bruna.impersonate(lucia_studios))["token"]) for _ in range(2)]
    answer = await client.post("/v1/impersonation/leave", headers=first)
    assert (answer.status_code, answer.content) == (204, b"")
    assert (await client.get("/v1/me", headers=first)).status_code == 401
    assert (await client.get("/v1/me", headers=second)).status_code == 200
    fact, entry = (await entries(lucia_studios.kernel, lucia_studios.tenant))[-1]
    assert (entry.action, fact.actor.id, fact.actor.impersonated_by) == ("impersonation.left", lucia.id, Person(bruna.id, "Bruna"))
    assert codes(await client.post("/v1/impersonation/leave", headers=lucia.headers)) == (403, "FORBIDDEN")
    assert codes(await client.post("/v1/impersonation/leave", headers=bruna.headers)) == (403, "FORBIDDEN")
    await bruna.do("POST", f"/tenants/{lucia_studios.tenant}/suspend")
    assert codes(await client.get("/v1/me", headers=second)) == (403, "WORKSPACE_SUSPENDED")
    assert (await client.post("/v1/impersonation/leave", headers=second)).status_code == 204


@pytest.mark.parametrize("streaming", [False, True])
async def test_it_ends_when_the_staff_person_is_dismissed(
    bruna: Staff, lucia_studios: Workspace, entrance: Entrance, client: AsyncClient, streaming: bool
) -> None:
    other = bearer((await (await hire(entrance, client, "Caio")).impersonate(lucia_studios))["token"])
    theirs = bearer((await bruna.impersonate(lucia_studios))["token"])
    assert (await client.get("/v1/me", headers=theirs)).status_code == 200
    stream = asyncio.create_task(client.get("/v1/realtime", headers=theirs)) if streaming else None
    await asyncio.sleep(0.2)
    await dismiss(entrance, bruna)
    if stream is not None:
        assert (await asyncio.wait_for(stream, 2)).status_code == 200
    assert await refused_soon(client, "/v1/me", theirs) == (401, "UNAUTHENTICATED")
    assert await refused_soon(client, "/v1/admin/me", bruna.headers) == (401, "UNAUTHENTICATED")
    assert (await client.get("/v1/me", headers=other)).status_code == 200
    assert [row["staff_id"] == bruna.id for row in await lucia_studios.rows(TOKENS)] == [False]
