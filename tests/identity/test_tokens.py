"""Tokens: what opens, what does not, and for how long."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from litestar import Litestar

from plixa.identity.queries.tokens import find_principal
from plixa.kernel.auth import Gatekeeper, hashed, mint
from plixa.kernel.settings import Settings
from plixa.kernel.uow import Kernel
from tests.identity.people import PASSWORD, bearer, entries, registered, value


@pytest.fixture(autouse=True)
def cold(app: Litestar) -> None:
    """Nothing is remembered of the test before."""
    app.state.gatekeeper.forget()


async def test_signing_out_ends_this_token_and_no_other(client: httpx.AsyncClient, kernel: Kernel) -> None:
    first = await registered(client)
    login = {"email": first["user"]["email"], "password": PASSWORD}
    second = (await client.post("/v1/auth/login", json=login)).json()["data"]
    assert (await client.get("/v1/me", headers=bearer(first["token"]))).status_code == 200
    answer = await client.post("/v1/auth/logout", headers=bearer(first["token"]))
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["X-Plixa-Position"] == "3"
    assert (await client.get("/v1/me", headers=bearer(first["token"]))).status_code == 401
    assert (await client.get("/v1/me", headers=bearer(second["token"]))).status_code == 200
    assert (await client.post("/v1/auth/logout", headers=bearer(first["token"]))).status_code == 401
    assert len(await entries(kernel, first["tenant"]["id"])) == 3


async def test_parallel_sign_outs_leave_one_entry(client: httpx.AsyncClient, kernel: Kernel) -> None:
    data = await registered(client)
    headers = bearer(data["token"])
    answers = await asyncio.gather(*(client.post("/v1/auth/logout", headers=headers) for _ in range(8)))
    assert {answer.status_code for answer in answers} <= {204, 401}
    assert [entry.action for _, entry in await entries(kernel, data["tenant"]["id"])] == [
        "tenant.registered",
        "member.signed_out",
    ]


async def test_another_process_hears_of_a_revocation(client: httpx.AsyncClient, kernel: Kernel, settings: Settings) -> None:
    data = await registered(client)
    await client.post("/v1/auth/logout", headers=bearer(data["token"]))
    number, _, secret = data["token"].partition("|")
    assert await find_principal(kernel.system, settings)(int(number), hashed(secret)) is None


async def test_an_expired_token_opens_nothing(client: httpx.AsyncClient, kernel: Kernel) -> None:
    data = await registered(client)
    await change(kernel, data, "expires_at = now()")
    assert (await client.get("/v1/me", headers=bearer(data["token"]))).status_code == 401
    number = int(data["token"].partition("|")[0])
    assert await value(kernel, "SELECT last_used_at FROM access_token WHERE id = $1", number) is None


async def test_a_panel_token_slides_thirty_days_at_most_once_a_minute(client: httpx.AsyncClient, app: Litestar, kernel: Kernel) -> None:
    data = await registered(client)
    await change(kernel, data, "expires_at = now() + interval '1 hour', last_used_at = now() - interval '59 seconds'")
    seen = "SELECT (expires_at, last_used_at)::text FROM access_token WHERE tenant_id = $1"
    before = await value(kernel, seen, data["tenant"]["id"])
    assert (await client.get("/v1/me", headers=bearer(data["token"]))).status_code == 200
    assert await value(kernel, seen, data["tenant"]["id"]) == before
    await change(kernel, data, "last_used_at = now() - interval '60 seconds'")
    app.state.gatekeeper.forget()
    assert (await client.get("/v1/me", headers=bearer(data["token"]))).status_code == 200
    expires = await value(kernel, "SELECT expires_at FROM access_token WHERE tenant_id = $1", data["tenant"]["id"])
    assert abs(expires - datetime.now(UTC) - timedelta(days=30)) < timedelta(seconds=10)


async def test_nothing_but_the_whole_token_opens(client: httpx.AsyncClient) -> None:
    mine, other = await registered(client), await registered(client)
    number, _, secret = mine["token"].partition("|")
    foreign = other["token"].partition("|")[0]
    typo = "A" if secret[-1] != "A" else "B"
    headers: list[str | bytes] = [
        *(
            "",
            "Bearer",
            "Bearer ",
            "Bearer null",
            "Bearer undefined",
            "Bearer |",
            f"Bearer {number}|",
            f"Bearer {secret}",
        ),
        *(
            f"Bearer |{secret}",
            f"Bearer {foreign}|{secret}",
            f"Bearer 999999999|{secret}",
            f"Bearer {number}|{mint('panel')}",
        ),
        *(f"Bearer {number}|{secret[:-6]}", f"Bearer {number}|{secret[:-1]}{typo}", f"Bearer {number}|{secret[5:]}"),
        *(f"Bearer {number}|plx_{secret[5:]}", f"Bearer -{number}|{secret}", f"Bearer {number}.0|{secret}"),
        *(f"Bearer {number}|{number}|{secret}", f"Bearer {number}|{secret} {secret}", f"Basic {number}|{secret}"),
        *(
            f"bearer{number}|{secret}",
            f"Bearer {number}||{secret}",
            f"Bearer {'9' * 15}|{secret}",
            f"Bearer {'9' * 40}|{secret}",
        ),
        *(f"Bearer ²|{secret}".encode(), f"Bearer {number}|{hashed(secret).hex()}", "Bearer " + "x" * 1_000_000),
        *(f"Bearer {number}|{secret}".encode("utf-16-le"), b"Bearer \xff\xfe|" + secret.encode()),
    ]
    for header in headers:
        answer = await client.get("/v1/me", headers=[(b"authorization", as_bytes(header))])
        assert answer.status_code == 401, header[:80]
        assert answer.json()["errors"] == [{"code": "UNAUTHENTICATED", "message": "Authentication required."}]
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert (await client.get("/v1/me", params={"token": mine["token"]})).status_code == 401
    assert (await client.get("/v1/me", headers=bearer(mine["token"]))).status_code == 200


async def test_a_typo_is_refused_without_asking_the_database() -> None:
    async def unreachable(number: int, digest: bytes) -> None:
        raise AssertionError(number, digest)

    gatekeeper = Gatekeeper(unreachable)
    secret = mint("panel")
    with pytest.raises(Exception, match="Authentication required"):
        await gatekeeper.principal(f"Bearer 1|{secret[:-1]}{'A' if secret[-1] != 'A' else 'B'}")


async def test_a_principal_has_what_the_plan_includes(client: httpx.AsyncClient, kernel: Kernel, settings: Settings) -> None:
    data = await registered(client)
    number, _, secret = data["token"].partition("|")
    async with kernel.system.connection() as connection:
        await connection.execute("UPDATE tenant SET plan = 'business' WHERE tenant_id = $1", data["tenant"]["id"])
    found = await find_principal(kernel.system, settings)(int(number), hashed(secret))
    assert found is not None
    assert (found.kind, found.role, found.tenant, found.user_id) == (
        "panel",
        "owner",
        data["tenant"]["id"],
        data["user"]["id"],
    )
    assert found.features == settings.plans["business"].features
    me = (await client.get("/v1/me", headers=bearer(data["token"]))).json()["data"]
    assert (me["tenant"]["plan"]["key"], me["tenant"]["plan"]["source"]) == ("business", "license")
    assert me["tenant"]["plan"]["features"] == sorted(settings.plans["business"].features)


async def test_a_plan_no_longer_on_offer_counts_as_the_default(client: httpx.AsyncClient, kernel: Kernel) -> None:
    data = await registered(client)
    async with kernel.system.connection() as connection:
        await connection.execute("UPDATE tenant SET plan = 'gold' WHERE tenant_id = $1", data["tenant"]["id"])
    me = (await client.get("/v1/me", headers=bearer(data["token"]))).json()["data"]
    assert (me["tenant"]["plan"]["key"], me["tenant"]["plan"]["source"]) == ("starter", "default")


async def test_a_suspended_workspace_is_told_so(client: httpx.AsyncClient, kernel: Kernel) -> None:
    data = await registered(client)
    async with kernel.system.connection() as connection:
        await connection.execute("UPDATE tenant SET status = 'suspended' WHERE tenant_id = $1", data["tenant"]["id"])
    answer = await client.get("/v1/me", headers=bearer(data["token"]))
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (403, "WORKSPACE_SUSPENDED")


async def change(kernel: Kernel, data: dict[str, Any], assignment: str) -> None:
    async with kernel.system.connection() as connection:
        await connection.execute(f"UPDATE access_token SET {assignment} WHERE tenant_id = $1", data["tenant"]["id"])


def as_bytes(header: str | bytes) -> bytes:
    return header.encode() if isinstance(header, str) else header
