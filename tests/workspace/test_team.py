"""The team: seats are exact, an invitation lets one person in, and who is let go is gone at once."""

import asyncio
import secrets
from typing import Any

import msgspec
import pytest
from httpx import AsyncClient, Response

from plixa.kernel.mail import open_mail
from tests.contacts.directory import restrict
from tests.inbox.desk import Desk
from tests.support.effects import do_effects
from tests.support.trail import read_trail
from tests.support.world import PASSWORD, Member, Workspace

INVITATIONS, MEMBERS, ACCEPT = "/v1/team/invitations", "/v1/team/members", "/v1/team/invitations/accept"
NEW_PASSWORD = "a rather long passphrase of mine"
PLAN = "UPDATE tenant SET plan = $2 WHERE tenant_id = $1 RETURNING plan"
LATE = "UPDATE invitation SET expires_at = now() - interval '1 second' WHERE tenant_id = $1 AND id = $2 RETURNING id"


def address() -> str:
    return f"nova-{secrets.token_hex(6)}@example.com"


@pytest.fixture
async def lucia_pro(lucia_studios: Workspace) -> Member:
    """The owner, with five seats."""
    await lucia_studios.rows(PLAN, "professional")
    return lucia_studios.owner


async def invited(client: AsyncClient, owner: Member, email: str | None = None) -> dict[str, Any]:
    answer = await client.post(INVITATIONS, json={"email": email or address()}, headers=owner.headers)
    assert answer.status_code == 201, answer.text
    view: dict[str, Any] = answer.json()["data"]
    return view


async def accept(client: AsyncClient, url: str, **changes: str) -> Response:
    token = url.partition("#token=")[2]
    return await client.post(ACCEPT, json={"token": token, "name": "Nova", "password": NEW_PASSWORD} | changes)


async def test_somebody_is_invited_looks_comes_in_and_works(client: AsyncClient, lucia_pro: Member, lucia_studios: Workspace) -> None:
    email = address()
    view = await invited(client, lucia_pro, email.upper())
    assert (view["email"], view["role"], view["status"]) == (email, "agent", "pending")
    listed = (await client.get(INVITATIONS, headers=lucia_pro.headers)).json()["data"]
    assert listed == [view | {"accept_url": None}]
    token = view["accept_url"].partition("#token=")[2]
    seen = (await client.get(ACCEPT, params={"token": token})).json()["data"]
    assert (seen["email"], seen["workspace_name"], seen["invited_by"]) == (email, "Lúcia Studios", "Lucia")
    answer = await accept(client, view["accept_url"])
    assert answer.status_code == 201, answer.text
    data = answer.json()["data"]
    assert (data["user"]["email"], data["user"]["role"], data["tenant"]["id"]) == (email, "agent", lucia_studios.tenant)
    headers = {"Authorization": f"Bearer {data['token']}"}
    assert (await client.get("/v1/me", headers=headers)).json()["data"]["user"]["name"] == "Nova"
    login = await client.post("/v1/auth/login", json={"email": email, "password": NEW_PASSWORD})
    assert login.status_code == 200
    members = (await client.get(MEMBERS, headers=headers)).json()
    assert [one["name"] for one in members["data"]] == ["Lucia", "Nova"]
    assert (members["meta"]["seats_used"], members["meta"]["seats_limit"]) == (2, 5)
    assert {one["two_factor_enabled"] for one in members["data"]} == {None}
    assert (await accept(client, view["accept_url"])).status_code == 404
    trail = await read_trail(client, lucia_studios)
    assert [one["action"] for one in trail[:3]] == ["member.signed_in", "invitation.accepted", "invitation.created"]
    assert token not in repr(trail)
    assert NEW_PASSWORD not in repr(trail)


