"""The second half of a sign-in: what completes it, once, and what cannot stand in for it."""

import asyncio
import secrets
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import httpx
import pyotp
import pytest
from msgspec.structs import replace

from plixa.identity.commands.sessions import Entrance
from plixa.kernel.audit import PLATFORM
from plixa.kernel.settings import Settings, Throttle
from plixa.kernel.uow import Kernel
from plixa.kernel.verify import verify_chain
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
    sign_in,
    stricter,
    totp,
    value,
    wrong,
)

EXPIRE = "UPDATE access_token SET expires_at = now() WHERE id = $1"


@pytest.fixture
async def eva(client: httpx.AsyncClient, kernel: Kernel) -> Enrolled:
    """An owner with a second factor."""
    return await enrolled(client, kernel)


async def test_the_password_alone_opens_nothing(client: httpx.AsyncClient, eva: Enrolled) -> None:
    answer = await sign_in(client, eva.email)
    data = answer.json()["data"]
    assert (answer.status_code, set(data)) == (200, {"two_factor_required", "challenge_token", "expires_at"})
    assert data["two_factor_required"] is True
    assert abs(datetime.fromisoformat(data["expires_at"]) - datetime.now(UTC) - timedelta(minutes=10)) < timedelta(minutes=1)
    token = data["challenge_token"]
    assert token.partition("|")[2].startswith("plxc_")
    for method, path in (("GET", "/v1/me"), ("GET", "/v1/me/2fa"), ("POST", "/v1/auth/logout"), ("GET", "/v1/admin/me")):
        assert (await client.request(method, path, headers=bearer(token))).status_code == 401
    assert (await prove(client, eva.data["token"], code=totp(eva.secret))).status_code == 401


async def test_the_code_completes_it_and_answers_what_login_answers(client: httpx.AsyncClient, eva: Enrolled) -> None:
    token = await challenged(client, eva.email)
    code = totp(eva.secret)
    answer = await prove(client, token, code=f"{code[:3]} {code[3:]}")
    assert answer.status_code == 200
    data = answer.json()["data"]
    assert set(data) == set(eva.data)
    assert (data["user"], data["tenant"]) == (eva.data["user"] | {"two_factor_enabled": True}, eva.data["tenant"])
    assert data["token"].partition("|")[2].startswith("plxp_")
    assert (await client.get("/v1/me", headers=bearer(data["token"]))).status_code == 200
    assert (await prove(client, token, code=totp(eva.secret, 1))).status_code == 401
    trail = [(entry.action, entry.after) for _, entry in await entries(eva.kernel, eva.tenant)]
    assert trail[-2:] == [("member.challenged", None), ("member.signed_in", {"factor": "totp"})]
    assert (await verify_chain(eva.kernel.system, eva.tenant)).fault is None


@pytest.mark.parametrize(
    "proof",
    [None, {}, {"code": None}, {"code": "123456", "recovery_code": "a1b2c3d4e5"}, {"code": ""}, {"code": 123456}, {"code": "1" * 65}],
)
async def test_exactly_one_proof_is_taken_and_nothing_else_counts_as_a_try(
    client: httpx.AsyncClient, eva: Enrolled, proof: dict[str, Any] | None
) -> None:
    token = await challenged(client, eva.email)
    answers = [await client.post("/v1/auth/2fa-challenge", json=proof, headers=bearer(token)) for _ in range(6)]
    assert {answer.status_code for answer in answers} == {422}
    assert (await prove(client, token, code=totp(eva.secret))).status_code == 200


async def test_nothing_but_password_code_and_challenge_together_signs_in(client: httpx.AsyncClient, kernel: Kernel) -> None:
    own, foreign = await enrolled(client, kernel), await enrolled(client, kernel)
    opened: dict[tuple[str, str, str], int] = {}
    for password, code, kind in product(
        ("ok", "bad", "missing"), ("ok", "bad", "missing", "replayed"), ("own", "foreign", "expired", "used")
    ):
        token = await a_challenge(client, own, foreign, password, kind)
        await own.last_used(0 if code != "replayed" else 10**9)
        given = {"ok": totp(own.secret), "bad": wrong(own.secret), "missing": None, "replayed": totp(own.secret)}[code]
        answer = await prove(client, token, code=given) if token else await client.post("/v1/auth/2fa-challenge", json={"code": given})
        assert ("token" in (answer.json()["data"] or {})) == (answer.status_code == 200)
        opened[password, code, kind] = answer.status_code
    assert [case for case, status in opened.items() if status == 200] == [("ok", "ok", "own")]
    assert set(opened.values()) == {200, 401, 422}


