"""The staff: hired and dismissed on the command line, signed in apart from everybody else."""

import asyncio
import os
import re
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pyotp
import pytest
from click.testing import CliRunner
from httpx import AsyncClient
from litestar import Litestar

from plixa.cli import main
from plixa.identity.commands.sessions import Entrance
from plixa.identity.commands.two_factor import confirm_two_factor, set_up_two_factor
from plixa.kernel.audit import PLATFORM
from plixa.kernel.settings import Settings
from plixa.kernel.uow import Kernel, perform, working
from tests.backoffice.crew import PASSWORD, Staff, bearer, codes, dismiss, refused_soon
from tests.identity.people import entries
from tests.support.world import PASSWORD as MEMBERS_PASSWORD
from tests.support.world import Member


@pytest.fixture
def command_line(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[CliRunner]:
    """The ``plixa`` command on the tests' own database."""
    for name in [name for name in os.environ if name.startswith("PLIXA_")]:
        monkeypatch.delenv(name)
    with TemporaryDirectory(prefix="plixa-test-") as home:
        given = {"DATABASE_URL": str(settings.database_url), "REDIS_URL": str(settings.redis_url), "HOME": str(Path(home))}
        for name, wanted in (given | {"SECRET_KEY": "a key for tests and for nothing else whatever"}).items():
            monkeypatch.setenv(f"PLIXA_{name}", wanted)
        yield CliRunner()


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

    assert (await run(command_line, "remove", email))[0] == 0
    assert await refused_soon(client, "/v1/admin/me", caio) == (401, "UNAUTHENTICATED")
    assert await run(command_line, "remove", email) == (1, f"Error There is no staff person with the address {email.lower()}.")
    told = [entry for _, entry in await entries(kernel, PLATFORM) if entry.subject_id == me["id"] and entry.subject == "staff"]
    assert [entry.action for entry in told] == ["staff.created", "staff.password_reset", "staff.removed"]
    assert password not in str(told)


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


async def test_a_second_factor_is_asked_of_staff_too(app: Litestar, client: AsyncClient, bruna: Staff, entrance: Entrance) -> None:
    async with working(entrance.kernel, PLATFORM) as uow:
        uow.principal = await app.state.gatekeeper.principal(bruna.headers["Authorization"])
        secret = (await perform(uow, lambda: set_up_two_factor(uow, entrance, PASSWORD))).secret
        first, now = pyotp.TOTP(secret), datetime.now(UTC)
        await perform(uow, lambda: confirm_two_factor(uow, entrance, first.at(now)))
    asked = (await client.post("/v1/admin/auth/login", json={"email": bruna.email, "password": PASSWORD})).json()["data"]
    assert (asked["two_factor_required"], "token" in asked) == (True, False)
    pending = bearer(asked["challenge_token"])
    assert (await client.get("/v1/admin/me", headers=pending)).status_code == 401
    proof = {"code": first.at(now, counter_offset=1)}
    done = (await client.post("/v1/auth/2fa-challenge", json=proof, headers=pending)).json()["data"]
    me = (await client.get("/v1/admin/me", headers=bearer(done["token"]))).json()["data"]
    assert (me["id"], me["two_factor_enabled"]) == (bruna.id, True)
    await dismiss(entrance, bruna)
