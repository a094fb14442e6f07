"""A second factor: setting it up, confirming it, recovery codes, switching it off."""

import asyncio
import base64
import string
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pyotp
import pytest
from msgspec.structs import replace

from plixa.identity.commands.sessions import Entrance
from plixa.identity.domain import match_step, recovery_hash
from plixa.kernel.settings import Settings, Throttle
from plixa.kernel.uow import Kernel
from tests.identity.people import (
    PASSWORD,
    Enrolled,
    anywhere,
    bearer,
    challenged,
    change,
    connect,
    enrolled,
    entries,
    mails,
    prove,
    registered,
    sign_in,
    stricter,
    totp,
    value,
    wrong,
)
from tests.support.world import Member

RFC = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
"""The secret of RFC 6238, appendix B."""
OFF = {
    "enabled": False,
    "pending_confirmation": False,
    "confirmed_at": None,
    "recovery_codes_remaining": 0,
    "required_by_workspace": False,
}


@pytest.fixture
async def eva(client: httpx.AsyncClient, kernel: Kernel) -> Enrolled:
    """An owner with a second factor."""
    return await enrolled(client, kernel)


@pytest.mark.parametrize(
    ("seconds", "code"),
    [
        (59, "287082"),
        (1111111109, "081804"),
        (1111111111, "050471"),
        (1234567890, "005924"),
        (2000000000, "279037"),
        (20000000000, "353130"),
    ],
)
def test_the_codes_of_rfc_6238_are_right_in_their_step_and_its_neighbours(seconds: int, code: str) -> None:
    step = seconds // 30
    matches = {shift: match_step(RFC, code, at(seconds + shift), 0) for shift in (-60, -30, 0, 30, 60)}
    assert matches == {-60: None, -30: step, 0: step, 30: step, 60: None}


def test_a_code_counts_only_after_the_last_that_was_used() -> None:
    step = 1111111109 // 30
    assert match_step(RFC, "081804", at(1111111109), step - 1) == step
    assert match_step(RFC, "081804", at(1111111109), step) is None
    assert match_step(RFC, "081804", at(1111111109), step + 1) is None


@pytest.mark.parametrize("typed", ["081 804", " 0 8 1 8 0 4 ", "081804\n"])
def test_spaces_in_a_code_mean_nothing(typed: str) -> None:
    assert match_step(RFC, typed, at(1111111109), 0) is not None


@pytest.mark.parametrize("typed", ["", "81804", "0081804", "0818041", "08180x", "٠٨١٨٠٤", "０８１８０４", "+81804", "-81804", "0818.4"])
def test_nothing_but_six_ascii_digits_is_a_code(typed: str) -> None:
    assert match_step(RFC, typed, at(1111111109), 0) is None


async def test_nothing_is_on_until_it_is_confirmed(client: httpx.AsyncClient, kernel: Kernel) -> None:
    data = await registered(client)
    headers, email = bearer(data["token"]), data["user"]["email"]
    assert (await status(client, headers)) == OFF
    setup = await set_up(client, headers)
    assert (await status(client, headers)) == OFF | {"pending_confirmation": True}
    assert (await sign_in(client, email)).json()["data"]["user"]["two_factor_enabled"] is False
    other = (await sign_in(client, email)).json()["data"]["token"]

    confirmed = await client.post("/v1/me/2fa/confirm", json={"code": totp(setup["secret"])}, headers=headers)
    codes = confirmed.json()["data"]["recovery_codes"]
    assert len(set(codes)) == 10
    assert all(len(code) == 10 and set(code) <= set(string.ascii_lowercase + string.digits) for code in codes)
    now = await status(client, headers)
    assert (now["enabled"], now["pending_confirmation"], now["recovery_codes_remaining"]) == (True, False, 10)
    assert abs(datetime.now(UTC) - datetime.fromisoformat(now["confirmed_at"])).total_seconds() < 60
    assert (await client.get("/v1/me", headers=headers)).json()["data"]["user"]["two_factor_enabled"] is True
    assert (await client.get("/v1/me", headers=bearer(other))).status_code == 401
    assert [mail.template for mail in await mails(kernel, data["tenant"]["id"])] == ["two_factor_enabled"]
    again = await client.post("/v1/me/2fa/setup", json={"password": PASSWORD}, headers=headers)
    assert (again.status_code, problem(again)["code"]) == (409, "TWO_FACTOR_ENABLED")