async def test_the_mail_carries_the_link_and_is_sent_again_unchanged(
    client: AsyncClient, lucia_pro: Member, lucia_studios: Workspace
) -> None:
    view = await invited(client, lucia_pro)
    again = await client.post(f"{INVITATIONS}/{view['id']}/resend", headers=lucia_pro.headers)
    assert again.json()["data"] == view
    rows = await lucia_studios.rows("SELECT key, payload::text FROM outbox WHERE tenant_id = $1 AND kind = 'mail.send'")
    mails = [open_mail(lucia_studios.kernel.vault, lucia_studios.tenant, row["key"], msgspec.json.decode(row["payload"])) for row in rows]
    assert [(mail.to, mail.values["link"]) for mail in mails] == [(view["email"], view["accept_url"])] * 2
    assert view["accept_url"].partition("#token=")[2] not in repr(rows)


async def test_of_50_who_accept_at_once_one_comes_in(client: AsyncClient, lucia_pro: Member) -> None:
    view = await invited(client, lucia_pro)
    answers = await asyncio.gather(*(accept(client, view["accept_url"]) for _ in range(50)))
    assert sorted({answer.status_code for answer in answers}) in ([201, 404], [201, 404, 503])
    assert [answer.status_code for answer in answers].count(201) == 1
    members = (await client.get(MEMBERS, headers=lucia_pro.headers)).json()["data"]
    assert [one["email"] for one in members].count(view["email"]) == 1


async def test_of_50_invitations_at_once_just_the_seats_are_held(client: AsyncClient, lucia_pro: Member) -> None:
    tries = (client.post(INVITATIONS, json={"email": address()}, headers=lucia_pro.headers) for _ in range(50))
    answers = await asyncio.gather(*tries)
    done = [answer for answer in answers if answer.status_code == 201]
    assert len(done) == 4
    refused = [answer.json()["errors"][0] for answer in answers if answer.status_code == 409]
    assert {error["code"] for error in refused} == {"SEAT_LIMIT_REACHED"}
    assert refused[0]["details"] == {"limit": 5}
    await client.delete(f"{INVITATIONS}/{done[0].json()['data']['id']}", headers=lucia_pro.headers)
    await invited(client, lucia_pro)


async def test_a_plan_that_shrank_lets_nobody_in(client: AsyncClient, lucia_pro: Member, lucia_studios: Workspace, ana: Member) -> None:
    view = await invited(client, lucia_pro)
    await lucia_studios.rows(PLAN, "starter")
    answer = await accept(client, view["accept_url"])
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (409, "SEAT_LIMIT_REACHED")
    assert len((await client.get(MEMBERS, headers=ana.headers)).json()["data"]) == 2


async def test_an_account_that_is_there_is_never_touched(client: AsyncClient, lucia_pro: Member, other_tenant: Workspace) -> None:
    stranger = other_tenant.owner
    view = await invited(client, lucia_pro, stranger.email.upper())
    answer = await accept(client, view["accept_url"], name="Changed")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (409, "EMAIL_IN_USE")
    login = await client.post("/v1/auth/login", json={"email": stranger.email, "password": PASSWORD})
    assert (login.status_code, login.json()["data"]["user"]["name"]) == (200, stranger.name)


async def test_who_is_there_or_was_asked_is_not_asked_again(client: AsyncClient, lucia_pro: Member, ana: Member) -> None:
    view = await invited(client, lucia_pro)
    for email in (ana.email, view["email"]):
        answer = await client.post(INVITATIONS, json={"email": email}, headers=lucia_pro.headers)
        assert (answer.status_code, list(answer.json()["errors"][0]["details"])) == (422, ["email"])


async def test_a_late_invitation_is_gone_and_may_be_made_anew(client: AsyncClient, lucia_pro: Member, lucia_studios: Workspace) -> None:
    view = await invited(client, lucia_pro)
    await lucia_studios.rows(LATE, view["id"])
    assert (await accept(client, view["accept_url"])).status_code == 410
    token = view["accept_url"].partition("#token=")[2]
    assert (await client.get(ACCEPT, params={"token": token})).status_code == 410
    assert (await client.post(f"{INVITATIONS}/{view['id']}/resend", headers=lucia_pro.headers)).status_code == 409
    await invited(client, lucia_pro, view["email"])


