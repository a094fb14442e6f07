"""A new password: by a link, by the old one, never an easy one; and what it ends."""

import asyncio
import secrets
from typing import Any

import httpx
import msgspec
import pytest
from litestar import Litestar

from plixa.identity.actors import Actors
from plixa.identity.commands.sessions import Entrance
from plixa.identity.controllers.passwords import PasswordController
from plixa.kernel.audit import PLATFORM
from plixa.kernel.delivery import deliver
from plixa.kernel.jobs import PRUNING
from plixa.kernel.mail import Mail
from plixa.kernel.settings import Settings, Throttle
from plixa.kernel.uow import Kernel
from tests.identity.people import (
    PASSWORD,
    anywhere,
    bearer,
    change,
    connect,
    enrolled,
    entries,
    lucia,
    mails,
    registered,
    sign_in,
    value,
)
from tests.identity.tokens import impersonating, new_staff, new_token, set_plan
from tests.support.apps import make_app

NEW = "an unheard-of sentence"
WAITING = "SELECT id FROM outbox WHERE tenant_id = 0 AND kind = 'identity.offer_reset' AND state = 'waiting'"


@pytest.fixture(autouse=True)
def cold(app: Litestar) -> None:
    """Nothing is remembered of the test before."""
    app.state.gatekeeper.forget()