async def test_setting_up_hands_out_what_an_authenticator_app_takes(client: httpx.AsyncClient, kernel: Kernel) -> None:
    data = await registered(client)
    first, second = [await set_up(client, bearer(data["token"])) for _ in range(2)]
    assert first["secret"] != second["secret"]
    assert len(base64.b32decode(second["secret"])) == 20
    address = urlsplit(second["otpauth_url"])
    assert (address.scheme, address.netloc) == ("otpauth", "totp")
    assert parse_qs(address.query) == {"secret": [second["secret"]], "issuer": ["Plixa"]}
    assert pyotp.parse_uri(second["otpauth_url"]).name == data["user"]["email"]
    assert second["qr_code"].startswith("data:image/svg+xml;")
    refused = await client.post("/v1/me/2fa/confirm", json={"code": totp(first["secret"])}, headers=bearer(data["token"]))
    assert (refused.status_code, problem(refused)["code"]) == (422, "INVALID_TWO_FACTOR_CODE")
    stored = await value(kernel, "SELECT two_factor_secret FROM member WHERE id = $1", data["user"]["id"])
    assert second["secret"].encode() not in stored
    assert base64.b32decode(second["secret"]) not in stored


async def test_a_setup_is_confirmed_within_ten_minutes_or_never(client: httpx.AsyncClient, kernel: Kernel) -> None:
    data = await registered(client)
    headers, member = bearer(data["token"]), data["user"]["id"]
    never = await client.post("/v1/me/2fa/confirm", json={"code": "123456"}, headers=headers)
    assert (never.status_code, problem(never)["code"]) == (409, "TWO_FACTOR_NOT_SET_UP")
    setup = await set_up(client, headers)
    await change(kernel, "UPDATE member SET two_factor_setup_at = two_factor_setup_at - interval '10 minutes' WHERE id = $1", member)
    assert await status(client, headers) == OFF
    late = await client.post("/v1/me/2fa/confirm", json={"code": totp(setup["secret"])}, headers=headers)
    assert (late.status_code, problem(late)["code"]) == (409, "TWO_FACTOR_NOT_SET_UP")


