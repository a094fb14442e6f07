"""The staff: hired and dismissed on the command line, signed in apart from everybody else."""

import asyncio
import re
import secrets
from typing import Any

import pytest
from click.testing import CliRunner
from httpx import AsyncClient
from litestar import Litestar

from plixa.cli import main
from plixa.identity.commands.passwords import offer_reset
from plixa.identity.commands.sessions import Entrance
from plixa.identity.queries.members import find_account
from plixa.kernel.audit import PLATFORM
from plixa.kernel.uow import Kernel, perform, working
from tests.backoffice.crew import PASSWORD, Staff, bearer, codes, dismiss, hire, mails, refused_soon
from tests.identity.people import entries, totp, wrong
from tests.identity.people import mails as every_mail
from tests.support.world import PASSWORD as MEMBERS_PASSWORD
from tests.support.world import Member, Workspace


async def run(command_line: CliRunner, *arguments: str, typed: str | None = None) -> tuple[int, str]:
    """``plixa staff …``, beside this event loop: exit code and output, without its frames."""
    result = await asyncio.to_thread(command_line.invoke, main, ["staff", *arguments], input=typed)
    return result.exit_code, " ".join(re.sub("[─│╭╮╰╯]", " ", result.output).split())


async def test_the_command_line_hires_resets_and_dismisses(command_line: CliRunner, client: AsyncClient, kernel: Kernel) -> None:
    email = f"Caio.{secrets.token_hex(5)}@plixa.app"
    done, output = await run(command_line, "create", "Caio Reis", email)
    assert done == 0, output
    password = output.rpartition("Password: ")[2].strip()
    first = await client.post("/v1/admin/auth/login", json={"email": email.upper(), "password": password})
    assert first.status_code == 200
    caio = bearer(first.json()["data"]["token"])
    assert first.json()["data"]["token"].partition("|")[2].startswith("plxa_")
    me = (await client.get("/v1/admin/me", headers=caio)).json()["data"]
    assert (me["name"], me["email"], me["two_factor_enabled"]) == ("Caio Reis", email.lower(), False)

    assert await run(command_line, "create", "Caio", email) == (1, "Error A staff person has this address already.")
    listed = await run(command_line, "list")
    assert re.search(rf"\b{me['id']} Caio Reis <{email.lower()}> no 2FA since 20\d\d-", listed[1])

    done, output = await run(command_line, "reset-password", email, "--ask-password", typed="quite another one\nquite another one\n")
    assert (done, "quite another one" in output) == (0, False)
    assert await refused_soon(client, "/v1/admin/me", caio) == (401, "UNAUTHENTICATED")
    second = await client.post("/v1/admin/auth/login", json={"email": email, "password": "quite another one"})
    caio = bearer(second.json()["data"]["token"])
    assert (await client.get("/v1/admin/me", headers=caio)).status_code == 200

    for _ in range(2):
        assert await run(command_line, "deactivate", email) == (0, f"Caio Reis <{email.lower()}> is no longer of the staff.")
    assert await refused_soon(client, "/v1/admin/me", caio) == (401, "UNAUTHENTICATED")
    again = {"email": email, "password": "quite another one"}
    assert codes(await client.post("/v1/admin/auth/login", json=again)) == (401, "INVALID_CREDENTIALS")
    assert re.search(rf"Caio Reis <{email.lower()}> no 2FA since 20\d\d-\d\d-\d\d until 20\d\d-", (await run(command_line, "list"))[1])
    assert await run(command_line, "create", "Caio", email) == (1, "Error A staff person has this address already.")
    for _ in range(2):
        assert await run(command_line, "reactivate", email) == (0, f"Caio Reis <{email.lower()}> is of the staff again.")
    assert (await client.get("/v1/admin/me", headers=caio)).status_code == 401
    assert (await client.post("/v1/admin/auth/login", json=again)).status_code == 200
    nobody = f"nobody-{email.lower()}"
    for command in ("deactivate", "reactivate", "reset-password", "reset-2fa"):
        assert await run(command_line, command, nobody) == (1, f"Error There is no staff person with the address {nobody}."), command

    told = [entry for _, entry in await entries(kernel, PLATFORM) if entry.subject_id == me["id"] and entry.subject == "staff"]
    assert [(entry.action, entry.before, entry.after) for entry in told] == [
        ("staff.created", None, {"name": "Caio Reis", "email": email.lower()}),
        ("staff.password_reset", None, None),
        ("staff.deactivated", {"is_active": True}, {"is_active": False}),
        ("staff.reactivated", {"is_active": False}, {"is_active": True}),
    ]
    assert password not in str(told)


