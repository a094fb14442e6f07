"""Signing in tells nobody who is a member, and leaves a trace."""

import asyncio
import math
import secrets
import time
from typing import Any

import httpx
import msgspec
import pytest
from argon2 import PasswordHasher
from litestar import Litestar

from plixa.identity.commands.sessions import Entrance
from plixa.identity.controllers.authentication import AuthenticationController
from plixa.kernel.audit import PLATFORM
from plixa.kernel.passwords import PasswordChecker
from plixa.kernel.settings import Passwords, Settings, Throttle
from plixa.kernel.throttle import Throttler
from plixa.kernel.uow import Kernel
from plixa.kernel.verify import verify_chain
from tests.identity.people import PASSWORD, anywhere, bearer, connect, entries, mails, registered, sign_in, stricter, value
from tests.support.apps import make_app

SLOW = Passwords(time_cost=2, memory_kib=19456, parallelism=1)


async def test_a_member_gets_a_second_token_beside_the_first(client: httpx.AsyncClient) -> None:
    first = await registered(client)
    answer = await sign_in(client, first["user"]["email"].upper())
    assert answer.status_code == 200
    data = answer.json()["data"]
    assert (data["user"], data["tenant"]) == (first["user"], first["tenant"])
    assert data["token"] != first["token"]
    for token in (first["token"], data["token"]):
        assert (await client.get("/v1/me", headers=bearer(token))).status_code == 200


async def test_unknown_address_and_wrong_password_get_the_same_bytes(client: httpx.AsyncClient) -> None:
    known = await registered(client)
    wrong = await sign_in(client, known["user"]["email"], "not-the-password")
    unknown = await sign_in(client, "nobody@plixa.app", "not-the-password")
    assert wrong.status_code == unknown.status_code == 401
    assert wrong.content == unknown.content
    assert {**wrong.headers, "x-request-id": ""} == {**unknown.headers, "x-request-id": ""}
    assert wrong.json()["errors"] == [{"code": "INVALID_CREDENTIALS", "message": "The email or password is incorrect."}]


async def test_unknown_address_and_wrong_password_take_the_same_time(entrance: Entrance, settings: Settings) -> None:
    app = stricter(entrance, msgspec.structs.replace(settings, argon2=SLOW))
    async with connect(app, anywhere()) as client:
        known = (await registered(client))["user"]["email"]
        quickest = dict.fromkeys((known, "nobody@plixa.app"), math.inf)
        for turn in range(100):  # whoever else is busy only adds to what it takes: the quickest of many tells what that is
            for email, best in quickest.items():
                started = time.perf_counter()
                assert (await sign_in(client, email, "not-the-password")).status_code == 401
                quickest[email] = min(best, time.perf_counter() - started)
            if turn >= 15 and max(quickest.values()) < 1.3 * min(quickest.values()):
                break
    assert max(quickest.values()) < 1.3 * min(quickest.values())


@pytest.mark.parametrize(
    "body",
    [
        {"email": "nobody@plixa.app"},
        {"password": PASSWORD},
        {"email": None, "password": PASSWORD},
        {"email": ["nobody@plixa.app"], "password": PASSWORD},
        {"email": {"$ne": ""}, "password": PASSWORD},
        {"email": "nobody@plixa.app", "password": True},
        {"email": "nobody@plixa.app", "password": "x" * 257},
        {"email": "nul\0@plixa.app", "password": PASSWORD},
    ],
)
async def test_a_malformed_body_is_refused(client: httpx.AsyncClient, body: dict[str, Any]) -> None:
    assert (await client.post("/v1/auth/login", json=body)).status_code == 422


async def test_a_password_counts_exactly_as_entered(client: httpx.AsyncClient) -> None:
    password = " pássw🔑rd " + "x" * 245
    email = (await registered(client, password=password, password_confirmation=password))["user"]["email"]
    assert (await sign_in(client, email, password)).status_code == 200
    assert (await sign_in(client, email, password.strip())).status_code == 401
    assert (await sign_in(client, email, password[:72])).status_code == 401


async def test_every_try_leaves_one_entry_and_the_chain_holds(client: httpx.AsyncClient, kernel: Kernel) -> None:
    data = await registered(client)
    email, tenant, member = data["user"]["email"], data["tenant"]["id"], data["user"]["id"]
    await sign_in(client, email)
    await sign_in(client, email, "not-the-password")
    await client.post("/v1/auth/logout", headers=bearer(data["token"]))
    trail = await entries(kernel, tenant)
    assert [(entry.action, entry.subject, entry.subject_id) for _, entry in trail] == [
        ("tenant.registered", "tenant", tenant),
        ("member.signed_in", "member", member),
        ("member.sign_in_failed", "member", member),
        ("member.signed_out", "member", member),
    ]
    assert [fact.actor.type for fact, _ in trail] == ["member", "member", "system", "member"]
    assert "not-the-password" not in repr(trail)
    verdict = await verify_chain(kernel.system, tenant)
    assert (verdict.fault, verdict.proven) == (None, 4)