async def test_parallel_confirmations_hand_out_one_set_of_codes(client: httpx.AsyncClient, kernel: Kernel) -> None:
    data = await registered(client)
    headers = bearer(data["token"])
    code = totp((await set_up(client, headers))["secret"])
    answers = await asyncio.gather(*(client.post("/v1/me/2fa/confirm", json={"code": code}, headers=headers) for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 9
    assert await value(kernel, "SELECT count(*) FROM recovery_code WHERE member_id = $1", data["user"]["id"]) == 10


async def test_every_change_needs_the_password_and_a_wrong_one_changes_nothing(client: httpx.AsyncClient, eva: Enrolled) -> None:
    before = await status(client, eva.headers)
    for method, path, rest in dangerous(eva):
        for password, code in (("not-the-password", "INVALID_PASSWORD"), (None, "VALIDATION_FAILED")):
            body = rest | ({} if password is None else {"password": password})
            answer = await client.request(method, path, json=body, headers=eva.headers)
            assert (answer.status_code, problem(answer)["code"]) == (422, code), path
            assert "password" in problem(answer)["details"]
    assert await status(client, eva.headers) == before
    trail = [entry.action for _, entry in await entries(eva.kernel, eva.tenant)]
    assert trail.count("security.password_refused") == len(dangerous(eva))


async def test_passwords_are_asked_for_again_only_so_often(entrance: Entrance, settings: Settings) -> None:
    throttles = settings.throttles | {"password": Throttle(limits="3/15 minute", per="user")}
    async with connect(stricter(entrance, replace(settings, throttles=throttles)), anywhere()) as client:
        headers = bearer((await registered(client))["token"])
        for _ in range(5):
            await set_up(client, headers)
        tries = [client.post("/v1/me/2fa/setup", json={"password": "not-the-password"}, headers=headers) for _ in range(20)]
        answers = await asyncio.gather(*tries)
        assert sorted(answer.status_code for answer in answers) == [422] * 3 + [429] * 17
        refused = await client.post("/v1/me/2fa/setup", json={"password": PASSWORD}, headers=headers)
        assert refused.status_code == 429
        assert 0 < int(refused.headers["Retry-After"]) <= 900


async def test_switching_it_off_takes_secret_codes_and_other_sessions(client: httpx.AsyncClient, eva: Enrolled) -> None:
    other = (await prove(client, await challenged(client, eva.email), code=totp(eva.secret))).json()["data"]["token"]
    waiting = await challenged(client, eva.email)
    mistaken = {"password": PASSWORD, "code": wrong(eva.secret)}
    refused = await client.request("DELETE", "/v1/me/2fa", json=mistaken, headers=eva.headers)
    assert (refused.status_code, problem(refused)["code"]) == (422, "INVALID_TWO_FACTOR_CODE")
    await eva.last_used(0)
    answer = await client.request("DELETE", "/v1/me/2fa", json={"password": PASSWORD, "code": totp(eva.secret)}, headers=eva.headers)
    assert answer.status_code == 204
    assert await status(client, eva.headers) == OFF
    assert (await client.get("/v1/me", headers=bearer(other))).status_code == 401
    assert (await prove(client, waiting, recovery_code=eva.recovery_codes[0])).status_code == 401
    assert "token" in (await sign_in(client, eva.email)).json()["data"]
    again = await client.request("DELETE", "/v1/me/2fa", json={"password": PASSWORD}, headers=eva.headers)
    assert (again.status_code, problem(again)["code"]) == (409, "TWO_FACTOR_NOT_ENABLED")
    assert (await mails(eva.kernel, eva.tenant))[-1].template == "two_factor_disabled"


async def test_new_recovery_codes_end_the_old_ones(client: httpx.AsyncClient, eva: Enrolled) -> None:
    answer = await client.post("/v1/me/2fa/recovery-codes", json={"password": PASSWORD}, headers=eva.headers)
    fresh = answer.json()["data"]["recovery_codes"]
    assert len(set(fresh) | set(eva.recovery_codes)) == 20
    token = await challenged(client, eva.email)
    assert (await prove(client, token, recovery_code=eva.recovery_codes[0])).status_code == 422
    assert (await prove(client, token, recovery_code=fresh[0])).status_code == 200
    assert "recovery_codes_regenerated" in [mail.template for mail in await mails(eva.kernel, eva.tenant)]


async def test_one_code_that_leaked_is_revoked_and_the_others_go_on(client: httpx.AsyncClient, eva: Enrolled) -> None:
    leaked, kept = eva.recovery_codes[:2]
    body = {"password": PASSWORD, "code": f" {leaked[:5]}-{leaked[5:].upper()} "}
    answers = await asyncio.gather(*(client.post("/v1/me/2fa/recovery-codes/revoke", json=body, headers=eva.headers) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [200] + [422] * 4
    assert next(answer.json()["data"] for answer in answers if answer.status_code == 200) == {"remaining": 9}
    token = await challenged(client, eva.email)
    assert (await prove(client, token, recovery_code=leaked)).status_code == 422
    assert (await prove(client, token, recovery_code=kept)).status_code == 200
    assert (await status(client, eva.headers))["recovery_codes_remaining"] == 8
    revoked = [entry for _, entry in await entries(eva.kernel, eva.tenant) if entry.action == "member.recovery_code_revoked"]
    assert [(entry.before, entry.after) for entry in revoked] == [({"remaining": 10}, {"remaining": 9})]


async def test_no_code_or_secret_stands_in_the_database_or_the_trail(client: httpx.AsyncClient, eva: Enrolled) -> None:
    await client.post("/v1/me/2fa/recovery-codes/revoke", json={"password": PASSWORD, "code": eva.recovery_codes[0]}, headers=eva.headers)
    async with eva.kernel.system.connection() as connection:
        tables = [f"SELECT t::text FROM {name} t WHERE tenant_id = $1" for name in ("member", "recovery_code", "outbox", "event")]
        dump = "".join([row["t"] for query in tables for row in await connection.fetch(query, eva.tenant)])
    told = dump + repr(await entries(eva.kernel, eva.tenant)) + repr(await mails(eva.kernel, eva.tenant))
    for secret in (eva.secret, *eva.recovery_codes, PASSWORD):
        assert secret not in told
        assert secret.encode().hex() not in told


def test_the_hash_of_a_recovery_code_is_its_members_own() -> None:
    assert recovery_hash(RFC, "a1b2c3d4e5") == recovery_hash(RFC, "A1B2C-3D4E5 ")
    assert len({recovery_hash(secret, code) for secret in (RFC, pyotp.random_base32()) for code in ("a1b2c3d4e5", "a1b2c3d4e6")}) == 4


async def test_a_workspace_that_demands_it_lets_nobody_past_setting_it_up(client: httpx.AsyncClient, kernel: Kernel, ana: Member) -> None:
    tenant = await value(kernel, "SELECT tenant_id FROM member WHERE id = $1", ana.id)
    await change(kernel, "UPDATE tenant SET require_two_factor = true WHERE tenant_id = $1", tenant)
    barred = await client.get("/v1/conversations", headers=ana.headers)
    assert (barred.status_code, problem(barred)["code"]) == (403, "TWO_FACTOR_SETUP_REQUIRED")
    assert (await status(client, ana.headers))["required_by_workspace"] is True
    setup = await client.post("/v1/me/2fa/setup", json={"password": "correct horse battery"}, headers=ana.headers)
    code = totp(setup.json()["data"]["secret"])
    assert (await client.post("/v1/me/2fa/confirm", json={"code": code}, headers=ana.headers)).status_code == 200
    assert (await client.get("/v1/conversations", headers=ana.headers)).status_code == 200
    off = await client.request("DELETE", "/v1/me/2fa", json={"password": "correct horse battery"}, headers=ana.headers)
    assert off.status_code == 204
    assert (await client.get("/v1/conversations", headers=ana.headers)).status_code == 403


async def test_an_owner_cannot_lock_themselves_out(client: httpx.AsyncClient, eva: Enrolled) -> None:
    await change(eva.kernel, "UPDATE tenant SET require_two_factor = true WHERE tenant_id = $1", eva.tenant)
    refused = await client.request("DELETE", "/v1/me/2fa", json={"password": PASSWORD}, headers=eva.headers)
    assert (refused.status_code, problem(refused)["code"]) == (409, "TWO_FACTOR_REQUIRED_FOR_OWNER")
    assert (await status(client, eva.headers))["enabled"] is True
    await change(eva.kernel, "UPDATE tenant SET require_two_factor = false WHERE tenant_id = $1", eva.tenant)
    assert (await client.request("DELETE", "/v1/me/2fa", json={"password": PASSWORD}, headers=eva.headers)).status_code == 204


async def test_demanding_it_and_switching_off_ones_own_at_once_never_both_succeed(client: httpx.AsyncClient, eva: Enrolled) -> None:
    """In 25 races: either the workspace demands no second factor, or its owner has one."""
    for _ in range(25):
        await change(eva.kernel, "UPDATE tenant SET require_two_factor = false WHERE tenant_id = $1", eva.tenant)
        await change(eva.kernel, "UPDATE member SET two_factor_confirmed_at = now() WHERE id = $1", eva.id)
        demand = client.put("/v1/security-config", json={"require_two_factor": True}, headers=eva.headers)
        disable = client.request("DELETE", "/v1/me/2fa", json={"password": PASSWORD}, headers=eva.headers)
        demanded, disabled = await asyncio.gather(demand, disable)
        assert (demanded.status_code, disabled.status_code) in {(200, 409), (409, 204)}
        now = await status(client, eva.headers)
        assert now["enabled"] or not now["required_by_workspace"]


def at(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def problem(answer: httpx.Response) -> dict[str, Any]:
    found: dict[str, Any] = answer.json()["errors"][0]
    return found


def dangerous(member: Enrolled) -> list[tuple[str, str, dict[str, str]]]:
    """Every operation that asks for the password, and what else it takes."""
    return [
        ("POST", "/v1/me/2fa/setup", {}),
        ("DELETE", "/v1/me/2fa", {}),
        ("POST", "/v1/me/2fa/recovery-codes", {}),
        ("POST", "/v1/me/2fa/recovery-codes/revoke", {"code": member.recovery_codes[0]}),
    ]


async def status(client: httpx.AsyncClient, headers: dict[str, str]) -> dict[str, Any]:
    answer = await client.get("/v1/me/2fa", headers=headers)
    assert answer.status_code == 200, answer.text
    data: dict[str, Any] = answer.json()["data"]
    return data


async def set_up(client: httpx.AsyncClient, headers: dict[str, str]) -> dict[str, Any]:
    answer = await client.post("/v1/me/2fa/setup", json={"password": PASSWORD}, headers=headers)
    assert answer.status_code == 200, answer.text
    data: dict[str, Any] = answer.json()["data"]
    return data