async def test_who_left_gets_in_by_no_way_and_their_name_stays(
    app: Litestar, client: AsyncClient, bruna: Staff, entrance: Entrance, lucia_studios: Workspace
) -> None:
    place = f"/tenants/{lucia_studios.tenant}"
    await bruna.do("POST", f"{place}/license", json={"plan_key": "business"})
    inside = bearer((await bruna.impersonate(lucia_studios))["token"])
    account = await find_account(entrance.kernel.system, bruna.email, staff=True)
    link = secrets.token_urlsafe(32)
    async with working(entrance.kernel, PLATFORM) as uow:
        await perform(uow, lambda: offer_reset(uow, account, link, "https://plixa.app"))
    await dismiss(entrance, bruna)
    assert await refused_soon(client, "/v1/admin/me", bruna.headers) == (401, "UNAUTHENTICATED")
    assert await refused_soon(client, "/v1/me", inside) == (401, "UNAUTHENTICATED")
    chosen = {"token": link, "password": "lantern orchard tungsten", "password_confirmation": "lantern orchard tungsten"}
    assert codes(await client.post("/v1/auth/reset-password", json=chosen)) == (422, "INVALID_RESET_TOKEN")
    for password in (PASSWORD, chosen["password"]):
        signed = await client.post("/v1/admin/auth/login", json={"email": bruna.email, "password": password})
        assert codes(signed) == (401, "INVALID_CREDENTIALS")
    caio = await hire(entrance, client, "Caio")
    assert (await caio.do("GET", place))["license"]["granted_by"] == {"id": bruna.id, "name": "Bruna"}


@pytest.mark.parametrize(("name", "email", "typed"), [("", "a@b.co", None), ("Eva", "nowhere", None), ("Eva", "a@b.co", "short\nshort\n")])
async def test_the_command_line_refuses_what_cannot_be(command_line: CliRunner, name: str, email: str, typed: str | None) -> None:
    done, output = await run(command_line, "create", name, email, *(["--ask-password"] if typed else []), typed=typed)
    assert (done, "Error " in output, "Password: " in output.partition("Error ")[2]) == (1, True, False)


async def test_staff_and_members_are_apart(client: AsyncClient, bruna: Staff, lucia: Member) -> None:
    for path in ("/me", "/tenants", f"/tenants/{1}", "/waitlist", "/waitlist.csv"):
        assert codes(await client.get(f"/v1/admin{path}", headers=lucia.headers)) == (403, "FORBIDDEN")
        assert codes(await client.get(f"/v1/admin{path}")) == (401, "UNAUTHENTICATED")
    for path in ("/me", "/conversations"):
        assert codes(await client.get(f"/v1{path}", headers=bruna.headers)) == (403, "FORBIDDEN")
    theirs = {"email": lucia.email, "password": MEMBERS_PASSWORD}
    assert codes(await client.post("/v1/admin/auth/login", json=theirs)) == (401, "INVALID_CREDENTIALS")
    ours = {"email": bruna.email, "password": PASSWORD}
    assert codes(await client.post("/v1/auth/login", json=ours)) == (401, "INVALID_CREDENTIALS")
    wrong = await client.post("/v1/admin/auth/login", json=ours | {"password": "something else"})
    unknown = await client.post("/v1/admin/auth/login", json={"email": "nobody@plixa.app", "password": "something else"})
    assert (wrong.status_code, wrong.content) == (unknown.status_code, unknown.content)


async def test_signing_in_and_out_stands_in_the_platforms_log(client: AsyncClient, bruna: Staff, kernel: Kernel) -> None:
    before = await entries(kernel, PLATFORM)
    assert [(fact.actor.type, fact.actor.name) for fact, entry in before if entry.subject_id == bruna.id][-1] == ("staff", "Bruna")
    assert (await bruna.call("POST", "/auth/logout")).status_code == 204
    assert codes(await bruna.call("GET", "/me")) == (401, "UNAUTHENTICATED")
    fresh = (await entries(kernel, PLATFORM))[len(before) :]
    assert [(entry.action, entry.subject_id) for _, entry in fresh] == [("member.signed_out", bruna.id)]


