"""People of the tests, and what they leave in the database."""

import secrets
import time
from typing import Any

import httpx
import msgspec
import pyotp
from litestar import Litestar
from msgspec import Struct
from msgspec.structs import replace

from plixa.identity.commands.sessions import Entrance
from plixa.identity.controllers.account import AccountController
from plixa.identity.controllers.authentication import AuthenticationController
from plixa.identity.controllers.two_factor import TwoFactorController
from plixa.kernel.audit import AuditEntry
from plixa.kernel.event_store import Recorded
from plixa.kernel.log import read_log
from plixa.kernel.mail import Mail, open_mail
from plixa.kernel.passwords import PasswordChecker
from plixa.kernel.settings import Settings
from plixa.kernel.uow import Kernel
from tests.support.apps import make_app

PASSWORD = "super-secret-pw"


def lucia(**changes: Any) -> dict[str, Any]:
    """The contract's example of a registration, with an address nobody has."""
    return {
        "name": "Lucia Pereira",
        "email": f"lucia.{secrets.token_hex(6)}@plixa.app",
        "password": PASSWORD,
        "password_confirmation": PASSWORD,
        "company_name": "Lucia Studios",
        "country_code": "BR",
        "timezone": "America/Sao_Paulo",
        "locale": "pt",
    } | changes


async def registered(client: httpx.AsyncClient, **changes: Any) -> dict[str, Any]:
    """The ``data`` of a new registration."""
    answer = await client.post("/v1/auth/register", json=lucia(**changes))
    assert answer.status_code == 201, answer.text
    data: dict[str, Any] = answer.json()["data"]
    return data


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def entries(kernel: Kernel, tenant: int) -> list[tuple[Recorded, AuditEntry]]:
    """The audit trail of a tenant."""
    facts = await read_log(kernel, tenant, 0)
    return [(fact, fact.event) for fact in facts if isinstance(fact.event, AuditEntry)]


async def value(kernel: Kernel, query: str, *arguments: Any) -> Any:
    """One value, looked up across tenants."""
    async with kernel.system.connection() as connection:
        return await connection.fetchval(query, *arguments)


def stricter(entrance: Entrance, settings: Settings) -> Litestar:
    """The application with other settings."""
    changed = replace(entrance, settings=settings, passwords=PasswordChecker(settings.argon2))
    return make_app(changed, AuthenticationController, AccountController, TwoFactorController)


def connect(app: Litestar, address: str) -> httpx.AsyncClient:
    """A client that calls from somewhere."""
    transport = httpx.ASGITransport(app=app, client=(address, 4711))  # type: ignore[arg-type]
    return httpx.AsyncClient(transport=transport, base_url="http://plixa.test")


def anywhere() -> str:
    """An address nobody called from yet."""
    return f"10.{secrets.randbelow(256)}.{secrets.randbelow(256)}.{secrets.randbelow(256)}"


class Enrolled(Struct, frozen=True):
    """A member whose second factor is on; no code of theirs counts as used."""

    kernel: Kernel
    data: dict[str, Any]
    secret: str
    recovery_codes: list[str]

    @property
    def id(self) -> int:
        return int(self.data["user"]["id"])

    @property
    def tenant(self) -> int:
        return int(self.data["tenant"]["id"])

    @property
    def email(self) -> str:
        return str(self.data["user"]["email"])

    @property
    def headers(self) -> dict[str, str]:
        return bearer(self.data["token"])

    async def last_used(self, step: int) -> None:
        """Have the code of a time step be the last that was used, 0 for none."""
        await change(self.kernel, "UPDATE member SET two_factor_step = $2 WHERE id = $1", self.id, step)


def totp(secret: str, offset: int = 0) -> str:
    """The code of the present time step, or of one after it (one before it might be over when it arrives)."""
    return pyotp.TOTP(secret).generate_otp(int(time.time()) // 30 + offset)


def wrong(secret: str) -> str:
    """Six digits that no near time step has."""
    near = {totp(secret, offset) for offset in range(-3, 4)}
    return next(code for code in (f"{number:06}" for number in range(10)) if code not in near)


async def enrolled(client: httpx.AsyncClient, kernel: Kernel) -> Enrolled:
    """A new owner who set up and confirmed a second factor."""
    data = await registered(client)
    headers = bearer(data["token"])
    setup = await client.post("/v1/me/2fa/setup", json={"password": PASSWORD}, headers=headers)
    assert setup.status_code == 200, setup.text
    secret = setup.json()["data"]["secret"]
    confirmed = await client.post("/v1/me/2fa/confirm", json={"code": totp(secret)}, headers=headers)
    assert confirmed.status_code == 200, confirmed.text
    member = Enrolled(kernel, data, secret, confirmed.json()["data"]["recovery_codes"])
    await member.last_used(0)
    return member


async def sign_in(client: httpx.AsyncClient, email: str, password: str = PASSWORD, headers: dict[str, str] | None = None) -> httpx.Response:
    return await client.post("/v1/auth/login", json={"email": email, "password": password}, headers=headers)


async def challenged(client: httpx.AsyncClient, email: str) -> str:
    """The challenge token of a sign-in whose password was right."""
    answer = await sign_in(client, email)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["data"]["challenge_token"])


async def prove(client: httpx.AsyncClient, token: str, **proof: str | None) -> httpx.Response:
    """Answer a challenge."""
    return await client.post("/v1/auth/2fa-challenge", json=proof, headers=bearer(token))


async def change(kernel: Kernel, statement: str, *arguments: Any) -> None:
    """A statement with the system's rights."""
    async with kernel.system.connection() as connection:
        await connection.execute(statement, *arguments)


async def mails(kernel: Kernel, tenant: int) -> list[Mail]:
    """What waits to be mailed from a tenant, oldest first."""
    async with kernel.system.connection() as connection:
        query = "SELECT key, payload FROM outbox WHERE tenant_id = $1 AND kind = 'mail.send' ORDER BY id"
        rows = await connection.fetch(query, tenant)
    return [open_mail(kernel.vault, tenant, row["key"], msgspec.json.decode(row["payload"])) for row in rows]