async def a_challenge(client: httpx.AsyncClient, own: Enrolled, foreign: Enrolled, password: str, kind: str) -> str | None:
    """A challenge token of a kind, or what there is instead after a sign-in with such a password."""
    body = {"email": own.email, "password": {"ok": PASSWORD, "bad": "not-the-password"}.get(password)}
    answer = await client.post("/v1/auth/login", json={name: value for name, value in body.items() if value is not None})
    assert answer.status_code == {"ok": 200, "bad": 401, "missing": 422}[password]
    mine: str | None = answer.json()["data"]["challenge_token"] if password == "ok" else None
    if kind == "own":
        return mine
    if kind == "foreign":
        return await challenged(client, foreign.email)
    token = mine or await challenged(client, own.email)
    if kind == "expired":
        await change(own.kernel, EXPIRE, int(token.partition("|")[0]))
    else:
        await own.last_used(0)
        assert (await prove(client, token, code=totp(own.secret))).status_code == 200
    return token


async def test_one_code_opens_one_session_however_often_it_is_sent_at_once(client: httpx.AsyncClient, eva: Enrolled) -> None:
    """Three rounds of 200 through 50 challenges of four tries at once: the code of a time step, the next one's, a recovery code."""
    tokens = [await challenged(client, eva.email) for _ in range(50)]
    start = int(datetime.now(UTC).timestamp()) // 30
    codes = [{"code": pyotp.TOTP(eva.secret).generate_otp(start + offset)} for offset in (0, 1)]
    for proof in (*codes, {"recovery_code": eva.recovery_codes[0]}):
        answers = await asyncio.gather(*(prove(client, token, **proof) for token in tokens * 4))
        statuses = Counter(answer.status_code for answer in answers)
        assert (statuses[200], statuses[422] + statuses[401]) == (1, 199)
        await change(eva.kernel, "UPDATE access_token SET tries = 0 WHERE member_id = $1", eva.id)
    assert await value(eva.kernel, "SELECT count(*) FROM recovery_code WHERE member_id = $1", eva.id) == 9
    assert (await verify_chain(eva.kernel.system, eva.tenant)).fault is None


async def test_a_code_that_was_used_or_is_not_of_now_is_refused(client: httpx.AsyncClient, eva: Enrolled) -> None:
    token = await challenged(client, eva.email)
    for offset in (-3, 3):
        assert (await prove(client, token, code=totp(eva.secret, offset))).status_code == 422
    code = totp(eva.secret)
    assert (await prove(client, token, code=code)).status_code == 200
    token = await challenged(client, eva.email)
    answer = await prove(client, token, code=code)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "INVALID_TWO_FACTOR_CODE")
    assert (await prove(client, token, code=totp(eva.secret, 1))).status_code == 200


async def test_a_recovery_code_works_once_and_is_told_by_mail(client: httpx.AsyncClient, eva: Enrolled) -> None:
    typed = eva.recovery_codes[0].upper()
    answer = await prove(client, await challenged(client, eva.email), recovery_code=f"{typed[:5]} {typed[5:]}")
    assert answer.status_code == 200
    assert (await prove(client, await challenged(client, eva.email), recovery_code=typed)).status_code == 422
    mail = (await mails(eva.kernel, eva.tenant))[-1]
    assert (mail.template, mail.to, mail.locale, mail.values["left"]) == ("recovery_code_used", eva.email, "pt", 9)