async def test_a_try_with_an_unknown_address_is_kept_in_the_platforms_log(client: httpx.AsyncClient, kernel: Kernel) -> None:
    before = len(await entries(kernel, PLATFORM))
    await sign_in(client, "typed.my.password.here@plixa.app")
    trail = await entries(kernel, PLATFORM)
    assert len(trail) == before + 1
    assert "typed.my.password" not in repr(trail)
    assert (await verify_chain(kernel.system, PLATFORM)).fault is None


async def test_parallel_tries_all_get_their_entry(client: httpx.AsyncClient, kernel: Kernel) -> None:
    data = await registered(client)
    email, tenant = data["user"]["email"], data["tenant"]["id"]
    passwords = [PASSWORD, "not-the-password"] * 10
    answers = await asyncio.gather(*(sign_in(client, email, password) for password in passwords))
    assert sorted(answer.status_code for answer in answers) == [200] * 10 + [401] * 10
    assert len({answer.json()["data"]["token"] for answer in answers if answer.status_code == 200}) == 10
    assert len(await entries(kernel, tenant)) == 21
    assert (await verify_chain(kernel.system, tenant)).fault is None


async def test_a_hash_of_another_cost_is_renewed(client: httpx.AsyncClient, kernel: Kernel) -> None:
    data = await registered(client)
    old = PasswordHasher(time_cost=2, memory_cost=16, parallelism=1).hash(PASSWORD)
    await set_hash(kernel, data, old)
    assert (await sign_in(client, data["user"]["email"])).status_code == 200
    stored = await value(kernel, "SELECT password_hash FROM member WHERE id = $1", data["user"]["id"])
    assert "m=8,t=1,p=1" in stored
    assert (await sign_in(client, data["user"]["email"])).status_code == 200


@pytest.mark.parametrize("garbage", ["", "garbage", "$argon2id$v=19$m=8,t=1,p=1$YQ$YQ", "$2b$12$abcdefghijklmnopqrstuv"])
async def test_a_garbage_hash_opens_nothing_and_breaks_nothing(client: httpx.AsyncClient, kernel: Kernel, garbage: str) -> None:
    data = await registered(client)
    await set_hash(kernel, data, garbage)
    assert (await sign_in(client, data["user"]["email"])).status_code == 401


@pytest.mark.parametrize(("failures", "templates"), [(4, []), (5, ["new_sign_in"])])
async def test_a_sign_in_after_five_failures_is_told_by_mail(
    client: httpx.AsyncClient, kernel: Kernel, failures: int, templates: list[str]
) -> None:
    data = await registered(client)
    email, tenant = data["user"]["email"], data["tenant"]["id"]
    await asyncio.gather(*(sign_in(client, email, "not-the-password") for _ in range(failures)))
    for _ in range(2):
        assert (await sign_in(client, email, headers={"User-Agent": "Firefox"})).status_code == 200
    sent = await mails(kernel, tenant)
    assert [mail.template for mail in sent] == templates
    assert all((mail.to, mail.values["failures"], mail.values["agent"]) == (email, 5, "Firefox") for mail in sent)


