"""One's own account: name, language and whether one takes new conversations."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from litestar import Litestar

from plixa.inbox.queries.realtime import render
from plixa.kernel.auth import Principal
from plixa.kernel.log import read_log
from plixa.kernel.uow import Kernel
from tests.identity.people import bearer, change, entries, value
from tests.identity.tokens import impersonating
from tests.inbox.desk import Desk
from tests.support.world import Member, Workspace

SEEN = "SELECT last_heartbeat_at FROM member WHERE id = $1"


@pytest.fixture(autouse=True)
def cold(app: Litestar) -> None:
    """Nothing is remembered of the test before."""
    app.state.gatekeeper.forget()


class TestPreferences:
    async def test_what_is_given_changes_and_nothing_else(self, client: httpx.AsyncClient, kernel: Kernel, ana: Member) -> None:
        before = (await client.get("/v1/me", headers=ana.headers)).json()["data"]
        sent = {"name": "Ana Lima", "role": "owner", "tenant_id": 1, "email": "x@y.z", "two_factor_enabled": True, "id": 1}
        after = await update(client, ana, **sent)
        assert after == before | {"user": before["user"] | {"name": "Ana Lima"}}
        assert (await client.get("/v1/me", headers=ana.headers)).json()["data"] == after
        (_, entry) = (await entries(kernel, before["tenant"]["id"]))[-1]
        assert (entry.action, entry.before, entry.after) == ("member.updated", {"name": "Ana"}, {"name": "Ana Lima"})

    async def test_a_language_is_echoed_as_it_was_sent_and_null_lets_the_browser_decide(
        self, client: httpx.AsyncClient, kernel: Kernel, lucia: Member, lucia_studios: Workspace
    ) -> None:
        for locale in ("en", "pt-BR", "pt", "es", None):
            assert (await update(client, lucia, locale=locale))["user"]["locale"] == locale
            assert (await update(client, lucia))["user"]["locale"] == locale
        told = [entry.after for _, entry in await entries(kernel, lucia_studios.tenant) if entry.action == "member.updated"]
        assert told == [{"locale": "en"}, {"locale": "pt-BR"}, {"locale": "pt"}, {"locale": "es"}, {"locale": None}]

    @pytest.mark.parametrize(
        "wrong", [{"name": ""}, {"name": " "}, {"name": "x" * 256}, {"name": None}, {"locale": "sr_BA"}, {"locale": 1}]
    )
    async def test_malformed_wishes_are_refused(self, client: httpx.AsyncClient, lucia: Member, wrong: dict[str, Any]) -> None:
        answer = await client.patch("/v1/me", json=wrong, headers=lucia.headers)
        assert (answer.status_code, list(answer.json()["errors"][0]["details"])) == (422, list(wrong))

    async def test_a_new_name_reaches_what_shows_the_member(self, desk: Desk, ana: Member) -> None:
        number = (await desk.open())["id"]
        await desk.do("PATCH", f"/{number}", json={"assigned_user_id": ana.id})
        await update(desk.client, ana, name="Ana Lima")
        shown = {"id": ana.id, "name": "Ana Lima"}
        assert (await desk.only())["assigned_user"] == shown
        assert (await desk.show(number))["assigned_user"] == shown
        assert (await desk.do("POST", f"/{number}/close"))["assigned_user"] == shown
        assert (await desk.do("GET", f"/{number}/events"))[0]["actor"]["name"] == desk.workspace.owner.name
        sent = await desk.do("POST", f"/{number}/messages", ana, json={"body": "oi", "type": "note"})
        assert "Ana Lima" in repr(sent)


class TestAvailability:
    async def test_it_is_unset_until_the_member_says(self, client: httpx.AsyncClient, kernel: Kernel, lucia_studios: Workspace) -> None:
        lucia = lucia_studios.owner
        assert await availability(client, lucia) == {"is_available": None, "last_heartbeat_at": None, "online": False}
        for wanted in (False, False, True, True):
            answer = await client.put("/v1/me/availability", json={"is_available": wanted}, headers=lucia.headers)
            assert (answer.status_code, answer.json()["data"]["is_available"]) == (200, wanted)
        assert (await client.get("/v1/me", headers=lucia.headers)).json()["data"]["user"]["is_available"] is True
        told = [(entry.action, entry.before, entry.after) for _, entry in await entries(kernel, lucia_studios.tenant)][1:]
        assert told == [
            ("member.availability_changed", {"is_available": None}, {"is_available": False}),
            ("member.availability_changed", {"is_available": False}, {"is_available": True}),
        ]

    async def test_members_see_each_others_live(
        self, client: httpx.AsyncClient, kernel: Kernel, lucia_studios: Workspace, ana: Member
    ) -> None:
        await client.put("/v1/me/availability", json={"is_available": True}, headers=ana.headers)
        facts = await read_log(kernel, lucia_studios.tenant, 0)
        watching = Principal(
            kind="panel",
            token_id=1,
            tenant=lucia_studios.tenant,
            user_id=lucia_studios.owner.id,
            name="Lucia",
            role="agent",
            restricted=True,
        )
        seen = [(one.event, one.data) for one in await render(kernel, watching, facts)]
        assert seen == [("AvailabilityChanged", b'{"user_id":%d,"is_available":true}' % ana.id)]

    @pytest.mark.parametrize("wrong", [{}, {"is_available": None}, {"is_available": "yes"}, {"is_available": 1}])
    async def test_it_is_yes_or_no(self, client: httpx.AsyncClient, lucia: Member, wrong: dict[str, Any]) -> None:
        assert (await client.put("/v1/me/availability", json=wrong, headers=lucia.headers)).status_code == 422

    async def test_a_panel_that_was_silent_for_two_minutes_is_closed(
        self, client: httpx.AsyncClient, kernel: Kernel, lucia: Member
    ) -> None:
        for seconds, online in ((118, True), (122, False)):
            then = datetime.now(UTC) - timedelta(seconds=seconds)
            await change(kernel, "UPDATE member SET last_heartbeat_at = $2 WHERE id = $1", lucia.id, then)
            assert (await availability(client, lucia))["online"] is online

    async def test_heartbeats_are_one_write_in_fifteen_seconds_and_no_deed(
        self, client: httpx.AsyncClient, kernel: Kernel, lucia_studios: Workspace
    ) -> None:
        lucia = lucia_studios.owner
        answers = await asyncio.gather(*(beat(client, lucia.token) for _ in range(10)))
        assert {(answer.status_code, answer.content) for answer in answers} == {(204, b"")}
        shown = await availability(client, lucia)
        assert shown["online"] is True
        await change(kernel, "UPDATE member SET last_heartbeat_at = last_heartbeat_at - interval '13 seconds' WHERE id = $1", lucia.id)
        version = await value(kernel, "SELECT xmin::text FROM member WHERE id = $1", lucia.id)
        await beat(client, lucia.token)
        assert await value(kernel, "SELECT xmin::text FROM member WHERE id = $1", lucia.id) == version
        await change(kernel, "UPDATE member SET last_heartbeat_at = last_heartbeat_at - interval '3 seconds' WHERE id = $1", lucia.id)
        await beat(client, lucia.token)
        assert await value(kernel, SEEN, lucia.id) > datetime.now(UTC) - timedelta(seconds=10)
        assert len(await entries(kernel, lucia_studios.tenant)) == 1

    async def test_staff_who_look_through_a_members_panel_are_not_the_member(
        self, client: httpx.AsyncClient, kernel: Kernel, lucia_studios: Workspace, ana: Member
    ) -> None:
        token = await impersonating(kernel, lucia_studios.tenant, ana.id)
        assert (await beat(client, token)).status_code == 204
        assert await value(kernel, SEEN, ana.id) is None
        answer = await client.put("/v1/me/availability", json={"is_available": True}, headers=bearer(token))
        assert answer.status_code == 403
        assert (await availability(client, ana))["is_available"] is None


async def update(client: httpx.AsyncClient, member: Member, **changes: Any) -> dict[str, Any]:
    answer = await client.patch("/v1/me", json=changes, headers=member.headers)
    assert answer.status_code == 200, answer.text
    data: dict[str, Any] = answer.json()["data"]
    return data


async def availability(client: httpx.AsyncClient, member: Member) -> dict[str, Any]:
    data: dict[str, Any] = (await client.get("/v1/me/availability", headers=member.headers)).json()["data"]
    return data


async def beat(client: httpx.AsyncClient, token: str) -> httpx.Response:
    return await client.post("/v1/me/availability/heartbeat", headers=bearer(token))