async def test_five_wrong_tries_end_a_sign_in_and_every_one_is_noted(client: httpx.AsyncClient, eva: Enrolled) -> None:
    token = await challenged(client, eva.email)
    answers = await asyncio.gather(*(prove(client, token, code=wrong(eva.secret)) for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [401] * 15 + [422] * 5
    assert (await prove(client, token, code=totp(eva.secret))).status_code == 401
    trail = [entry.action for _, entry in await entries(eva.kernel, eva.tenant)]
    assert trail.count("member.second_factor_failed") == 5
    assert (await prove(client, await challenged(client, eva.email), code=totp(eva.secret))).status_code == 200
    mail = (await mails(eva.kernel, eva.tenant))[-1]
    assert (mail.template, mail.values["failures"]) == ("new_sign_in", 5)


async def test_codes_are_tried_five_times_in_a_quarter_of_an_hour_over_all_sign_ins(entrance: Entrance, settings: Settings) -> None:
    throttles = settings.throttles | {"two_factor": Throttle(limits="5/15 minute", per="account")}
    app = stricter(entrance, replace(settings, throttles=throttles))
    async with connect(app, anywhere()) as client:
        eva = await enrolled(client, entrance.kernel)
        tokens = [await challenged(client, eva.email) for _ in range(10)]
        answers = await asyncio.gather(*(prove(client, token, code=wrong(eva.secret)) for token in tokens * 4))
        assert sorted(answer.status_code for answer in answers) == [422] * 5 + [429] * 35
        locked = await prove(client, tokens[0], code=totp(eva.secret))
        assert (locked.status_code, int(locked.headers["Retry-After"]) <= 900) == (429, True)
        other = await enrolled(client, entrance.kernel)
        for _ in range(7):
            await other.last_used(0)
            assert (await prove(client, await challenged(client, other.email), code=totp(other.secret))).status_code == 200


async def test_another_password_ends_what_the_old_one_began(client: httpx.AsyncClient, eva: Enrolled) -> None:
    token = await challenged(client, eva.email)
    fresh = "another long passphrase of hers"
    body = {"current_password": PASSWORD, "password": fresh, "password_confirmation": fresh}
    assert (await client.put("/v1/me/password", json=body, headers=eva.headers)).status_code == 204
    assert (await prove(client, token, code=totp(eva.secret))).status_code == 401


async def test_staff_prove_their_second_factor_too_and_get_a_token_of_staff(
    client: httpx.AsyncClient, kernel: Kernel, eva: Enrolled
) -> None:
    """The staff person has the very address, password and secret of a member: neither side opens the other."""
    number = await kernel.numbers.next("member_number")
    await change(kernel, HIRE, number, eva.id)
    login = {"email": eva.email, "password": PASSWORD}
    direct = (await client.post("/v1/admin/auth/login", json=login)).json()["data"]
    assert direct["token"].partition("|")[2].startswith("plxa_")
    sealed = kernel.vault.seal(eva.secret.encode(), f"member/{PLATFORM}/{number}/two_factor_secret")
    await change(kernel, "UPDATE member SET two_factor_secret = $2, two_factor_confirmed_at = now() WHERE id = $1", number, sealed)
    token = (await client.post("/v1/admin/auth/login", json=login)).json()["data"]["challenge_token"]
    assert (await client.get("/v1/admin/me", headers=bearer(token))).status_code == 401
    staff = (await prove(client, token, code=totp(eva.secret))).json()["data"]["token"]
    assert staff.partition("|")[2].startswith("plxa_")
    member = (await prove(client, await challenged(client, eva.email), code=totp(eva.secret))).json()["data"]["token"]
    for path, opens in (("/v1/admin/me", {staff: 200, member: 403}), ("/v1/me", {staff: 403, member: 200}), ("/v1/me/2fa", {staff: 403})):
        for shown, status in opens.items():
            assert (await client.get(path, headers=bearer(shown))).status_code == status
    expires = await value(kernel, "SELECT expires_at FROM access_token WHERE id = $1", int(staff.partition("|")[0]))
    assert timedelta(hours=11) < expires - datetime.now(UTC) <= timedelta(hours=12)
    own = [
        fact.actor.type
        for fact, entry in await entries(kernel, PLATFORM)
        if (entry.action, entry.subject_id) == ("member.signed_in", number)
    ]
    assert own == ["staff", "staff"]


async def test_an_address_without_staff_is_refused_like_a_wrong_password(client: httpx.AsyncClient, eva: Enrolled) -> None:
    known = await client.post("/v1/admin/auth/login", json={"email": eva.email, "password": PASSWORD})
    unknown = await client.post("/v1/admin/auth/login", json={"email": f"{secrets.token_hex(6)}@plixa.app", "password": PASSWORD})
    assert (known.status_code, known.content) == (401, unknown.content)


HIRE = """
INSERT INTO member (tenant_id, id, name, email, password_hash, role, created_at)
SELECT 0, $1, 'Sam of Plixa', email, password_hash, 'staff', now() FROM member WHERE id = $2
"""