class TestThrottles:
    @pytest.fixture
    def strict(self, entrance: Entrance, settings: Settings) -> Litestar:
        throttles = settings.throttles | {
            "login_ip": Throttle(limits="10/minute", per="ip"),
            "login_account": Throttle(limits="5/minute", per="account"),
            "register": Throttle(limits="2/minute", per="ip"),
        }
        return stricter(entrance, msgspec.structs.replace(settings, throttles=throttles))

    async def test_an_account_is_tried_five_times_a_minute_from_wherever(self, client: httpx.AsyncClient, strict: Litestar) -> None:
        email = (await registered(client))["user"]["email"]
        attempts = []
        for number in range(30):
            spelled = email.upper() if number % 2 else email
            attempts.append(sign_in(connect(strict, anywhere()), spelled, "not-the-password"))
        answers = await asyncio.gather(*attempts)
        assert sorted(answer.status_code for answer in answers) == [401] * 5 + [429] * 25
        refused = await sign_in(connect(strict, anywhere()), email)
        assert refused.json()["errors"][0]["code"] == "RATE_LIMITED"
        assert 1 <= int(refused.headers["Retry-After"]) <= 60

    async def test_five_hundred_at_once_cost_five_hashes_and_keep_nobody_else_out(
        self, client: httpx.AsyncClient, entrance: Entrance, settings: Settings
    ) -> None:
        """Two processes that share nothing but Redis; the tries come from everywhere, then from one address that says it is many."""
        as_shipped = {"login_ip": Throttle(limits="10/minute; 100/hour", per="ip")}
        as_shipped["login_account"] = Throttle(limits="5/minute; 10/15 minute", per="account")
        strict = msgspec.structs.replace(settings, throttles=settings.throttles | as_shipped)
        victim, other = [(await registered(client))["user"]["email"] for _ in range(2)]
        processes = [Process(entrance, strict) for _ in range(2)]
        attacks = [processes[number % 2].wrong(anywhere(), victim) for number in range(500)]
        *answers, friendly = await asyncio.gather(*attacks, sign_in(connect(processes[0].app, anywhere()), other))
        assert sorted(answer.status_code for answer in answers) == [401] * 5 + [429] * 495
        assert sum(process.passwords.evaluated for process in processes) == 5 + 1
        assert friendly.status_code == 200
        locked = await sign_in(connect(processes[0].app, anywhere()), victim)
        assert (locked.status_code, int(locked.headers["Retry-After"]) <= 900) == (429, True)

        address, before = anywhere(), sum(process.passwords.evaluated for process in processes)
        attacks = [processes[number % 2].wrong(address, f"{secrets.token_hex(8)}@plixa.app") for number in range(200)]
        assert sorted(answer.status_code for answer in await asyncio.gather(*attacks)) == [401] * 10 + [429] * 190
        assert sum(process.passwords.evaluated for process in processes) == before + 10
        assert (await sign_in(connect(processes[1].app, anywhere()), other)).status_code == 200
        for process in processes:
            await process.throttler.close()

    async def test_the_right_password_starts_the_count_anew(self, client: httpx.AsyncClient, strict: Litestar) -> None:
        email = (await registered(client))["user"]["email"]
        for password in ["not-the-password"] * 4 + [PASSWORD] * 8:
            answer = await sign_in(connect(strict, anywhere()), email, password)
            assert answer.status_code == (200 if password == PASSWORD else 401)

    @pytest.mark.parametrize(
        "address",
        [anywhere(), f"2001:db8:{secrets.token_hex(2)}:7::{{}}", f"::ffff:{anywhere()}"],
        ids=["an IPv4", "one network of IPv6", "an IPv4 written as IPv6"],
    )
    async def test_an_address_tries_ten_times_a_minute_whoever_it_says_it_is(self, strict: Litestar, address: str) -> None:
        answers = []
        for number in range(12):
            headers = {"X-Forwarded-For": f"10.0.0.{number}", "Forwarded": f"for=10.0.0.{number}"}
            async with connect(strict, address.format(number)) as client:
                answers.append(await sign_in(client, f"{secrets.token_hex(8)}@plixa.app", headers=headers))
        assert [answer.status_code for answer in answers] == [401] * 10 + [429] * 2

    async def test_an_address_registers_as_often_as_the_settings_say(self, strict: Litestar) -> None:
        async with connect(strict, anywhere()) as client:
            await registered(client)
            await registered(client)
            assert (await client.post("/v1/auth/register", json={})).status_code == 422
            with pytest.raises(AssertionError, match="RATE_LIMITED"):
                await registered(client)


class Counting(PasswordChecker):
    """Counts what was really hashed."""

    evaluated = 0

    def _verify(self, stored: str | None, password: str) -> bool:
        self.evaluated += 1
        return super()._verify(stored, password)


class Process:
    """An application with a throttler of its own, as another process has it."""

    def __init__(self, entrance: Entrance, settings: Settings) -> None:
        self.passwords, self.throttler = Counting(settings.argon2), Throttler(str(settings.redis_url))
        changed = msgspec.structs.replace(entrance, settings=settings, passwords=self.passwords, throttler=self.throttler)
        self.app = make_app(changed, AuthenticationController)

    async def wrong(self, address: str, email: str) -> httpx.Response:
        """A try that must fail, with headers that claim to come from elsewhere."""
        claims = {name: anywhere() for name in ("X-Forwarded-For", "X-Real-IP", "Forwarded", "CF-Connecting-IP")}
        return await sign_in(connect(self.app, address), email, "not-the-password", claims)


async def set_hash(kernel: Kernel, data: dict[str, Any], password_hash: str) -> None:
    async with kernel.system.connection() as connection:
        await connection.execute("UPDATE member SET password_hash = $2 WHERE id = $1", data["user"]["id"], password_hash)