async def test_staff_have_a_second_factor_like_members(client: AsyncClient, bruna: Staff, entrance: Entrance) -> None:
    kernel, other = entrance.kernel, await sign_in(client, bruna)
    before = len(await entries(kernel, PLATFORM))
    assert (await bruna.do("GET", "/me/2fa"))["enabled"] is False
    assert codes(await bruna.call("POST", "/me/2fa/setup", json={"password": "wrong"})) == (422, "INVALID_PASSWORD")
    secret = (await bruna.do("POST", "/me/2fa/setup", json={"password": PASSWORD}))["secret"]
    assert (await bruna.do("GET", "/me/2fa"))["pending_confirmation"] is True
    assert codes(await bruna.call("POST", "/me/2fa/confirm", json={"code": wrong(secret)})) == (422, "INVALID_TWO_FACTOR_CODE")
    recovery = (await bruna.do("POST", "/me/2fa/confirm", json={"code": totp(secret)}))["recovery_codes"]
    assert codes(await client.get("/v1/admin/me", headers=bearer(other["token"]))) == (401, "UNAUTHENTICATED")
    assert (await bruna.do("GET", "/me"))["two_factor_enabled"] is True

    asked = await sign_in(client, bruna)
    assert (asked["two_factor_required"], "token" in asked) == (True, False)
    pending = bearer(asked["challenge_token"])
    assert codes(await client.get("/v1/admin/me", headers=pending)) == (401, "UNAUTHENTICATED")
    done = (await client.post("/v1/auth/2fa-challenge", json={"recovery_code": recovery[0]}, headers=pending)).json()["data"]
    assert done["token"].partition("|")[2].startswith("plxa_")
    assert (await client.get("/v1/admin/me", headers=bearer(done["token"]))).json()["data"]["id"] == bruna.id

    left = await bruna.do("POST", "/me/2fa/recovery-codes/revoke", json={"password": PASSWORD, "code": recovery[1]})
    assert left == {"remaining": 8}
    assert len((await bruna.do("POST", "/me/2fa/recovery-codes", json={"password": PASSWORD}))["recovery_codes"]) == 10
    assert (await bruna.call("DELETE", "/me/2fa", json={"password": PASSWORD})).status_code == 204
    assert "token" in await sign_in(client, bruna)
    told = [entry.action for _, entry in (await entries(kernel, PLATFORM))[before:] if entry.subject_id == bruna.id]
    assert told == [
        *("security.password_refused", "member.second_factor_set_up", "security.second_factor_refused", "member.second_factor_enabled"),
        *("member.challenged", "member.signed_in", "member.recovery_code_revoked", "member.recovery_codes_renewed"),
        *("member.second_factor_disabled", "member.signed_in"),
    ]
    written = [mail.template for mail in await every_mail(kernel, PLATFORM) if mail.to == bruna.email]
    assert written == [
        *("two_factor_enabled", "recovery_code_used", "recovery_code_revoked", "recovery_codes_regenerated", "two_factor_disabled"),
    ]


async def test_a_lost_second_factor_is_reset_on_the_command_line(
    command_line: CliRunner, client: AsyncClient, bruna: Staff, entrance: Entrance, lucia_studios: Workspace
) -> None:
    secret = (await bruna.do("POST", "/me/2fa/setup", json={"password": PASSWORD}))["secret"]
    await bruna.do("POST", "/me/2fa/confirm", json={"code": totp(secret)})
    inside = bearer((await bruna.impersonate(lucia_studios))["token"])
    for _ in range(2):
        done = await run(command_line, "reset-2fa", bruna.email)
        assert done == (0, f"Bruna <{bruna.email}> signs in with their password alone.")
    assert await refused_soon(client, "/v1/admin/me", bruna.headers) == (401, "UNAUTHENTICATED")
    assert await refused_soon(client, "/v1/me", inside) == (401, "UNAUTHENTICATED")
    assert "token" in await sign_in(client, bruna)
    told = [entry for _, entry in await entries(entrance.kernel, PLATFORM) if entry.action == "staff.second_factor_reset"]
    mine = [(entry.before, entry.after) for entry in told if entry.subject_id == bruna.id]
    assert mine == [({"two_factor_enabled": True}, {"two_factor_enabled": False})]
    assert [mail.to for mail in await mails(entrance.kernel, PLATFORM, "two_factor_disabled")].count(bruna.email) == 1


async def sign_in(client: AsyncClient, staff: Staff) -> dict[str, Any]:
    """What their right password is answered."""
    answer = await client.post("/v1/admin/auth/login", json={"email": staff.email, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["data"]
    return found