async def test_an_accepted_one_cannot_be_cancelled_and_a_cancelled_one_not_accepted(client: AsyncClient, lucia_pro: Member) -> None:
    first, second = await invited(client, lucia_pro), await invited(client, lucia_pro)
    await accept(client, first["accept_url"])
    refused = await client.delete(f"{INVITATIONS}/{first['id']}", headers=lucia_pro.headers)
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (409, "INVITATION_ALREADY_ACCEPTED")
    for _ in range(2):
        assert (await client.delete(f"{INVITATIONS}/{second['id']}", headers=lucia_pro.headers)).status_code == 204
    assert (await accept(client, second["accept_url"])).status_code == 404


async def test_nobody_makes_themselves_owner_by_an_invitation(client: AsyncClient, lucia_pro: Member, ana: Member) -> None:
    answer = await client.post(INVITATIONS, json={"email": address(), "role": "owner"}, headers=lucia_pro.headers)
    assert answer.status_code == 422
    view = await invited(client, lucia_pro)
    joined = await accept(client, view["accept_url"], role="owner", tenant_id="1")
    assert joined.json()["data"]["user"]["role"] == "agent"
    assert (await client.post(INVITATIONS, json={"email": address()}, headers=ana.headers)).status_code == 403


async def test_who_is_removed_is_out_at_once_and_their_conversations_are_nobodys(desk: Desk, ana: Member) -> None:
    client, owner = desk.client, desk.workspace.owner
    number = (await desk.open())["id"]
    await desk.do("PATCH", f"/{number}", json={"assigned_user_id": ana.id})
    await desk.do("POST", f"/{number}/messages", ana, json={"body": "Oi"})
    assert (await client.delete(f"{MEMBERS}/{ana.id}", headers=owner.headers)).status_code == 204
    assert (await client.get("/v1/me", headers=ana.headers)).status_code == 401
    assert (await client.post("/v1/auth/login", json={"email": ana.email, "password": PASSWORD})).status_code == 401
    await do_effects(desk.workspace, "inbox.unassign_member")
    shown = await desk.show(number)
    assert shown["assigned_user"] is None
    assert [message["author"]["name"] for message in await desk.thread(number)][1] == "Ana"
    last = (await desk.do("GET", f"/{number}/events"))[0]
    assert (last["type"], last["actor"]["name"]) == ("conversation.assigned", "Lucia")
    assert (await client.delete(f"{MEMBERS}/{ana.id}", headers=owner.headers)).status_code == 404
    newest = (await read_trail(client, desk.workspace, action="member.removed"))[0]
    assert newest["before"] == {"name": "Ana", "role": "agent"}


async def test_owners_cannot_remove_themselves(client: AsyncClient, lucia: Member, ana: Member, other_tenant: Workspace) -> None:
    answer = await client.delete(f"{MEMBERS}/{lucia.id}", headers=lucia.headers)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "CANNOT_REMOVE_SELF")
    assert (await client.delete(f"{MEMBERS}/{lucia.id}", headers=ana.headers)).status_code == 403
    assert (await client.delete(f"{MEMBERS}/{ana.id}", headers=other_tenant.owner.headers)).status_code == 404


async def test_a_sector_that_is_given_up_leaves_its_conversations(desk: Desk, ana: Member) -> None:
    owner = desk.workspace.owner
    sector = (await desk.client.post("/v1/sectors", json={"name": "Vendas"}, headers=owner.headers)).json()["data"]
    number = (await desk.open())["id"]
    moved = await desk.do("PATCH", f"/{number}", json={"sector_id": sector["id"]})
    assert moved["sector_id"] == sector["id"]
    assert (await desk.client.get("/v1/sectors", headers=owner.headers)).json()["data"][0]["open_conversations"] == 1
    await restrict(desk)
    assert (await desk.client.get("/v1/sectors", headers=ana.headers)).json()["data"][0]["open_conversations"] is None
    assert (await desk.call("PATCH", f"/{number}", json={"sector_id": 2**52})).status_code == 404
    await desk.client.delete(f"/v1/sectors/{sector['id']}", headers=owner.headers)
    await do_effects(desk.workspace, "inbox.leave_sector")
    assert (await desk.show(number))["sector_id"] is None
    assert (await desk.events(number))[-2:] == ["conversation.moved", "conversation.moved"]