class TestForgotten:
    async def test_a_mailed_link_sets_a_new_password_and_ends_every_session(
        self, client: httpx.AsyncClient, kernel: Kernel, settings: Settings
    ) -> None:
        owner = await enrolled(client, kernel)
        await set_plan(kernel, owner.tenant, "business")
        pending = (await sign_in(client, owner.email)).json()["data"]["challenge_token"]
        integration = await new_token(kernel, "api", owner.tenant, owner.id, "read")
        (mail,) = await forget(client, kernel, settings, owner.email.upper(), owner.tenant)
        assert (mail.template, mail.to, mail.values["name"]) == ("password_reset", owner.email, "Lucia Pereira")
        assert mail.values["link"].startswith(f"{settings.public_url}/reset-password#token=")
        answer = await reset(client, token_of(mail))
        assert (answer.status_code, answer.content) == (204, b"")
        assert (await client.get("/v1/me", headers=owner.headers)).status_code == 401
        assert (await client.post("/v1/auth/2fa-challenge", json={"code": "000000"}, headers=bearer(pending))).status_code == 401
        assert (await client.get("/v1/conversations", headers=bearer(integration))).status_code == 200
        assert (await sign_in(client, owner.email)).status_code == 401
        assert "challenge_token" in (await sign_in(client, owner.email, NEW)).json()["data"]
        assert (await mails(kernel, owner.tenant))[-1].template == "password_changed"

    async def test_the_trail_tells_it_and_no_secret(self, client: httpx.AsyncClient, kernel: Kernel, settings: Settings) -> None:
        data = await registered(client)
        tenant, member = data["tenant"]["id"], data["user"]["id"]
        (mail,) = await forget(client, kernel, settings, data["user"]["email"], tenant)
        token = token_of(mail)
        await reset(client, token)
        trail = (await entries(kernel, tenant))[1:]
        assert [(fact.actor.type, entry.action, entry.subject_id) for fact, entry in trail] == [
            ("system", "member.password_reset_requested", member),
            ("member", "member.password_reset", member),
        ]
        kept = await value(kernel, "SELECT string_agg(o::text, '') FROM outbox o WHERE tenant_id IN (0, $1)", tenant)
        assert not [one for one in (token, NEW, data["user"]["email"]) if one in kept + repr(trail)]

    async def test_known_and_unknown_addresses_get_the_same_bytes_for_the_same_work(
        self, client: httpx.AsyncClient, kernel: Kernel, settings: Settings
    ) -> None:
        data = await registered(client)
        answers, rows = [], []
        for email in (data["user"]["email"], f"nobody-{secrets.token_hex(4)}@plixa.app"):
            before = await value(kernel, "SELECT count(*) FROM outbox")
            answers.append(await client.post("/v1/auth/forgot-password", json={"email": email}))
            rows.append(await value(kernel, "SELECT count(*) FROM outbox") - before)
        assert [answer.status_code for answer in answers] == [202, 202]
        assert answers[0].content == answers[1].content == b'{"data":null,"meta":null,"errors":null}'
        assert {**answers[0].headers, "x-request-id": ""} == {**answers[1].headers, "x-request-id": ""}
        assert rows == [2, 2]
        before = await value(kernel, "SELECT count(*) FROM event")
        await deliver_offers(kernel, settings)
        assert await value(kernel, "SELECT count(*) FROM event") == before + 1

    async def test_too_many_requests_get_the_same_answer_and_no_mail(
        self, client: httpx.AsyncClient, kernel: Kernel, entrance: Entrance, settings: Settings
    ) -> None:
        few = {
            "forgot_password_account": Throttle(limits="3/hour", per="account"),
            "forgot_password_ip": Throttle(limits="5/hour", per="ip"),
        }
        strict = make_app(
            msgspec.structs.replace(entrance, settings=msgspec.structs.replace(settings, throttles=settings.throttles | few)),
            PasswordController,
        )
        data = await registered(client)
        other = await registered(client)
        async with connect(strict, anywhere()) as stranger:
            emails = [data["user"]["email"]] * 4 + [other["user"]["email"]] * 2
            answers = [await stranger.post("/v1/auth/forgot-password", json={"email": email}) for email in emails]
        assert {(answer.status_code, answer.content) for answer in answers} == {(202, answers[0].content)}
        await deliver_offers(kernel, settings)
        assert len(await mails(kernel, data["tenant"]["id"])) == 3
        assert len(await mails(kernel, other["tenant"]["id"])) == 1

    async def test_an_effect_that_comes_again_mails_no_second_link(
        self, client: httpx.AsyncClient, kernel: Kernel, settings: Settings
    ) -> None:
        data = await registered(client)
        await forget(client, kernel, settings, data["user"]["email"], data["tenant"]["id"])
        again = "UPDATE outbox SET state = 'waiting', due_at = now() WHERE tenant_id = 0 AND kind = 'identity.offer_reset'"
        await change(kernel, again)
        await deliver_offers(kernel, settings)
        assert len(await mails(kernel, data["tenant"]["id"])) == 1

    async def test_staff_have_a_link_of_their_own(
        self, client: httpx.AsyncClient, kernel: Kernel, entrance: Entrance, settings: Settings
    ) -> None:
        data = await registered(client)
        email, stored = data["user"]["email"], await entrance.passwords.hash(PASSWORD)
        staff = await new_staff(kernel, email, stored)
        session = await new_token(kernel, "staff", PLATFORM, staff)
        looking = await new_token(kernel, "impersonation", data["tenant"]["id"], data["user"]["id"], staff=staff)
        before = len(await mails(kernel, PLATFORM))
        (mine,) = await forget(client, kernel, settings, email, data["tenant"]["id"])
        (theirs,) = (await mails(kernel, PLATFORM))[before:]
        assert token_of(mine) != token_of(theirs)
        assert (await reset(client, token_of(theirs))).status_code == 204
        ended = [int(token.partition("|")[0]) for token in (session, looking)]
        assert await value(kernel, "SELECT count(*) FROM access_token WHERE id = ANY($1)", ended) == 0
        assert await value(kernel, "SELECT password_hash FROM member WHERE id = $1", staff) != stored
        assert (await client.get("/v1/me", headers=bearer(data["token"]))).status_code == 200
        assert (await sign_in(client, email)).status_code == 200

    @pytest.mark.parametrize(
        "spoil",
        [
            "UPDATE password_reset SET expires_at = now() WHERE tenant_id = $1",
            "UPDATE member SET password_hash = 'another' WHERE tenant_id = $1",
            "DELETE FROM password_reset WHERE tenant_id = $1",
        ],
        ids=["too old", "the password is another by now", "gone"],
    )
    async def test_a_spoiled_link_is_refused(self, client: httpx.AsyncClient, kernel: Kernel, settings: Settings, spoil: str) -> None:
        data = await registered(client)
        (mail,) = await forget(client, kernel, settings, data["user"]["email"], data["tenant"]["id"])
        await change(kernel, spoil, data["tenant"]["id"])
        refused = await reset(client, token_of(mail))
        assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "INVALID_RESET_TOKEN")
        assert (await client.get("/v1/me", headers=bearer(data["token"]))).status_code == 200

    async def test_what_was_never_a_link_is_refused_alike(self, client: httpx.AsyncClient) -> None:
        answers = [await reset(client, token) for token in ("", "x", secrets.token_urlsafe(32), "1|plxp_" + "a" * 46)]
        assert {(answer.status_code, answer.content) for answer in answers} == {(422, answers[0].content)}
        assert (await reset(client, "x" * 101)).json()["errors"][0]["code"] == "VALIDATION_FAILED"

    async def test_fifty_parallel_resets_with_one_link_are_one(self, client: httpx.AsyncClient, kernel: Kernel, settings: Settings) -> None:
        data = await registered(client)
        (mail,) = await forget(client, kernel, settings, data["user"]["email"], data["tenant"]["id"])
        passwords = [f"{NEW} {number}" for number in range(50)]
        answers = await asyncio.gather(*(reset(client, token_of(mail), password) for password in passwords))
        assert sorted(answer.status_code for answer in answers) == [204] + [422] * 49
        won = passwords[[answer.status_code for answer in answers].index(204)]
        assert (await sign_in(client, data["user"]["email"], won)).status_code == 200
        actions = [entry.action for _, entry in await entries(kernel, data["tenant"]["id"])]
        assert actions.count("member.password_reset") == 1

    async def test_one_password_ends_all_links(self, client: httpx.AsyncClient, kernel: Kernel, settings: Settings) -> None:
        data = await registered(client)
        found = [await forget(client, kernel, settings, data["user"]["email"], data["tenant"]["id"]) for _ in range(3)]
        tokens = [token_of(mail) for mail in found[-1]]
        assert len(set(tokens)) == 3
        answers = [(await reset(client, token, f"{NEW} {number}")).status_code for number, token in enumerate(tokens)]
        assert answers == [204, 422, 422]

    async def test_what_ended_by_itself_is_swept_out_in_the_end(
        self, client: httpx.AsyncClient, kernel: Kernel, settings: Settings
    ) -> None:
        data = await registered(client)
        tenant, days = data["tenant"]["id"], settings.retention.token_days
        await forget(client, kernel, settings, data["user"]["email"], tenant)
        for kind in ("api", "challenge"):
            await new_token(kernel, kind, tenant, data["user"]["id"])
        kept = "SELECT (SELECT count(*) FROM password_reset r WHERE r.tenant_id = $1) + count(*) FROM access_token WHERE tenant_id = $1"
        for late, left in ((-1, 4), (1, 2)):
            for table in ("password_reset", "access_token"):
                ended = f"UPDATE {table} SET expires_at = now() - make_interval(days => $2, mins => $3) WHERE tenant_id = $1"
                await change(kernel, f"{ended} AND expires_at < now() + interval '1 day'", tenant, days, late)
            for statement in (statement for statement, setting in PRUNING.items() if setting == "token_days"):
                await change(kernel, statement, days)
            assert await value(kernel, kept, tenant) == left


