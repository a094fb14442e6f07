"""Where one is signed in, and how soon an end of it is felt everywhere."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import httpx
import pytest
from litestar import Litestar
from msgspec import Struct

from plixa.app import create_app
from plixa.kernel.settings import Settings
from plixa.kernel.uow import Kernel
from tests.identity.people import PASSWORD, bearer, entries, registered, sign_in
from tests.identity.tokens import impersonating, new_token, set_plan
from tests.support.world import Member, Workspace
from tests.whatsapp.loopback import serving

NEW = "an unheard-of sentence"
Deed = Callable[[httpx.AsyncClient, dict[str, Any], str], Awaitable[httpx.Response]]


@pytest.fixture(autouse=True)
def cold(app: Litestar) -> None:
    """Nothing is remembered of the test before."""
    app.state.gatekeeper.forget()


class TestSessions:
    async def test_a_member_sees_their_own_and_which_is_this(self, client: httpx.AsyncClient, kernel: Kernel) -> None:
        data = await registered(client)
        tenant, member = data["tenant"]["id"], data["user"]["id"]
        phone = await sign_in(client, data["user"]["email"], headers={"User-Agent": "A phone"})
        for kind in ("api", "challenge", "impersonation"):
            await new_token(kernel, kind, tenant, member)
        there, here = await sessions(client, phone.json()["data"]["token"])
        assert (there["id"], here["id"]) == (id_of(phone.json()["data"]["token"]), id_of(data["token"]))
        assert (there["agent"], there["current"], here["current"]) == ("A phone", True, False)
        assert here["last_used_at"] is None or here["last_used_at"] >= here["created_at"]
        assert set(here) == {"id", "agent", "created_at", "last_used_at", "current"}

    async def test_one_is_ended_and_no_other(self, client: httpx.AsyncClient, kernel: Kernel) -> None:
        data = await registered(client)
        tokens = [(await sign_in(client, data["user"]["email"])).json()["data"]["token"] for _ in range(2)]
        answer = await end(client, data["token"], id_of(tokens[0]))
        assert (answer.status_code, answer.content) == (204, b"")
        assert await statuses(client, data["token"], *tokens) == [200, 401, 200]
        assert (await end(client, data["token"], id_of(tokens[0]))).status_code == 404
        (_, entry) = (await entries(kernel, data["tenant"]["id"]))[-1]
        assert (entry.action, entry.subject_id) == ("session.ended", id_of(tokens[0]))

    async def test_all_others_are_ended_half_done_ones_too(self, client: httpx.AsyncClient, kernel: Kernel) -> None:
        data = await registered(client)
        tenant, member = data["tenant"]["id"], data["user"]["id"]
        await set_plan(kernel, tenant, "business")
        tokens = [(await sign_in(client, data["user"]["email"])).json()["data"]["token"] for _ in range(2)]
        half = await new_token(kernel, "challenge", tenant, member)
        integration = await new_token(kernel, "api", tenant, member, "read")
        for _ in range(2):
            assert (await client.delete("/v1/me/sessions", headers=bearer(tokens[0]))).status_code == 204
        assert await statuses(client, data["token"], *tokens) == [401, 200, 401]
        answer = await client.post("/v1/auth/2fa-challenge", json={"code": "000000"}, headers=bearer(half))
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (401, "UNAUTHENTICATED")
        assert (await client.get("/v1/conversations", headers=bearer(integration))).status_code == 200
        assert [entry.action for _, entry in await entries(kernel, tenant)].count("member.sessions_ended") == 1

    async def test_nobody_elses_can_be_ended(
        self, client: httpx.AsyncClient, kernel: Kernel, lucia_studios: Workspace, ana: Member, other_tenant: Workspace
    ) -> None:
        lucia = lucia_studios.owner
        await set_plan(kernel, lucia_studios.tenant, "business")
        integration = await new_token(kernel, "api", lucia_studios.tenant, lucia.id, "read")
        missing = await end(client, lucia.token, 999_999_999)
        for token in (ana.token, other_tenant.owner.token, integration):
            answer = await end(client, lucia.token, id_of(token))
            assert (answer.status_code, answer.content) == (404, missing.content)
        assert await statuses(client, ana.token, other_tenant.owner.token) == [200, 200]

    async def test_staff_who_impersonate_neither_see_nor_end_them(
        self, client: httpx.AsyncClient, kernel: Kernel, lucia_studios: Workspace
    ) -> None:
        lucia = lucia_studios.owner
        headers = bearer(await impersonating(kernel, lucia_studios.tenant, lucia.id))
        for method, path in (("GET", ""), ("DELETE", ""), ("DELETE", f"/{id_of(lucia.token)}")):
            assert (await client.request(method, f"/v1/me/sessions{path}", headers=headers)).status_code == 403
        assert await statuses(client, lucia.token) == [200]


async def end_it(client: httpx.AsyncClient, data: dict[str, Any], token: str) -> httpx.Response:
    return await end(client, data["token"], id_of(token))


async def change_password(client: httpx.AsyncClient, data: dict[str, Any], _: str) -> httpx.Response:
    body = {"current_password": PASSWORD, "password": NEW, "password_confirmation": NEW}
    return await client.put("/v1/me/password", json=body, headers=bearer(data["token"]))


async def revoke(client: httpx.AsyncClient, data: dict[str, Any], token: str) -> httpx.Response:
    return await client.delete(f"/v1/api-tokens/{id_of(token)}", headers=bearer(data["token"]))


class Felt(Struct):
    """When another process last answered a token well, and when it ended the token's stream."""

    answered: float = 0.0
    ended: float = 0.0