class TestChanging:
    async def test_the_old_one_is_asked_for_and_every_other_session_ends(self, client: httpx.AsyncClient, kernel: Kernel) -> None:
        data = await registered(client)
        other = (await sign_in(client, data["user"]["email"])).json()["data"]["token"]
        assert (await change_password(client, data["token"])).status_code == 204
        assert (await client.get("/v1/me", headers=bearer(other))).status_code == 401
        assert (await client.get("/v1/me", headers=bearer(data["token"]))).status_code == 200
        assert (await sign_in(client, data["user"]["email"])).status_code == 401
        assert (await sign_in(client, data["user"]["email"], NEW)).status_code == 200
        trail = await entries(kernel, data["tenant"]["id"])
        assert [entry.action for _, entry in trail].count("member.password_changed") == 1
        assert NEW not in repr(trail)
        assert [mail.template for mail in await mails(kernel, data["tenant"]["id"])] == ["password_changed"]

    @pytest.mark.parametrize(
        ("wrong", "code", "field"),
        [
            ({"current_password": "not-the-password"}, "INVALID_PASSWORD", "current_password"),
            ({"current_password": f"{PASSWORD} "}, "INVALID_PASSWORD", "current_password"),
            ({"password_confirmation": f"{NEW} "}, "VALIDATION_FAILED", "password_confirmation"),
            ({"password": "short", "password_confirmation": "short"}, "VALIDATION_FAILED", "password"),
            ({"password": "x" * 257}, "VALIDATION_FAILED", "password"),
            ({"password": None}, "VALIDATION_FAILED", "password"),
        ],
    )
    async def test_what_is_wrong_is_named_and_changes_nothing(
        self, client: httpx.AsyncClient, wrong: dict[str, Any], code: str, field: str
    ) -> None:
        data = await registered(client)
        answer = await change_password(client, data["token"], **wrong)
        assert answer.status_code == 422
        assert (answer.json()["errors"][0]["code"], list(answer.json()["errors"][0]["details"])) == (code, [field])
        assert (await sign_in(client, data["user"]["email"])).status_code == 200

    async def test_it_is_for_the_person_alone(self, client: httpx.AsyncClient, kernel: Kernel) -> None:
        data = await registered(client)
        tenant, member = data["tenant"]["id"], data["user"]["id"]
        await set_plan(kernel, tenant, "business")
        for token in (await impersonating(kernel, tenant, member), await new_token(kernel, "api", tenant, member, "read", "write")):
            assert (await change_password(client, token)).status_code == 403
        assert (await change_password(client, await new_token(kernel, "challenge", tenant, member))).status_code == 401
        assert (await sign_in(client, data["user"]["email"])).status_code == 200

    async def test_no_sign_in_of_the_old_password_outlives_a_change(self, client: httpx.AsyncClient, app: Litestar) -> None:
        data = await registered(client)
        signing_in = [sign_in(client, data["user"]["email"]) for _ in range(20)]
        answers = await asyncio.gather(*signing_in[:10], change_password(client, data["token"]), *signing_in[10:])
        assert answers.pop(10).status_code == 204
        app.state.gatekeeper.forget()
        tokens = [answer.json()["data"]["token"] for answer in answers if answer.status_code == 200]
        assert [(await client.get("/v1/me", headers=bearer(token))).status_code for token in tokens] == [401] * len(tokens)