@pytest.fixture(scope="module")
def elsewhere(app: Litestar, settings: Settings) -> Iterator[str]:
    """Another application on the same database, served."""
    with serving(create_app(settings)) as url:
        yield url


class TestOnAnotherProcess:
    """D8: what was ended here ends there within a second, an open stream too."""

    @pytest.mark.parametrize(("kind", "deed"), [("panel", end_it), ("panel", change_password), ("api", revoke)])
    async def test_an_end_is_felt_within_a_second(
        self, client: httpx.AsyncClient, kernel: Kernel, elsewhere: str, kind: str, deed: Deed
    ) -> None:
        data = await registered(client)
        await set_plan(kernel, data["tenant"]["id"], "business")
        token = await new_token(kernel, kind, data["tenant"]["id"], data["user"]["id"], "read")
        felt, streaming = Felt(), asyncio.Event()
        async with httpx.AsyncClient(base_url=elsewhere, headers=bearer(token), trust_env=False, timeout=10) as there:
            reading = [asyncio.create_task(follow(there, felt, streaming)), asyncio.create_task(ask(there, felt))]
            async with asyncio.timeout(20):
                await streaming.wait()
                assert (await deed(client, data, token)).status_code == 204
                committed = time.monotonic()
                await asyncio.gather(*reading)
        assert max(felt.answered, felt.ended) - committed < 1, felt
        assert await statuses(client, data["token"]) == [200]


async def follow(there: httpx.AsyncClient, felt: Felt, streaming: asyncio.Event) -> None:
    """Read the live stream until its end."""
    async with there.stream("GET", "/v1/realtime") as stream:
        assert stream.status_code == 200
        async for _ in stream.aiter_raw():
            streaming.set()
    felt.ended = time.monotonic()


async def ask(there: httpx.AsyncClient, felt: Felt) -> None:
    """Ask again and again until every one of a hundred answers in a row is a refusal."""
    refused = 0
    while refused < 100:
        answer = await there.get("/v1/conversations")
        assert answer.status_code in (200, 401)
        refused = refused + 1 if answer.status_code == 401 else 0
        if not refused:
            felt.answered = time.monotonic()


def id_of(token: str) -> int:
    return int(token.partition("|")[0])


async def sessions(client: httpx.AsyncClient, token: str) -> list[dict[str, Any]]:
    answer = await client.get("/v1/me/sessions", headers=bearer(token))
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["data"]
    return found


async def end(client: httpx.AsyncClient, token: str, session: int) -> httpx.Response:
    return await client.delete(f"/v1/me/sessions/{session}", headers=bearer(token))


async def statuses(client: httpx.AsyncClient, *tokens: str) -> list[int]:
    """How each is answered."""
    return [(await client.get("/v1/me", headers=bearer(token))).status_code for token in tokens]