class TestRules:
    @pytest.mark.parametrize(
        "weak", ["password", "12345678", "qwertyuiop", "P@ssw0rd", "senha123", "aaaaaaaaaaaa", "x" * 256, "plixaplixa", "Lucia Studios"]
    )
    async def test_what_is_easy_to_guess_is_refused_everywhere(
        self, client: httpx.AsyncClient, kernel: Kernel, settings: Settings, weak: str
    ) -> None:
        data = await registered(client)
        (mail,) = await forget(client, kernel, settings, data["user"]["email"], data["tenant"]["id"])
        answers = [
            await client.post("/v1/auth/register", json=lucia(password=weak, password_confirmation=weak)),
            await change_password(client, data["token"], password=weak, password_confirmation=weak),
            await reset(client, token_of(mail), weak),
        ]
        assert [answer.status_code for answer in answers] == [422] * 3
        assert {tuple(answer.json()["errors"][0]["details"]) for answer in answers} == {("password",)}
        assert (await reset(client, token_of(mail))).status_code == 204

    async def test_ones_own_names_are_easy_to_guess(self, client: httpx.AsyncClient) -> None:
        for about, weak in (({"email": "zuleika.quaresma@plixa.app"}, "zuleika.quaresma"), ({"name": "Zuleika Quaresma"}, "Zuleika2024")):
            refused = await client.post("/v1/auth/register", json=lucia(password=weak, password_confirmation=weak, **about))
            assert (refused.status_code, list(refused.json()["errors"][0]["details"])) == (422, ["password"])
            data = await registered(client, password=weak, password_confirmation=weak, company_name="Padaria")
            assert data["user"]["name"] == "Lucia Pereira"

    async def test_anything_else_goes_and_counts_exactly_as_entered(self, client: httpx.AsyncClient) -> None:
        for good in (" two  spaces ", "gÿ🔑 \u0065\u0301tude", "a\ttab and more", "correct horse battery"):
            data = await registered(client, password=good, password_confirmation=good)
            assert (await sign_in(client, data["user"]["email"], good)).status_code == 200
            assert (await sign_in(client, data["user"]["email"], good.strip() + ".")).status_code == 401


async def forget(client: httpx.AsyncClient, kernel: Kernel, settings: Settings, email: str, tenant: int) -> list[Mail]:
    """Ask for a link; what was mailed to the tenant's people about passwords so far."""
    assert (await client.post("/v1/auth/forgot-password", json={"email": email})).status_code == 202
    await deliver_offers(kernel, settings)
    return [mail for mail in await mails(kernel, tenant) if mail.template == "password_reset"]


async def deliver_offers(kernel: Kernel, settings: Settings) -> None:
    """Do what a worker does."""
    async with kernel.system.connection() as connection:
        rows = await connection.fetch(WAITING)
    for row in rows:
        assert await deliver(kernel, Actors(settings.public_url).handlers(), PLATFORM, row["id"])


def token_of(mail: Mail) -> str:
    return str(mail.values["link"]).partition("#token=")[2]


async def reset(client: httpx.AsyncClient, token: str, password: str = NEW) -> httpx.Response:
    body = {"token": token, "password": password, "password_confirmation": password}
    return await client.post("/v1/auth/reset-password", json=body)


async def change_password(client: httpx.AsyncClient, token: str, **changes: Any) -> httpx.Response:
    body = {"current_password": PASSWORD, "password": NEW, "password_confirmation": NEW} | changes
    return await client.put("/v1/me/password", json=body, headers=bearer(token))
